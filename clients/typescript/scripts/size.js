// Checks what each entry costs a page: what it loads at first, with everything that it imports of this package but what
// its base has brought already; and, beside it, what it may load later.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";

const dist = join(import.meta.dirname, "..", "dist");

// Entry, budget in bytes after gzip, and the entries that a page with this one has loaded in any case.
//
// `index` is what a page loads at first that calls `createClient`, `client.room()` and `send`: the connection over
// WebSocket with all that brings it back, rooms with all that keeps them in step, and messages both ways. Its goal is
// 8,000; this ceiling is where it is, so that it can only sink. Nothing of it may come later without harm: what repairs
// a loss has to be there when the network has failed.
const budgets = [
  ["index.js", 11_650, []],
  ["people.js", 2_000, ["index.js"]],
  ["tabs.js", 2_600, ["index.js"]],
  ["react.js", 2_000, ["index.js"]],
  ["parts.js", 5_000, ["index.js", "react.js"]],
];

// What is loaded when it is needed, each on top of `index`: where no WebSocket opens, with the first `watch` or
// `listUsers`, with the first request over HTTP, and with an `outboxStore`.
const later = [
  ["shared-stream.js", 1_600],
  ["shared-directory.js", 1_000],
  ["shared-request.js", 900],
  ["shared-keeper.js", 600],
];

/** The files that a file loads at once, itself first. */
function files(path, found = new Set()) {
  if (found.has(path)) return found;
  found.add(path);
  const text = readFileSync(path, "utf8");
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
  const size = gzipSync(Buffer.concat(own.map((path) => readFileSync(path))), { level: 9 }).length;
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
