"use strict";
// The chooser: slm_atlas/advisor/recommend.py, function by function; a test in a browser holds the two together.
const atMost = (cost, limit) => {
  if (cost.low === undefined || cost.high === undefined) return cost.value > limit ? "no" : "unsure";
  return cost.high <= limit ? "yes" : cost.low > limit ? "no" : "unsure";
};

const atLeast = (cost, limit) => {
  if (cost.low === undefined || cost.high === undefined) return cost.value < limit ? "no" : "unsure";
  return cost.low >= limit ? "yes" : cost.high < limit ? "no" : "unsure";
};

/** Of each file in each engine the measurement that fits what is asked, whatever came of it. */
function fitting(candidates, query) {
  const [usualContext, usualPrompt] = usual(candidates);
  const context = query.context || usualContext;
  const prompt = query.prompt || usualPrompt;
  const nearest = new Map();
  for (const one of candidates) {
    const { model, name, file = "", engine = "", runs = 0, depth = 0 } = one;
    const own = one.context ?? 0;
    const gap = [Math.abs(own - context), Math.abs((one.prompt ?? 0) - prompt)];
    const rank = [own < context ? 1 : 0, ...gap, depth, -runs, one.id];
    const key = JSON.stringify([model, name, file, engine]);
    if (!nearest.has(key) || inOrder(rank, nearest.get(key).rank) < 0) nearest.set(key, { rank, one });
  }
  return [...nearest.values()].map(({ one }) => one);
}

function usual(candidates) {
  const models = new Map();
  for (const { basis, model, context = 0, prompt = 0 } of candidates) {
    if (basis !== "measured") continue;
    const key = JSON.stringify([context, prompt]);
    if (!models.has(key)) models.set(key, new Set());
    models.get(key).add(model);
  }
  const ways = [...models].map(([key, among]) => [-among.size, ...JSON.parse(key)]);
  return ways.sort(inOrder)[0]?.slice(1) ?? [0, 0];
}

/** A cost that grows: it may be too much for more than was measured, and enough for less. */
function at(fit, measured, asked) {
  if (asked === null || asked === undefined || asked === measured) return fit;
  return fit === (asked > measured ? "yes" : "no") ? "unsure" : fit;
}

function reasonsOf(candidate, query) {
  const found = [];
  const hold = (what, cost, limit, judge, measured, asked) => {
    if (limit === null || limit === undefined) return;
    const fit = cost ? at(judge(cost, limit), measured, asked) : "unsure";
    found.push({ what, fit, text: cost ? cost.text : "not known" });
  };
  hold("context", candidate.made_for, query.context, atLeast);
  hold("memory", candidate.memory, query.memory_bytes, atMost, candidate.context ?? 0, query.context);
  hold("decode", candidate.decode, query.decode, atLeast);
  hold("ttft", candidate.ttft, query.ttft_s, atMost, candidate.prompt ?? 0, query.prompt);
  return found;
}

function overall(reasons) {
  const fits = reasons.map((reason) => reason.fit);
  return fits.includes("no") ? "no" : fits.includes("unsure") ? "unsure" : "yes";
}

const scoreOf = (candidate, subject) => candidate.scores?.[subject];

function commonScale(candidates, subject) {
  const models = new Map();
  for (const candidate of candidates) {
    const score = scoreOf(candidate, subject);
    if (!score) continue;
    if (!models.has(score.scale)) models.set(score.scale, new Set());
    models.get(score.scale).add(candidate.model);
  }
  const scales = [...models].map(([scale, among]) => [-among.size, scale]);
  return scales.sort(inOrder)[0]?.[1] ?? "";
}

/** The order of two lists of numbers and texts, as Python orders tuples. */
function inOrder(one, other) {
  for (let i = 0; i < one.length; i += 1) {
    if (one[i] < other[i]) return -1;
    if (one[i] > other[i]) return 1;
  }
  return 0;
}

function rankOf({ candidate, reasons }, scale, subject) {
  const score = scoreOf(candidate, subject);
  const value = score && score.scale === scale ? score.value : -1;
  const late = [overall(reasons) === "unsure" ? 1 : 0, candidate.basis === "predicted" ? 1 : 0];
  return [...late, -value, -candidate.params, candidate.id];
}

function choiceOf({ candidate, reasons }, scale, subject) {
  const score = scoreOf(candidate, subject);
  const fit = score && score.scale === scale ? "yes" : "unsure";
  const why = [...reasons, { what: "score", fit, text: score ? score.text : "not known" }];
  const { id, name, basis, conditions = "", file = "", engine = "" } = candidate;
  return { id, name, basis, conditions, file, engine, fit: overall(reasons), reasons: why };
}

function recommend(candidates, query) {
  const subject = query.subject ?? "any";
  const asked = fitting(candidates.filter((candidate) => candidate.machine === query.machine), query);
  const judged = asked.map((candidate) => ({ candidate, reasons: reasonsOf(candidate, query) }));
  const suited = judged.filter(({ reasons }) => overall(reasons) !== "no");
  const scale = commonScale(suited.map(({ candidate }) => candidate), subject);
  suited.sort((one, other) => inOrder(rankOf(one, scale, subject), rankOf(other, scale, subject)));
  const named = new Set();
  const first = suited.filter(({ candidate: { model } }) => !named.has(model) && named.add(model));
  const broken = new Map();
  for (const { candidate, reasons } of judged) {
    for (const { what, fit } of reasons) {
      if (fit !== "no" || named.has(candidate.model)) continue;
      if (!broken.has(what)) broken.set(what, new Set());
      broken.get(what).add(candidate.model);
    }
  }
  return {
    choices: first.slice(0, query.most ?? 10).map((pair) => choiceOf(pair, scale, subject)),
    scale,
    suited: first.length,
    refused: Object.fromEntries([...broken].sort(inOrder).map(([what, models]) => [what, models.size])),
  };
}
