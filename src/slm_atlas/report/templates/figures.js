"use strict";
// Figures lie in the page packed (gzip in base64), a tenth of their size; they are unpacked once the page is there.

const unpacked = async (text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
};

const chartOf = (figure, when, picture) => {
  const chart = document.createElement("div");
  chart.className = `chart ${when}`;
  chart.innerHTML = picture; // drawn and escaped when the page was written
  if (when === "always") { // wider than the page: it scrolls, and must be reached by keyboard
    chart.tabIndex = 0;
    chart.setAttribute("role", "region");
    chart.setAttribute("aria-label", chart.firstElementChild.getAttribute("aria-label"));
  }
  figure.insertBefore(chart, figure.querySelector("figcaption"));
};

const showFigure = async (figure) => {
  const { csv, ...pictures } = await unpacked(figure.querySelector("script").textContent);
  for (const [when, picture] of Object.entries(pictures)) chartOf(figure, when, picture);
  const link = figure.querySelector("a[download]");
  link.href = `data:text/csv;charset=utf-8,${encodeURIComponent(csv)}`;
  link.hidden = false;
  figure.classList.remove("packed");
};

// One after the other from the top, with a pause in which the page answers; then to the place that the address names.
const showFigures = async () => {
  for (const figure of document.querySelectorAll("figure.packed")) {
    await showFigure(figure);
    await new Promise((resolve) => setTimeout(resolve));
  }
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
};

showFigures();
