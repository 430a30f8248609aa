// Files that a page loads later take their time, and sometimes do not come.
import { expect, it, vi } from "vitest";
import type { Hub } from "../../src/hub.ts";
import type { Maker } from "../../src/load.ts";
import { converge } from "./converge.ts";

let loaded = 0;

vi.mock("../../src/load.ts", async (original) => {
  const real = await original<typeof import("../../src/load.ts")>();
  const slowly = <Part>(hub: Hub, get: () => Promise<Maker<Part>>): (() => Promise<Maker<Part>>) => {
    let failed = 0;
    return async () => {
      await new Promise<void>((done) => hub.env.after(hub.env.random() * 20_000, done));
      failed += 1;
      if (failed < 3 && hub.env.random() < 0.5) throw new TypeError("Failed to fetch dynamically imported module");
      loaded += 1;
      return get();
    };
  };
  const later: typeof real.later = (hub, get, failed) => real.later(hub, slowly(hub, get), failed);
  return { ...real, later };
});

it("ends in the server's view all the same", async () => {
  await converge(150, 400_000);
  expect(loaded).toBeGreaterThan(100);
}, 120_000);
