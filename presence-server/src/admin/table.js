// A table that is sorted, searched and leafed through, of which only one page is ever in the document.

import { button, count, element, say } from "/admin/elements.js";

const ROWS = 50;
const canHover = matchMedia("(hover: hover)");

export class Table {
  #body;
  #columns;
  #heads = new Map();
  #items = [];
  #rows = new Map();
  #sort;
  #page = 0;
  #make;
  #id;
  #range = element("span", { class: "range" });
  #back;
  #on;
  #frame = 0;

  // columns: {name, title, value(item), isNumber, start}; make(item) → {row, update(item)}.
  constructor(table, { columns, sort, id, make }) {
    [this.#columns, this.#sort, this.#id, this.#make] = [columns, sort, id, make];
    const heads = columns.map((column) => this.#head(column));
    this.#body = element("tbody");
    table.append(element("thead", {}, element("tr", {}, ...heads)), this.#body);
    this.#back = button("Previous", {}, () => this.#leaf(-1));
    this.#on = button("Next", {}, () => this.#leaf(1));
    const pager = element("nav", { class: "pager", "aria-label": `Pages of ${table.getAttribute("aria-label")}` });
    pager.append(this.#back, this.#range, this.#on);
    table.closest(".scroll").after(pager);
    this.#body.addEventListener("pointerleave", () => this.#soon());
    this.#mark();
  }

  #head(column) {
    const head = element("th", { scope: "col", class: column.isNumber ? "number" : "" });
    if (column.value) head.append(button(column.title, { class: "sort" }, () => this.#by(column)));
    else head.append(element("span", { class: "unseen" }, column.title));
    this.#heads.set(column.name, head);
    return head;
  }

  #by(column) {
    const isSame = this.#sort.name === column.name;
    // Numbers are of interest from the largest on.
    this.#sort = { name: column.name, falls: isSame ? !this.#sort.falls : column.isNumber === true };
    this.#page = 0;
    this.#mark();
    this.draw();
  }

  #mark() {
    for (const [name, head] of this.#heads) {
      const order = this.#sort.falls ? "descending" : "ascending";
      if (name === this.#sort.name) head.setAttribute("aria-sort", order);
      else head.removeAttribute("aria-sort");
    }
  }

  #leaf(by) {
    this.#page += by;
    this.draw();
  }

  first() {
    this.#page = 0;
  }

  show(items) {
    this.#items = items;
    this.#soon();
  }

  #soon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.draw();
    });
  }

  #sorted() {
    const { value } = this.#columns.find(({ name }) => name === this.#sort.name);
    const way = this.#sort.falls ? -1 : 1;
    const keyed = this.#items.map((item) => [value(item), this.#id(item), item]);
    // What is not known stands last, whichever way.
    const compare = ([a, idA], [b, idB]) => {
      if ((a === null) !== (b === null)) return a === null ? 1 : -1;
      if (a !== b) return a < b ? -way : way;
      return idA < idB ? -1 : Number(idA > idB);
    };
    return keyed.sort(compare).map(([, , item]) => item);
  }

  draw() {
    const pages = Math.max(1, Math.ceil(this.#items.length / ROWS));
    this.#page = Math.min(Math.max(0, this.#page), pages - 1);
    const start = this.#page * ROWS;
    let shown = this.#sorted().slice(start, start + ROWS);
    // Under the pointer nothing moves but what is gone: one does not want to hit another's button.
    if (canHover.matches && this.#body.matches(":hover")) shown = this.#held(shown);
    this.#place(shown);
    const end = start + shown.length;
    const range = `${count(start + 1)}–${count(end)} of ${count(this.#items.length)}`;
    say(this.#range, this.#items.length === 0 ? "none" : range);
    this.#back.disabled = this.#page === 0;
    this.#on.disabled = this.#page >= pages - 1;
  }

  #held(shown) {
    const byId = new Map(this.#items.map((item) => [this.#id(item), item]));
    const held = [...this.#rows.keys()].map((id) => byId.get(id)).filter((item) => item !== undefined);
    return held.length > 0 ? held : shown;
  }

  #place(shown) {
    const focused = this.#body.contains(document.activeElement) ? document.activeElement : null;
    const rows = new Map();
    for (const item of shown) {
      const id = this.#id(item);
      const made = this.#rows.get(id) ?? this.#make(item);
      made.update(item);
      rows.set(id, made);
    }
    for (const [id, { row }] of this.#rows) if (!rows.has(id)) row.remove();
    this.#rows = rows;
    [...rows.values()].forEach(({ row }, at) => {
      if (this.#body.children[at] !== row) this.#body.insertBefore(row, this.#body.children[at] ?? null);
    });
    if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  }
}
