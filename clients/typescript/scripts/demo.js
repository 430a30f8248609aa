// Builds the page that the server carries along, and writes it there; with `--check` only says whether it is there.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const root = join(import.meta.dirname, "..");
const folder = join(root, "..", "..", "presence-server", "src", "demo");
const expected = ["index.html", "page.css", "page.js"];

process.env.NODE_ENV = "production";
const { output } = await build({
  configFile: join(root, "demo", "vite.config.ts"),
  logLevel: "warn",
  build: { write: false },
});
const files = new Map(
  output.map((file) => [file.fileName, Buffer.from(file.type === "chunk" ? file.code : file.source)]),
);
if ([...files.keys()].sort().join() !== expected.join()) {
  throw new Error(`the build made ${[...files.keys()].join(", ")}, and not ${expected.join(", ")}`);
}

const stale = [];
for (const [name, content] of files) {
  const path = join(folder, name);
  console.log(`${name}: ${content.length} B, ${gzipSync(content, { level: 9 }).length} B after gzip`);
  if (!process.argv.includes("--check")) writeFileSync(path, content);
  else if (!content.equals(readFileSync(path))) stale.push(name);
}
if (stale.length > 0) {
  console.error(
    `presence-server/src/demo is not what clients/typescript/demo makes: ${stale.join(", ")}; npm run demo`,
  );
  process.exit(1);
}
