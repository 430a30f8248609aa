// Reads what Prometheus reads, and makes rates and latencies of two readings.

const LINE = /^([A-Za-z_]\w*)(?:\{(.*)\})? (\S+)$/;
const BOUND = /(?:^|,)le="([^"]*)"/;

// Latencies are those of the last so many readings: one alone has too few.
const READINGS = 10;

// How many readings are kept: five minutes.
const KEPT = 300;

function parse(text) {
  const [totals, buckets] = [new Map(), new Map()];
  for (const line of text.split("\n")) {
    const [, name, labels, number] = LINE.exec(line) ?? [];
    if (name === undefined) continue;
    const value = Number(number);
    const bound = labels === undefined ? null : BOUND.exec(labels);
    if (bound === null) {
      totals.set(name, (totals.get(name) ?? 0) + value);
      continue;
    }
    const histogram = buckets.get(name) ?? new Map();
    const le = bound[1] === "+Inf" ? Infinity : Number(bound[1]);
    histogram.set(le, (histogram.get(le) ?? 0) + value);
    buckets.set(name, histogram);
  }
  return { totals, buckets };
}

// The value below which a share lies of what was observed between two readings; null if there was nothing.
export function quantile(before, after, share) {
  if (after === undefined) return null;
  const bounds = [...after.keys()].sort((a, b) => a - b);
  const grown = bounds.map((bound) => after.get(bound) - (before?.get(bound) ?? 0));
  const all = grown.at(-1) ?? 0;
  if (!(all > 0) || grown.some((number) => number < 0)) return null;
  const at = grown.findIndex((number) => number >= all * share);
  const [low, high] = [at === 0 ? 0 : bounds[at - 1], bounds[at]];
  if (high === Infinity) return low;
  const [from, to] = [at === 0 ? 0 : grown[at - 1], grown[at]];
  return to === from ? high : low + ((high - low) * (all * share - from)) / (to - from);
}

// What was seen since the page was opened.
export class Readings {
  #readings = [];

  add(at, text) {
    this.#readings.push({ at, ...parse(text) });
    if (this.#readings.length > KEPT) this.#readings.shift();
  }

  get last() {
    return this.#readings.at(-1);
  }

  // A gauge, or all that a counter has counted.
  total(name) {
    return this.last?.totals.get(name) ?? null;
  }

  // How much a counter has grown per second since the reading before; null after a restart.
  rate(name) {
    const [before, after] = this.#readings.slice(-2);
    if (after === undefined) return null;
    const grown = (after.totals.get(name) ?? 0) - (before.totals.get(name) ?? 0);
    const rate = grown / ((after.at - before.at) / 1_000);
    return grown >= 0 && Number.isFinite(rate) ? rate : null;
  }

  latency(name, share) {
    const before = this.#readings.at(-1 - READINGS) ?? this.#readings[0];
    const bucket = `${name}_bucket`;
    if (before === undefined || before === this.last) return null;
    return quantile(before.buckets.get(bucket), this.last.buckets.get(bucket), share);
  }
}
