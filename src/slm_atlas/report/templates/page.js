"use strict";
// Charts: drawn to the width there is; panels stand below each other where they would not fit side by side.
const specs = JSON.parse(document.getElementById("specs")?.textContent ?? "{}");

function fitted(spec, width) {
  const narrow = width < 640;
  const copy = structuredClone(spec);
  copy.config.axisY.labelLimit = narrow ? 120 : 190;
  copy.config.legend.columns = narrow ? 2 : 6;
  copy.config.legend.labelLimit = narrow ? 200 : 240;
  if (copy.concat) {
    copy.columns = narrow ? 1 : 2;
    copy.spacing = narrow ? 88 : 64;
    const room = narrow ? width - 60 : (width - 64 - 60) / 2;
    for (const panel of copy.concat) panel.width = Math.max(room, 160);
  } else {
    copy.width = "container";
  }
  return copy;
}

function draw() {
  const theme = darkness.matches ? "dark" : "light";
  for (const place of document.querySelectorAll("[data-chart]")) {
    const spec = fitted(specs[place.dataset.chart], place.clientWidth);
    vegaEmbed(place, spec, { actions: false, renderer: "svg", logLevel: 1, tooltip: { theme } });
  }
}

const darkness = matchMedia("(prefers-color-scheme: dark)");
let drawnAt = 0;
function redraw() {
  if (document.body.clientWidth === drawnAt) return;
  drawnAt = document.body.clientWidth;
  draw();
}
redraw();
let waiting;
addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(redraw, 150); });
darkness.addEventListener("change", draw);

// Tables: a heading sorts its column, numbers as numbers; what is missing stays last.
function sortBy(table, column, ascending) {
  const value = (row) => row.cells[column].dataset.sort;
  const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  const rows = [...table.tBodies[0].rows].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === "" || b === "") return (a === "") - (b === "");
    return ascending ? compare(a, b) : compare(b, a);
  });
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.addEventListener("click", () => {
    const ascending = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of headings) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    sortBy(table, column, ascending);
  }));
}
