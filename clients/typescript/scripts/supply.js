// Checks where the packages come from that this one is made with, and under which licences: none travels with it, but
// every one of them runs here.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const LICENCES = new Set([
  "MIT",
  "MIT OR Apache-2.0",
  "Apache-2.0",
  "ISC",
  "0BSD",
  "BSD-2-Clause",
  "BSD-3-Clause",
  // Tools that are used as they are: axe-core, lightningcss.
  "MPL-2.0",
]);
/** Those that run something when they are installed. */
const INSTALLERS = new Set(["fsevents"]);

const root = join(import.meta.dirname, "..");
const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
const packages = new Map(Object.entries(lock.packages));
packages.delete("");

const wrong = [];
for (const [path, { license, resolved, integrity, hasInstallScript = false, dev = false }] of packages) {
  const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
  if (!LICENCES.has(license)) wrong.push(`${name} is under ${license}`);
  // A package of the registry is known by its name and its checksum; an address means that it is from elsewhere.
  if (resolved) wrong.push(`${name} comes from ${resolved}`);
  if (!integrity) wrong.push(`${name} could be anything: there is no checksum`);
  if (hasInstallScript && !INSTALLERS.has(name)) wrong.push(`${name} runs something when it is installed`);
  if (!dev) wrong.push(`${name} would travel with the package`);
}
console.log(`${packages.size} packages`);
if (wrong.length > 0) {
  console.error(wrong.join("\n"));
  process.exit(1);
}
