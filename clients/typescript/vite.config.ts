// Builds the package: one ES module for each entry of `exports`, one for what they share, and one for each part that is
// only loaded when it is needed.
import { existsSync, readFileSync } from "node:fs";
import { minify } from "terser";
import { defineConfig, type Plugin, type UserConfig } from "vite";

// Each entry of the package, by the name of its file in `dist`. What is not written yet is left out.
const entries = new Map([
  ["index", "src/index.ts"],
  ["people", "src/people.ts"],
  ["tabs", "src/tabs.ts"],
  ["react", "src/react/index.ts"],
  ["parts", "src/react/parts/index.ts"],
]);

/** The stylesheet of the parts goes along as it is: who wants other looks can read it. */
const stylesheet: Plugin = {
  name: "stylesheet",
  generateBundle() {
    const source = readFileSync("src/react/parts/parts.css", "utf8");
    this.emitFile({ type: "asset", fileName: "parts.css", source });
  },
};

/** A second minifier still finds something: what it leaves is renamed by the first. */
const smaller: Plugin = {
  name: "smaller",
  async renderChunk(chunk) {
    const { code = "", map } = await minify(chunk, {
      module: true,
      ecma: 2020,
      compress: { passes: 3, unsafe_arrows: true, unsafe_methods: true },
      mangle: false,
      sourceMap: { asObject: true },
    });
    return { code, map: typeof map === "object" ? JSON.stringify(map) : null };
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
      external: [/^react(-dom)?(\/|$)/u],
      onLog(level, log, handle) {
        // The React entries say "use client", and that is kept.
        if (log.code !== "MODULE_LEVEL_DIRECTIVE") handle(level, log);
      },
      output: { chunkFileNames: "shared-[name].js", minify: true },
    },
  },
});

export default config;
