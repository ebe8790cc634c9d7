// Pages of the catalog, with search.

import { items } from "./api.js";
import { card } from "./cards.js";
import { byId, number } from "./dom.js";

const LIMIT = 24;

export class Catalog {
  constructor(add, inCart, failed) {
    Object.assign(this, { add, inCart, failed, cursors: [null], turn: 0, total: 0 });
    let typing;
    byId("search").addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => this.first(), 200);
    });
    byId("next").addEventListener("click", () => this.go(this.next));
    byId("previous").addEventListener("click", () => {
      this.cursors.pop();
      this.load();
    });
  }

  first() {
    this.cursors = [null];
    return this.load();
  }

  go(cursor) {
    this.cursors.push(cursor);
    return this.load();
  }

  async load() {
    this.turn += 1;
    const [turn, query] = [this.turn, byId("search").value.trim()];
    try {
      const page = await items(query, this.cursors.at(-1), LIMIT);
      if (turn !== this.turn) return; // a later question was asked meanwhile
      this.show(page, query);
    } catch (problem) {
      this.failed(problem);
    }
  }

  show(page, query) {
    this.shown = page.items;
    this.next = page.next;
    this.draw();
    byId("page").textContent = `Page ${this.cursors.length}`;
    for (const [id, off] of [["previous", this.cursors.length === 1], ["next", page.next === null]]) {
      const button = byId(id);
      // A button that is turned off loses the focus: hand it on, do not drop it.
      if (off && document.activeElement === button) byId(id === "next" ? "previous" : "next").focus();
      button.disabled = off;
    }
    if (document.activeElement === document.body && this.cursors.length > 1) byId("previous").focus();
    const many = page.next === null && this.cursors.length === 1 ? number(page.items.length) : "more than one page";
    byId("catalog-text").textContent = query
      ? page.items.length ? `“${query}”: ${many} found` : `Nothing is called “${query}”`
      : `${number(this.total)} items`;
  }

  draw() {
    byId("grid").replaceChildren(...(this.shown ?? []).map((item) => card(item, this.inCart(item.id), this.add)));
  }
}
