// Two kinds of tests: those that need nothing, and those that talk to a real server.
import { defineConfig, type ViteUserConfig } from "vitest/config";

const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.{ts,tsx}"] } },
      {
        test: {
          name: "e2e",
          include: ["test/{e2e,browser}/**/*.test.ts"],
          testTimeout: 30_000,
          hookTimeout: 30_000,
          execArgv: ["--experimental-websocket"],
        },
      },
    ],
  },
});

export default config;
