// Checks what each entry costs a page: what it loads at first, with everything that it imports of this package but what
// its base has brought already; and, beside it, what it may load later. What is measured are the files of `dist` as they
// are, without the line that names the source map, after gzip: what a bundler makes of them, but for what it adds itself.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";

const dist = join(import.meta.dirname, "..", "dist");

// Entry, budget in bytes after gzip, and the entries that a page with this one has loaded in any case.
//
// `index` is all that a page loads that calls `createClient` and `client.room()`, shows who is there, updates its state
// and points: the connection over WebSocket with all that brings it back, and rooms with all that keeps them in step.
const budgets = [
  ["index.js", 8_192, []],
  ["people.js", 2_000, ["index.js"]],
  ["tabs.js", 2_600, ["index.js"]],
  ["react.js", 2_000, ["index.js"]],
  ["parts.js", 5_000, ["index.js", "react.js"]],
];

// What is loaded when it is needed, each on top of `index`:
const later = [
  // with the first message either way, the first key that is told, an `outboxStore`, or after a connection was lost,
  ["post.js", 3_400],
  // where there is `getToken`, before it connects,
  ["credentials.js", 750],
  // when a page has been open for half a minute or is hidden, or an event is missing,
  ["upkeep.js", 1_150],
  // where no WebSocket opens,
  ["stream.js", 1_600],
  // with the first `watch` or `listUsers`,
  ["directory.js", 1_000],
  // with the first `room.window()`,
  ["windows.js", 1_500],
  // and with the first request over HTTP.
  ["request.js", 900],
];

/** What a file is without the line that names its source map. */
function content(path) {
  return readFileSync(path, "utf8").replace(/\n\/\/# sourceMappingURL=.*\n?$/u, "");
}

/** The files that a file loads at once, itself first. */
function files(path, found = new Set()) {
  if (found.has(path)) return found;
  found.add(path);
  const text = content(path);
  for (const [, name] of text.matchAll(/(?:from|import)\s*["'`](\.[^"'`]+)["'`]/gu))
    files(join(dirname(path), name), found);
  return found;
}

let over = 0;
function check(name, budget, base) {
  const entry = join(dist, name);
  if (!existsSync(entry)) return;
  const there = new Set(
    base.filter((one) => existsSync(join(dist, one))).flatMap((one) => [...files(join(dist, one))]),
  );
  const own = [...files(entry)].filter((path) => !there.has(path));
  const size = gzipSync(own.map(content).join("\n"), { level: 9 }).length;
  const good = size <= budget;
  if (!good) over += 1;
  const parts = own.map((path) => relative(dist, path)).join(" + ");
  console.log(`${good ? "ok  " : "OVER"} ${String(size).padStart(6)} of ${String(budget).padStart(6)} B  ${parts}`);
}

for (const [name, budget, base] of budgets) check(name, budget, base);
console.log("later, when it is needed:");
for (const [name, budget] of later) check(name, budget, ["index.js"]);
if (over > 0) {
  console.error(`${over} over budget`);
  process.exit(1);
}
