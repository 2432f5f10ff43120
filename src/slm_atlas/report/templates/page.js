"use strict";
const byId = (id) => document.getElementById(id);
const table = byId("table");
const rows = [...table.tBodies[0].rows];

/** An element with attributes and children; texts are texts, never markup. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const number = (input) => (input.value.trim() === "" || Number.isNaN(Number(input.value)) ? null : Number(input.value));

// ---- the table: a heading sorts its column, numbers as numbers; what is missing stays last -----------------------

function sortBy(column, ascending) {
  const value = (row) => {
    const cell = row.cells[column];
    const text = cell.dataset.sort ?? (cell.querySelector("a") ?? cell).firstChild.textContent;
    return text === "–" ? "" : text;
  };
  const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  rows.sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === "" || b === "") return (a === "") - (b === "");
    return ascending ? compare(a, b) : compare(b, a);
  });
  table.tBodies[0].append(...rows);
}

const headings = [...table.tHead.rows[0].cells];
headings.forEach((heading, column) => heading.firstElementChild.addEventListener("click", () => {
  const ascending = heading.getAttribute("aria-sort") !== "ascending";
  for (const other of headings) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  sortBy(column, ascending);
}));

const columns = byId("columns");
columns.hidden = false;
columns.addEventListener("change", ({ target }) => {
  const column = headings.findIndex((heading) => heading.dataset.key === target.name);
  headings[column].hidden = !target.checked;
  for (const row of rows) row.cells[column].hidden = !target.checked;
});

// ---- its filters -------------------------------------------------------------------------------------------------

const filters = byId("filters");
const FIELDS = ["machine", "basis", "licence", "year", "data"];

function wanted(row) {
  const facts = row.dataset;
  const field = (name) => filters.elements[name];
  const atMostOf = (name, factor) => {
    const limit = number(field(name));
    return limit === null || (facts[name] !== "" && Number(facts[name]) <= limit * factor);
  };
  const least = number(field("decode"));
  return field("text").value.toLowerCase().split(/\s+/).every((word) => facts.text.includes(word))
    && FIELDS.every((name) => !field(name)?.value || facts[name] === field(name).value || (name === "machine" && !facts[name]))
    && atMostOf("memory", 2 ** 30) && atMostOf("params", 1e6)
    && (least === null || (facts.decode !== "" && Number(facts.decode) >= least));
}

function filter() {
  let shown = 0;
  for (const row of rows) {
    row.hidden = !wanted(row);
    shown += row.hidden ? 0 : 1;
  }
  byId("shown").textContent = `${shown} of ${rows.length} lines${shown ? "" : ": none meets all of these"}`;
}
filters.hidden = false;
filters.addEventListener("input", filter);
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("reset", () => setTimeout(filter));
filter();

// ---- two to four models side by side -----------------------------------------------------------------------------

const compared = new Set();
const opener = byId("compare-open");

for (const row of rows) {
  const name = row.querySelector("a").textContent;
  const tick = make("input", { type: "checkbox", "aria-label": `Compare ${name}` });
  tick.addEventListener("change", () => {
    if (tick.checked) compared.add(row);
    else compared.delete(row);
    sayCompared();
  });
  row.cells[0].prepend(tick, " ");
}

function sayCompared() {
  opener.disabled = compared.size < 2 || compared.size > 4;
  opener.textContent = `Compare ${compared.size || ""}`.trim();
  byId("compare-says").textContent = compared.size > 4 ? "Four at most." : compared.size ? "" : "Tick two to four lines.";
}

const articleOf = (row) => byId(row.querySelector("a").hash.slice(1));

function anatomyOf(row, largest) {
  const article = articleOf(row);
  const drawn = article?.querySelector("svg.anatomy");
  if (!drawn) return make("td", {}, "–");
  const copy = drawn.cloneNode(true);
  copy.style.width = `${Math.max(2, (100 * article.dataset.params) / largest)}%`;
  return make("td", {}, copy);
}

/** The legend of several drawings: each part that one of them has, without its numbers. */
function partsOf(chosen) {
  const found = new Map();
  for (const row of chosen) {
    for (const entry of articleOf(row)?.querySelectorAll(".legend li") ?? []) {
      const copy = entry.cloneNode(true);
      copy.querySelector("small").remove();
      found.set(copy.firstElementChild.className, copy);
    }
  }
  return [...found.values()];
}

function cellOf(cell) {
  const copy = make("td", {}, ...[...cell.childNodes].map((node) => node.cloneNode(true)));
  copy.querySelectorAll("input").forEach((input) => input.remove());
  return copy;
}

