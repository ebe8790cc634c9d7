// What the request did: time by stage, candidates by step, origin of each item.

import { byId, make, number, titleOf } from "./dom.js";

const milliseconds = (value) => (value >= 10 ? value.toFixed(1) : value >= 0.1 ? value.toFixed(2) : value.toFixed(3));

const STEPS = {
  catalog: "items in the catalog", retrieved: "retrieved by the query tower", seen_filtered: "taken out: seen already",
  trending: "of what is trending", ranked: "ranked", returned: "shown",
};

function figure(value, text) {
  return make("div", { class: "figure" }, make("b", {}, value), make("span", {}, text));
}

function stages(explain) {
  const entries = Object.entries(explain.stages);
  const most = Math.max(...entries.map(([, ms]) => ms), 1e-9);
  const rows = entries.map(([stage, ms]) => {
    const fill = make("span", { class: "fill" });
    fill.style.width = `${Math.max(1, (ms / most) * 100)}%`;
    return make("tr", {}, make("th", { scope: "row" }, stage),
      make("td", { class: "bar-cell" }, make("span", { class: "meter", "aria-hidden": "true" }, fill)),
      make("td", { class: "ms" }, milliseconds(ms)));
  });
  return make("table", { class: "stages" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Stage"), make("td", {}), make("th", { scope: "col", class: "ms" }, "ms"))),
    make("tbody", {}, ...rows));
}

function funnel(explain) {
  const counts = explain.candidates;
  const most = Math.log1p(Math.max(counts.catalog, 1));
  return make("ol", { class: "funnel" }, ...Object.entries(STEPS).filter(([step]) => step in counts).map(([step, text]) => {
    const fill = make("span", { class: `fill ${step}` });
    // Logarithmic: from a million to twenty, each step must still be seen.
    fill.style.width = `${counts[step] ? Math.max(2, (Math.log1p(counts[step]) / most) * 100) : 0}%`;
    return make("li", { "data-step": step }, make("b", {}, number(counts[step])), make("span", {}, text),
      make("span", { class: "meter", "aria-hidden": "true" }, fill));
  }));
}

function origins(items) {
  const rows = items.slice(0, 10).map((item, index) => make("tr", {},
    make("td", {}, `#${index + 1}`), make("th", { scope: "row" }, titleOf(item)),
    make("td", {}, item.source), make("td", { class: "ms" }, `#${item.source_rank}`)));
  return make("table", { class: "origins" },
    make("thead", {}, make("tr", {}, ...["Now", "Item", "Source", "Rank there"].map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...rows));
}

export function fill(answer) {
  const { explain, took } = answer;
  const inside = Object.values(explain?.stages ?? {}).reduce((sum, ms) => sum + ms, 0);
  const told = explain
    ? [make("h3", {}, "Time by stage"), stages(explain), make("h3", {}, "Candidates by step"), funnel(explain),
      make("h3", {}, "Where the first ones came from"), origins(answer.items)]
    : [make("p", { class: "sub" }, "This version does not tell how an answer came about.")];
  byId("drawer-body").replaceChildren(
    make("p", { class: "sub" }, `Answered by ${answer.version}${answer.degraded ? ", unfiltered: what this person saw could not be read" : ""}.`),
    make("div", { class: "figures" },
      explain ? figure(`${milliseconds(inside)} ms`, "in the stages") : "",
      took.triton === null ? "" : figure(`${milliseconds(took.triton)} ms`, "gateway to Triton and back"),
      figure(`${milliseconds(took.browser)} ms`, "seen from this browser")),
    ...told);
}

export function wire() {
  const drawer = byId("drawer");
  byId("open-drawer").addEventListener("click", () => drawer.showModal());
  byId("close-drawer").addEventListener("click", () => drawer.close());
  // A click on the backdrop is one on the dialog itself.
  drawer.addEventListener("click", (event) => { if (event.target === drawer) drawer.close(); });
}
