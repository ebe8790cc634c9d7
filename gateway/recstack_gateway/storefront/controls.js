// Who asks, on what, when: made from the live version's schema.

import { byId, make, words } from "./dom.js";

const WHO = { nobody: "Nobody", visitor: "New visitor" };

export class Controls {
  constructor(changed) {
    this.changed = changed;
    this.person = null;
    this.context = {};
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
    byId("person").addEventListener("change", () => this.typed());
  }

  build(schema) {
    this.schema = schema;
    const people = schema.users.examples;
    if (this.mode === undefined && people.length) [this.person, this.mode] = [people[0], people[0]];
    else if (this.mode === undefined) this.mode = "nobody";
    const chips = [...people.map((id) => [id, `Person ${id}`]), ["visitor", WHO.visitor], ["nobody", WHO.nobody]];
    byId("people").replaceChildren(...chips.map(([mode, text]) =>
      make("button", { type: "button", class: "chip", "data-mode": mode, onclick: () => this.choose(mode) }, text)));
    byId("context").replaceChildren(...schema.context.map((column) => this.column(column)));
    this.show();
  }

  column(column) {
    const set = (value) => {
      if (value === null) delete this.context[column.column];
      else this.context[column.column] = value;
      this.changed();
    };
    const name = words(column.column);
    if (column.kind === "category") {
      const options = column.values.map((value, index) => make("option", { value: index, selected: this.context[column.column] === value }, String(value)));
      return make("label", { class: "field" }, name,
        make("select", { "data-column": column.column, onchange: (event) => set(event.target.value === "" ? null : column.values[Number(event.target.value)]) },
          make("option", { value: "" }, "not told"), ...options));
    }
    if (column.kind === "number") {
      return make("label", { class: "field" }, name, make("input", {
        type: "number", step: "any", placeholder: "not told", "data-column": column.column,
        value: this.context[column.column],
        onchange: (event) => set(event.target.value === "" ? null : Number(event.target.value)),
      }));
    }
    // The model's hours are UTC: what is typed is taken as UTC, not as this browser's time.
    const input = make("input", {
      type: "datetime-local", "data-column": column.column, "aria-label": `${name}, UTC; empty: now`,
      onchange: () => set(input.value === "" ? null : Date.parse(`${input.value}Z`) / 1000),
    });
    if (this.context[column.column] !== undefined) input.value = new Date(this.context[column.column] * 1000).toISOString().slice(0, 16);
    const now = make("button", { type: "button", class: "quiet", onclick: () => { input.value = ""; set(null); } }, "Now");
    return make("div", { class: "field" }, make("span", {}, "Time (UTC)"), make("div", { class: "pair" }, input, now));
  }

  choose(mode) {
    this.mode = mode;
    if (mode === "nobody") this.person = null;
    else if (mode === "visitor") {
      // Far above what a catalog of people uses, and below what a number holds exactly.
      this.person = String(2 ** 52 + Math.floor(Math.random() * 2 ** 51));
    } else this.person = mode;
    byId("person").value = mode === "visitor" || mode === "nobody" ? "" : mode;
    byId("person").setCustomValidity("");
    this.show();
    this.changed(true);
  }

  typed() {
    const field = byId("person");
    const text = field.value.trim();
    const fits = /^-?\d{1,19}$/.test(text) && BigInt(text) >= -(2n ** 63n) && BigInt(text) < 2n ** 63n;
    field.setCustomValidity(text === "" || fits ? "" : "A whole number of 64 bits.");
    if (!field.reportValidity()) return;
    if (text === "") this.choose("nobody");
    else if (text !== this.person) this.choose(BigInt(text).toString());
  }

  get name() {
    if (this.mode === "nobody" || this.mode === "visitor") return WHO[this.mode].toLowerCase();
    return `person ${this.person}`;
  }

  show() {
    for (const chip of document.querySelectorAll(".chip")) {
      chip.setAttribute("aria-pressed", String(chip.dataset.mode === this.mode));
    }
    const { users, seen_filter: seen } = this.schema;
    const known = users.count ? `${Number(users.count).toLocaleString("en")} people are known, from ${users.first} to ${users.last}. ` : "";
    const hint = {
      nobody: "Nobody: no history, and clicks leave no trace.",
      visitor: "A new visitor: no history yet, but clicks count from the first.",
    }[this.mode] ?? "";
    byId("person-hint").textContent = known + hint + (seen ? "" : " This stack remembers no clicks (seen filter off).");
  }
}
