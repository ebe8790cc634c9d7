// The list before a click and the one after it, side by side.

import { row } from "./cards.js";
import { byId, titleOf } from "./dom.js";

const ROWS = 8;

export function compare(before, after, clicked) {
  const places = (list) => new Map(list.map((item, index) => [item.id, index]));
  const [was, is] = [places(before), places(after)];
  const [left, right] = [before.slice(0, ROWS), after.slice(0, ROWS)];
  const gone = before.filter((item) => !is.has(item.id)).length;
  const come = after.filter((item) => !was.has(item.id)).length;
  byId("before").replaceChildren(...left.map((item, index) => {
    if (item.id === clicked.id) return row(item, index + 1, "in cart", "gone");
    return is.has(item.id) ? row(item, index + 1, "", "") : row(item, index + 1, "left", "gone");
  }));
  let moved = 0;
  byId("after").replaceChildren(...right.map((item, index) => {
    if (!was.has(item.id)) return row(item, index + 1, "new", "new");
    const up = was.get(item.id) - index;
    if (up) moved += 1;
    return row(item, index + 1, up ? `${up > 0 ? "▲" : "▼"} ${Math.abs(up)}` : "", up > 0 ? "up" : up < 0 ? "down" : "");
  }));
  const text = is.has(clicked.id)
    ? `${titleOf(clicked)} is in the cart, and is still recommended: the stack’s seen filter is off or away.`
    : `${titleOf(clicked)} is in the cart and is not recommended again. Of ${before.length}: ${gone} left, ${come} came; ${moved} of the first ${right.length} moved.`;
  byId("compare-text").textContent = text;
  byId("compare").hidden = false;
}

export const hide = () => { byId("compare").hidden = true; };
