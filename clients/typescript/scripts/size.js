// Checks what each entry costs a page, with everything it imports of this package but what its base brings already.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";

const dist = join(import.meta.dirname, "..", "dist");

// Entry, budget in bytes after gzip, and the entries that a page with this one has loaded in any case. `index` is all of
// the core, with messages, both transports and people; `presence` has rooms over WebSocket only.
const budgets = [
  ["presence.js", 10_250, []],
  ["index.js", 8_000, []],
  ["people.js", 2_000, ["index.js"]],
  ["tabs.js", 4_250, ["index.js"]],
  ["react.js", 2_000, ["index.js"]],
  ["parts.js", 5_000, ["index.js", "react.js"]],
];

/** The files that a file loads, itself first. */
function files(path, found = new Set()) {
  if (found.has(path)) return found;
  found.add(path);
  const text = readFileSync(path, "utf8");
  for (const [, name] of text.matchAll(/(?:from|import)\s*["'](\.[^"']+)["']/gu))
    files(join(dirname(path), name), found);
  return found;
}

let over = 0;
for (const [name, budget, base] of budgets) {
  const entry = join(dist, name);
  if (!existsSync(entry)) continue;
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
if (over > 0) {
  console.error(`${over} over budget`);
  process.exit(1);
}