function compare() {
  const chosen = rows.filter((row) => compared.has(row));
  const largest = Math.max(...chosen.map((row) => Number(row.dataset.params) || 1));
  const names = chosen.map((row) => make("th", { scope: "col" }, row.querySelector("a").cloneNode(true),
    ...[...row.cells[0].querySelectorAll("small")].map((note) => note.cloneNode(true))));
  const lines = headings.slice(1).map((heading, index) => make("tr", {},
    make("th", { scope: "row" }, heading.textContent), ...chosen.map((row) => cellOf(row.cells[index + 1]))));
  lines.unshift(make("tr", {}, make("th", { scope: "row" }, "Anatomy, to one scale"),
    ...chosen.map((row) => anatomyOf(row, largest))));
  const place = byId("compare");
  place.lastElementChild.replaceChildren(make("table", {},
    make("thead", {}, make("tr", {}, make("td"), ...names)), make("tbody", {}, ...lines)));
  place.querySelector(".legend").replaceChildren(...partsOf(chosen));
  place.hidden = false;
  place.focus();
  place.scrollIntoView();
}
opener.hidden = false;
opener.addEventListener("click", compare);
sayCompared();

// ---- the chooser -------------------------------------------------------------------------------------------------

const candidates = JSON.parse(byId("candidates").textContent);
const scores = JSON.parse(byId("scores").textContent); // by model; a candidate names its own where they differ
for (const candidate of candidates) candidate.scores ??= scores[candidate.model];
const chooser = byId("chooser");
const anchors = new Map(rows.map((row) => [row.id, row.querySelector("a").hash]));
const WHAT = { context: "Made for", memory: "Memory", decode: "Decode", ttft: "Answer begins after", score: "Score" };
const BROKEN = { context: "less context", memory: "more memory", decode: "fewer tokens a second", ttft: "a later answer" };
const DOUBT = { context: "may be too little", memory: "may be too much", decode: "may be too slow", ttft: "may be too late", score: "not on the scale of the order" };

function asked() {
  const { machine, memory, decode, ttft, subject, context, prompt } = chooser.elements;
  const bytes = number(memory);
  return {
    machine: machine.value, memory_bytes: bytes === null ? null : bytes * 2 ** 30, decode: number(decode),
    ttft_s: number(ttft), subject: subject.value, context: number(context), prompt: number(prompt),
  };
}

function reasonLine({ what, fit, text }) {
  const doubt = fit === "unsure" && text !== "not known" ? `; ${DOUBT[what]}` : "";
  return make("li", { class: fit }, `${WHAT[what]}: ${text}${doubt}`);
}

function choiceItem(choice) {
  const link = make("a", { href: anchors.get(`line-${choice.id}`) }, choice.name);
  const basis = make("span", { class: `basis ${choice.basis}` }, choice.basis);
  const fit = choice.fit === "yes" ? [] : [" ", make("span", { class: "verdict undecided" }, "may suit")];
  const way = make("li", { class: "way" }, [choice.file, choice.engine, choice.conditions].filter(Boolean).join("; "));
  return make("li", {}, link, " ", basis, ...fit, make("ul", {}, ...choice.reasons.map(reasonLine), way));
}

function choose() {
  const answer = recommend(candidates, asked());
  byId("answer").replaceChildren(...answer.choices.map(choiceItem));
  const refused = Object.entries(answer.refused).map(([what, count]) => `${BROKEN[what]}: ${count}`).join(", for ");
  byId("answer-says").textContent = [
    answer.choices.length ? `${answer.choices.length} of ${answer.suited} models that suit, or may.` : "No model is like that.",
    refused && `Left out for ${refused}.`,
    answer.choices.length && `Measured before predicted, then by ${answer.scale || "size: no score is known"}.`,
    answer.choices.length && "Costs are of the file, engine, prompt and context named; what may differ from what is asked is in doubt.",
  ].filter(Boolean).join(" ");
}
chooser.hidden = false;
document.querySelector(".needs-script").hidden = true;
chooser.addEventListener("input", choose);
chooser.addEventListener("submit", (event) => event.preventDefault());
choose();

// ---- in print, what stands folded with the claims and insights is open -----------------------------------------------

const folded = [];
addEventListener("beforeprint", () => {
  folded.push(...document.querySelectorAll("#claims details:not([open]), .insight details:not([open])"));
  folded.forEach((details) => { details.open = true; });
});
addEventListener("afterprint", () => folded.splice(0).forEach((details) => { details.open = false; }));
