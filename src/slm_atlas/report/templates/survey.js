// The survey's figures lie in the page packed (gzip in base64); they are unpacked one by one once the page is there.
"use strict";

const unpacked = async (text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
};

const showFigure = async (figure) => {
  const found = await unpacked(figure.querySelector("script").textContent);
  for (const when of ["wide", "narrow"]) figure.querySelector(`.chart.${when}`).innerHTML = found[when];
  const link = figure.querySelector("a[download]");
  link.href = `data:text/csv;charset=utf-8,${encodeURIComponent(found.csv)}`;
  link.hidden = false;
  figure.classList.remove("packed");
};

// The figure that the address names comes first, then those from the top; a pause lets the page answer in between.
const showFigures = async () => {
  const named = document.getElementById(location.hash.slice(1));
  const waiting = [...document.querySelectorAll("figure.packed")];
  waiting.sort((one, other) => (other === named) - (one === named));
  for (const figure of waiting) {
    await showFigure(figure);
    await new Promise((resolve) => setTimeout(resolve));
  }
  named?.scrollIntoView();
};

addEventListener("load", showFigures);
