// Builds the package: one ES module for each entry of `exports`, of which `index` has what all of them need, and one for
// each part that is only loaded when it is needed.
import { existsSync, readFileSync } from "node:fs";
import { minify } from "terser";
import { defineConfig, type Plugin, type UserConfig } from "vite";
import { INTERNAL } from "./scripts/internal.ts";

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
  /src\/(?:(?:index|client|emitter|env|errors|load)\.ts|(?:room\/(?!digest)|wire|messages\/messages|link\/(?!stream|events|credentials|claims)))/u;

/** The stylesheet of the parts goes along as it is: who wants other looks can read it. */
const stylesheet: Plugin = {
  name: "stylesheet",
  generateBundle() {
    const source = readFileSync("src/react/parts/parts.css", "utf8");
    this.emitFile({ type: "asset", fileName: "parts.css", source });
  },
};

/** What the internal names have become: the same in all files. */
const names = {};

/** Goes over each file once more, and gives what is only known inside short names. */
const smaller: Plugin = {
  name: "smaller",
  async generateBundle(_, bundle) {
    for (const file of Object.values(bundle)) {
      if (file.type !== "chunk") continue;
      const mapped = bundle[`${file.fileName}.map`];
      const { code = file.code, map } = await minify(file.code, {
        module: true,
        ecma: 2020,
        // Statements make smaller archives than commas.
        compress: {
          passes: 4,
          directives: false,
          sequences: false,
          pure_getters: true,
          unsafe_arrows: true,
          unsafe: true,
        },
        mangle: { properties: { builtins: true, regex: new RegExp(`^(?:${INTERNAL.join("|")})$`, "u") } },
        nameCache: names,
        sourceMap: mapped?.type === "asset" && { content: String(mapped.source), url: `${file.fileName}.map` },
      });
      file.code = code;
      if (mapped?.type === "asset" && typeof map === "string") mapped.source = map;
    }
  },
};

const config: UserConfig = defineConfig({
  plugins: [stylesheet, smaller],
  build: {
    target: "es2022",
    sourcemap: true,
    minify: true,
    lib: {
      entry: Object.fromEntries([...entries].filter(([, path]) => existsSync(path))),
      formats: ["es"],
    },
    rolldownOptions: {
      preserveEntrySignatures: "allow-extension",
      external: [/^react(-dom)?(\/|$)/u],
      onLog(level, log, handle) {
        // The React entries say "use client", and that is kept.
        if (log.code !== "MODULE_LEVEL_DIRECTIVE") handle(level, log);
      },
      output: {
        minify: true,
        chunkFileNames: "[name].js",
        codeSplitting: { groups: [{ name: "core", test: CORE }] },
      },
    },
  },
});

export default config;
