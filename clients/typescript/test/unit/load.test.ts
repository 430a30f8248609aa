// Parts that are loaded later come in the end, or say that they do not.
import { expect, it } from "vitest";
import { load } from "../../src/load.ts";
import { createWorld } from "./world.ts";

const failing =
  (times: number): (() => Promise<string>) =>
  async () => {
    times -= 1;
    if (times >= 0) throw new TypeError("Failed to fetch dynamically imported module");
    return "part";
  };

it("waits as long as a connection would, and tries again", async () => {
  const world = createWorld();
  world.random = () => 0.999;
  let part: string | null = null;
  load(world.env, failing(3)).then((got) => {
    part = got;
  });
  await world.pass(6_000);
  expect(part).toBeNull();
  await world.pass(1_000);
  expect(part).toBe("part");
});

it("fails at once for whoever would have to wait for it", async () => {
  const { env } = createWorld();
  await expect(load(env, failing(1), 1)).rejects.toMatchObject({ name: "PresenceError", code: "connection" });
  await expect(load(env, failing(0), 1)).resolves.toBe("part");
});
