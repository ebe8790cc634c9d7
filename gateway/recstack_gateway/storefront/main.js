// The page: asks, shows, and asks again after a click.

import * as api from "./api.js";
import { card, reason } from "./cards.js";
import { Catalog } from "./catalog.js";
import * as comparison from "./compare.js";
import { Controls } from "./controls.js";
import { byId, make, number, titleOf } from "./dom.js";
import * as drawer from "./drawer.js";

const SHOWN = 20;
const cart = new Map();
const facts = { version: null, items: new Map() };
let schema = null;
let answer = null;
let turn = 0;

const controls = new Controls((other) => {
  comparison.hide();
  if (other) emptyCart();
  ask();
});
const catalog = new Catalog(add, (id) => cart.has(id), failed);

function toast(text) {
  const place = byId("toast");
  place.textContent = text;
  place.classList.add("shown");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => place.classList.remove("shown"), 4000);
}

function failed(problem, again = null) {
  byId("notice").textContent = problem.message;
  byId("notice").hidden = false;
  if (again && problem.retry) setTimeout(again, problem.retry * 1000);
}

async function load() {
  try {
    schema = await api.schema();
  } catch (problem) {
    failed(problem, load);
    return;
  }
  byId("notice").hidden = true;
  byId("version").textContent = schema.version;
  byId("live").hidden = false;
  catalog.total = schema.items.count;
  controls.build(schema);
  await Promise.all([ask(), catalog.first()]);
}

// Returns the new answer, or null when it was overtaken or failed.
async function ask() {
  turn += 1;
  const mine = turn;
  byId("rail").setAttribute("aria-busy", "true");
  try {
    const found = await api.recommend(controls.person, controls.context, Math.min(SHOWN, schema.top_k));
    await describe(found);
    if (mine !== turn) return null;
    byId("notice").hidden = true;
    answer = found;
    show();
    if (found.version !== schema.version) load(); // another version went live meanwhile
    return found;
  } catch (problem) {
    if (mine === turn) failed(problem, ask);
    return null;
  } finally {
    if (mine === turn) byId("rail").removeAttribute("aria-busy");
  }
}

// Gives the items what the catalog knows of them; an answer without is still one.
async function describe(found) {
  if (facts.version !== found.version) Object.assign(facts, { version: found.version, items: new Map() });
  const unknown = found.items.map((item) => item.id).filter((id) => !facts.items.has(id));
  try {
    for (const item of await api.byIds(unknown)) facts.items.set(item.id, item.features);
  } catch { /* shown without */ }
  for (const item of found.items) item.features = facts.items.get(item.id);
}

function show() {
  const best = Math.max(...answer.items.map((item) => item.score), 0);
  const cards = answer.items.map((item) => card(item, cart.has(item.id), add, reason(item, best)));
  byId("carousel").replaceChildren(...cards);
  byId("rail").scrollTo({ left: 0 });
  const counts = answer.explain?.candidates;
  const text = answer.items.length
    ? `The best ${number(answer.items.length)}${counts ? ` of ${number(counts.catalog)}` : ""} for ${controls.name}, in ${answer.took.browser.toFixed(0)} ms`
    : `Nothing is left for ${controls.name}: all that could be found was seen.`;
  byId("summary").textContent = answer.degraded ? `${text}; unfiltered, as what was seen cannot be read now` : text;
  drawer.fill(answer);
}

async function add(item, button) {
  const before = answer;
  const rail = byId("carousel").contains(button);
  button.setAttribute("aria-disabled", "true");
  button.textContent = "Adding…";
  try {
    await api.cart(controls.person, item.id);
  } catch (problem) {
    button.removeAttribute("aria-disabled");
    button.textContent = "Add to cart";
    failed(problem);
    return;
  }
  cart.set(item.id, item);
  showCart();
  const after = await ask();
  catalog.draw();
  if (controls.person === null) toast(`${titleOf(item)} is in the cart. Nobody is asking, so the list stays: choose a person to see an effect.`);
  else {
    toast(`${titleOf(item)} is in the cart.`);
    if (before && after) comparison.compare(before.items, after.items, item);
  }
  // What had the focus was drawn anew: give it to the same item, or to what took its place.
  if (document.activeElement === document.body) {
    const same = document.querySelector(`${rail ? "#carousel" : "#grid"} [data-item="${CSS.escape(item.id)}"]`);
    (same ?? (rail ? document.querySelector("#carousel .add") : null) ?? byId("rail")).focus({ preventScroll: true });
  }
}

function emptyCart() {
  cart.clear();
  showCart();
  catalog.draw();
}

function showCart() {
  byId("cart-count").textContent = String(cart.size);
  byId("cart-empty").hidden = cart.size > 0;
  byId("forget").hidden = cart.size === 0 || controls.person === null;
  byId("cart-items").replaceChildren(...[...cart.values()].map((item) => make("li", {}, titleOf(item))));
}

byId("forget").addEventListener("click", async () => {
  try {
    await api.forget(controls.person);
  } catch (problem) {
    failed(problem);
    return;
  }
  byId("cart").open = false;
  byId("cart").querySelector("summary").focus();
  comparison.hide();
  emptyCart();
  await ask();
  toast("All that was kept of this person’s clicks is gone.");
});

byId("cart").addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !byId("cart").open) return;
  byId("cart").open = false;
  byId("cart").querySelector("summary").focus();
});
document.addEventListener("click", (event) => {
  if (!byId("cart").contains(event.target)) byId("cart").open = false;
});

for (const [id, way] of [["back", -1], ["forth", 1]]) {
  byId(id).addEventListener("click", () => byId("rail").scrollBy({ left: way * byId("rail").clientWidth * 0.8 }));
}
drawer.wire();
load();
