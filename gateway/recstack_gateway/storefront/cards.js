// An item as a card, and as a row of a comparison.

import { make, titleOf, words } from "./dom.js";
import { picture } from "./picture.js";

function facts(item) {
  const features = Object.entries(item.features ?? {});
  const texts = features.filter(([, value]) => typeof value !== "number");
  const numbers = features.filter(([, value]) => typeof value === "number");
  const chosen = [...texts.slice(0, numbers.length ? 2 : 3), ...numbers.slice(0, 1)];
  if (!chosen.length) return null;
  return make("ul", { class: "facts" }, ...chosen.map(([column, value]) => {
    const text = typeof value === "number" ? `${words(column)} ${value.toLocaleString("en", { maximumFractionDigits: 2 })}` : String(value);
    return make("li", { title: words(column) }, text);
  }));
}

// `more`: what stands under the title; `add`: called with the item.
export function card(item, inCart, add, more = null) {
  const title = titleOf(item);
  const button = make("button", {
    type: "button", class: "add", "aria-label": inCart ? `${title} is in the cart` : `Add ${title} to cart`,
    "aria-disabled": inCart ? "true" : null, "data-item": item.id,
    onclick: () => { if (button.getAttribute("aria-disabled") !== "true") add(item, button); },
  }, inCart ? "In cart ✓" : "Add to cart");
  return make("li", { class: "card" },
    make("div", { class: "picture" }, picture(item.id, item.title)),
    make("div", { class: "card-text" }, make("h3", {}, title), facts(item), more, button));
}

// How an item of a list got there: its score against the best of the list, and its rank before ranking.
export function reason(item, best) {
  const bar = make("span", { class: "fill" });
  bar.style.width = `${Math.max(4, best > 0 ? (item.score / best) * 100 : 0)}%`;
  return make("p", { class: "reason" },
    make("span", { class: "meter", "aria-hidden": "true" }, bar),
    make("span", { title: "what the ranking model gives it" }, `score ${item.score.toFixed(3)}`),
    item.source_rank ? make("span", { class: "hush", title: "its source, and its rank there before ranking" }, `${item.source} #${item.source_rank}`) : null);
}

export function row(item, rank, mark, tone) {
  return make("li", { class: `row ${tone}` },
    make("span", { class: "rank" }, String(rank)),
    make("div", { class: "thumb" }, picture(item.id, item.title)),
    make("div", { class: "what" }, make("span", { class: "name" }, titleOf(item)), mark ? make("span", { class: "mark" }, mark) : null));
}
