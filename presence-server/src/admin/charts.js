// Lines over time. Numbers stand in the legend as text, those of now or those under the pointer.

import { drawn, element, say } from "/admin/elements.js";

const SPAN = 180_000;
const WIDTH = 600;
const HEIGHT = 140;

// The next number of the kind 1, 2, 5, 10 …
function ceiling(number) {
  if (!(number > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 5, 10].find((step) => step * unit >= number) * unit;
}

export class Chart {
  #title;
  #format;
  #least;
  #series;
  #points = [];
  #svg;
  #top;
  #when;
  #marker;
  #pointer = null;

  // series: names of lines. least: the scale does not end below it.
  constructor(place, { title, note, series, format, least = 1 }) {
    [this.#title, this.#format, this.#least] = [title, format, least];
    this.#series = series.map((name, number) => ({
      name,
      value: element("span", { class: "value" }, "–"),
      path: drawn("path", { class: `line line-${number}`, "vector-effect": "non-scaling-stroke" }),
      area: number === 0 ? drawn("path", { class: "area" }) : null,
    }));
    const grid = [0.25, 0.5, 0.75].map((share) =>
      drawn("path", { class: "grid", d: `M0 ${HEIGHT * share}H${WIDTH}`, "vector-effect": "non-scaling-stroke" }),
    );
    this.#marker = drawn("path", { class: "marker", "vector-effect": "non-scaling-stroke" });
    this.#svg = drawn(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
      ...grid,
      ...this.#series.flatMap(({ path, area }) => (area ? [area, path] : [path])),
      this.#marker,
    );
    this.#top = element("span", { class: "top", "aria-hidden": "true" });
    this.#when = element("span", { class: "when" }, "now");
    const legend = this.#series.map(({ name, value }, number) =>
      element("li", {}, element("span", { class: `swatch swatch-${number}`, "aria-hidden": "true" }), `${name} `, value),
    );
    place.append(
      element("figcaption", {}, element("h2", {}, title), element("span", { class: "note" }, note)),
      element("div", { class: "plot" }, this.#svg, this.#top),
      element("ul", { class: "legend" }, ...legend, element("li", { class: "moment" }, this.#when)),
    );
    this.#svg.addEventListener("pointermove", (event) => {
      const box = this.#svg.getBoundingClientRect();
      this.#pointer = (event.clientX - box.left) / box.width;
      this.draw();
    });
    this.#svg.addEventListener("pointerleave", () => {
      this.#pointer = null;
      this.draw();
    });
  }

  // One value for each line; null is a gap.
  add(at, values) {
    this.#points.push({ at, values });
    while (this.#points.length > 0 && this.#points[0].at < at - SPAN - 5_000) this.#points.shift();
    this.draw();
  }

  draw() {
    const last = this.#points.at(-1);
    if (last === undefined) return;
    const from = last.at - SPAN;
    const highest = Math.max(this.#least, ...this.#points.flatMap(({ values }) => values.map((value) => value ?? 0)));
    const scale = ceiling(highest);
    const x = (at) => (((at - from) / SPAN) * WIDTH).toFixed(1);
    const y = (value) => (HEIGHT - (value / scale) * (HEIGHT - 4) - 2).toFixed(1);
    for (const [number, { path, area }] of this.#series.entries()) {
      const runs = this.#runs(number);
      const lines = runs.map((run) => run.map(({ at, values }) => `${x(at)} ${y(values[number])}`).join("L"));
      path.setAttribute("d", lines.map((line) => `M${line}`).join(""));
      const filled = lines.map((line, at) => `M${x(runs[at][0].at)} ${HEIGHT}L${line}V${HEIGHT}Z`);
      area?.setAttribute("d", filled.join(""));
    }
    say(this.#top, this.#format(scale));
    this.#tell(from, last, x);
  }

  // Points without a gap between them. Of one alone there is no line.
  #runs(number) {
    const runs = [];
    let run = [];
    for (const point of this.#points) {
      const before = run.at(-1);
      if (point.values[number] === null || (before && point.at - before.at > 5_000)) {
        runs.push(run);
        run = [];
      }
      if (point.values[number] !== null) run.push(point);
    }
    return [...runs, run].filter(({ length }) => length > 1);
  }

  #tell(from, last, x) {
    let shown = last;
    if (this.#pointer !== null) {
      const at = from + this.#pointer * SPAN;
      const far = (point) => Math.abs(point.at - at);
      shown = this.#points.reduce((best, point) => (far(point) < far(best) ? point : best), last);
    }
    const text = (value) => (value === null ? "–" : this.#format(value));
    for (const [number, { value }] of this.#series.entries()) say(value, text(shown.values[number]));
    const ago = Math.round((last.at - shown.at) / 1_000);
    say(this.#when, ago === 0 ? "now" : `${ago} s ago`);
    this.#marker.setAttribute("d", this.#pointer === null ? "" : `M${x(shown.at)} 0V${HEIGHT}`);
    const told = this.#series.map(({ name }, number) => `${name} ${text(last.values[number])}`);
    this.#svg.setAttribute("aria-label", `${this.#title}, now: ${told.join(", ")}`);
  }
}
