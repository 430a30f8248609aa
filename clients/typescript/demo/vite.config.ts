// Builds the page: one document, one script, one stylesheet, the same bytes wherever it is built.
import { fileURLToPath } from "node:url";
import { defineConfig, type UserConfig } from "vite";

const preact = (entry: string): string => fileURLToPath(import.meta.resolve(entry));

const config: UserConfig = defineConfig({
  root: import.meta.dirname,
  base: "./",
  resolve: {
    // The page is React code, and runs on Preact: a fifth of the size, and the server carries it along.
    alias: [
      { find: /^react(-dom)?$/u, replacement: preact("preact/compat") },
      { find: "react-dom/client", replacement: preact("preact/compat/client") },
      { find: /^react\/jsx(-dev)?-runtime$/u, replacement: preact("preact/jsx-runtime") },
    ],
  },
  build: {
    target: "es2022",
    // What the parts are written in: `light-dark()`.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    modulePreload: false,
    rolldownOptions: {
      onLog(level, log, handle) {
        // The React entries say "use client", which means nothing here.
        if (log.code !== "MODULE_LEVEL_DIRECTIVE") handle(level, log);
      },
      output: {
        entryFileNames: "page.js",
        assetFileNames: "page[extname]",
        codeSplitting: false,
      },
    },
  },
});

export default config;
