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

function reasonsOf(candidate, query) {
  const found = [];
  const hold = (what, limit, judge) => {
    if (limit === null || limit === undefined) return;
    const cost = candidate[what];
    found.push({ what, fit: cost ? judge(cost, limit) : "unsure", text: cost ? cost.text : "not known" });
  };
  hold("memory", query.memory_bytes, atMost);
  hold("decode", query.decode, atLeast);
  hold("ttft", query.ttft_s, atMost);
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
  const { id, name, basis, conditions = "" } = candidate;
  return { id, name, basis, conditions, fit: overall(reasons), reasons: why };
}

function recommend(candidates, query) {
  const subject = query.subject ?? "any";
  const asked = candidates.filter((candidate) => candidate.machine === query.machine);
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
