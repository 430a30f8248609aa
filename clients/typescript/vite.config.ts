// Builds the package: one ES module for each entry of `exports`, one for what they share, and one for each part that is
// only loaded when it is needed.
import { existsSync, readFileSync } from "node:fs";
import { defineConfig, type Plugin, type UserConfig } from "vite";

// Each entry of the package, by the name of its file in `dist`. What is not written yet is left out.
const entries = new Map([
  ["index", "src/index.ts"],
  ["people", "src/people.ts"],
  ["tabs", "src/tabs.ts"],
  ["react", "src/react/index.ts"],
  ["parts", "src/react/parts/index.ts"],
]);

/** What every page loads, in one file: all but what is loaded when it is needed. */
const CORE =
  /src\/(?:(?:client|activity|emitter|env|errors|load)\.ts|(?:room|wire|link|messages)\/(?!stream\.|events\.|keeper\.))/u;

/** The stylesheet of the parts goes along as it is: who wants other looks can read it. */
const stylesheet: Plugin = {
  name: "stylesheet",
  generateBundle() {
    const source = readFileSync("src/react/parts/parts.css", "utf8");
    this.emitFile({ type: "asset", fileName: "parts.css", source });
  },
};

const config: UserConfig = defineConfig({
  plugins: [stylesheet],
  build: {
    target: "es2022",
    sourcemap: true,
    minify: true,
    lib: {
      entry: Object.fromEntries([...entries].filter(([, path]) => existsSync(path))),
      formats: ["es"],
    },
    rolldownOptions: {
      external: [/^react(-dom)?(\/|$)/u],
      onLog(level, log, handle) {
        // The React entries say "use client", and that is kept.
        if (log.code !== "MODULE_LEVEL_DIRECTIVE") handle(level, log);
      },
      output: {
        chunkFileNames: "shared-[name].js",
        minify: true,
        codeSplitting: { groups: [{ name: "core", test: CORE }] },
      },
    },
  },
});

export default config;
