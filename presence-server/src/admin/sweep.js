// Goes through a list of the server's, page by page, again and again at a calm pace, and so knows all of it about as it is.

import { ask } from "/admin/server.js";

const PAGE = 1_000;

// Whoever has more is better served by asking for less.
export const MOST = 20_000;

const REST = 2_000;
const REST_PER_PAGE = 500;

export class Sweep {
  #path;
  #list;
  #id;
  #changed;
  #failed;
  #query = {};
  #round = null;
  items = new Map();
  isWhole = false;
  isCut = false;

  // changed() after every page; failed(error) says after how many milliseconds to go on, or null for never.
  constructor({ path, list, id, changed, failed }) {
    [this.#path, this.#list, this.#id, this.#changed, this.#failed] = [path, list, id, changed, failed];
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.again();
    });
  }

  // From the start, with other words if any are given.
  start(query = this.#query) {
    this.stop();
    if (query !== this.#query) {
      this.items.clear();
      this.isWhole = false;
    }
    this.#query = query;
    this.#round = new AbortController();
    this.#run(this.#round.signal);
  }

  // At once instead of after the pause, if it is at work at all.
  again() {
    if (this.#round !== null) this.start();
  }

  stop() {
    this.#round?.abort();
    this.#round = null;
  }

  // What is known to be gone need not wait to be found missing.
  forget(id) {
    if (this.items.delete(id)) this.#changed();
  }

  async #run(signal) {
    while (!signal.aborted) {
      let rest = REST;
      try {
        if (!document.hidden) rest += REST_PER_PAGE * (await this.#once(signal));
      } catch (error) {
        if (signal.aborted) return;
        rest = this.#failed(error);
        if (rest === null) return this.stop();
      }
      await new Promise((resolve) => setTimeout(resolve, rest));
    }
  }

  async #once(signal) {
    const seen = new Set();
    let [after, pages] = [undefined, 0];
    do {
      const page = await ask(this.#path, { ...this.#query, limit: PAGE, after }, signal);
      if (signal.aborted) return pages;
      for (const item of page[this.#list]) {
        const id = this.#id(item);
        seen.add(id);
        this.items.set(id, item);
      }
      after = page.next;
      pages += 1;
      this.isCut = after !== undefined && seen.size >= MOST;
      if (after !== undefined) this.#changed();
    } while (after !== undefined && !this.isCut);
    for (const id of this.items.keys()) if (!seen.has(id)) this.items.delete(id);
    this.isWhole = true;
    this.#changed();
    return pages;
  }
}
