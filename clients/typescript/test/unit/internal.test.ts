// Names that the build makes shorter are nobody's but this package's.
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import { INTERNAL } from "../../scripts/internal.ts";

const SRC = resolve(import.meta.dirname, "../../src");
const GOLDEN = resolve(import.meta.dirname, "../../../../presence-core/tests/golden");

/** What applications see; the names of all members are theirs too. */
const PUBLIC = /(?:^|\/)(?:errors|people|tabs|document|outside)\.ts$|^(?:api|react)\//u;

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((file) => /\.tsx?$/u.test(file))
  .map((file) => [file, readFileSync(join(SRC, file), "utf8")] as const);

function names(value: unknown): readonly string[] {
  if (typeof value !== "object" || value === null) return [];
  const inner = Object.values(value).flatMap(names);
  return Array.isArray(value) ? inner : [...Object.keys(value), ...inner];
}

it.each(INTERNAL)("%s is not in the interface", (name) => {
  for (const [file, text] of files) {
    if (PUBLIC.test(file)) expect(text).not.toMatch(new RegExp(`^  (?:readonly |declare )*${name}\\??[:(]`, "mu"));
    // A name in quotes stays as it is; in types it does not matter.
    expect(text).not.toMatch(new RegExp(`(?<![A-Z]\\w*(?:<\\w+>)?)\\["${name}"\\]|^\\s+"${name}":`, "mu"));
  }
});

it("none of them is on the wire", () => {
  const said = readdirSync(GOLDEN).flatMap((file) => names(JSON.parse(readFileSync(join(GOLDEN, file), "utf8"))));
  expect(INTERNAL.filter((name) => said.includes(name))).toEqual([]);
  const readers = files.filter(([file]) =>
    /(?:read|parse|news|shapes|words|people|directory|windows)\.ts$/u.test(file),
  );
  const shapes = readers.flatMap(([, text]) =>
    [...text.matchAll(/["`]([\w:?* ]+)["`]/gu)].map(([, words]) => words ?? ""),
  );
  const fields = shapes
    .filter((words) => /\w:\w|\w\?/u.test(words))
    .flatMap((words) => words.replaceAll(/presence:\w+/gu, "").match(/\w+/gu) ?? []);
  expect(INTERNAL.filter((name) => fields.includes(name))).toEqual([]);
});
