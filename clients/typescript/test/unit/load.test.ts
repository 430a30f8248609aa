// Parts that are loaded later come in the end, or say that they do not.
import { expect, it } from "vitest";
import type { Hub } from "../../src/hub.ts";
import { PresenceError } from "../../src/index.ts";
import { fetched, later, type Maker } from "../../src/load.ts";
import { asAnn, createWorld } from "./world.ts";

const failing =
  (times: number): (() => Promise<Maker<string>>) =>
  async () => {
    times -= 1;
    if (times >= 0) throw new TypeError("Failed to fetch dynamically imported module");
    return { create: () => "part" };
  };

/** What loading needs of a client. */
function hubOf(more: Pick<Hub, "env" | "life" | "emit">): Hub {
  return { ...more, options: asAnn, on: () => () => {}, isOpen: () => true } as Partial<Hub> as Hub;
}

it("waits as long as a connection would, tries again, and says so", async () => {
  const { env, ...world } = createWorld();
  const errors: unknown[] = [];
  const life = new AbortController();
  const emit = (_: unknown, error: unknown): void => void errors.push(error);
  const part = later(hubOf({ env: { ...env, random: () => 0.999 }, life: life.signal, emit }), failing(3));
  const got: string[] = [];
  part.use((one) => got.push(one));
  part.use((one) => got.push(one));
  await world.pass(6_000);
  expect(got).toEqual([]);
  expect(part.now).toBeUndefined();
  await world.pass(1_000);
  expect(got).toEqual(["part", "part"]);
  expect(part.now).toBe("part");
  part.use((one) => got.push(one));
  expect(got).toHaveLength(3);
  expect(errors).toHaveLength(3);
  expect(errors[0]).toMatchObject({ name: "PresenceError", code: "connection" });
});

it("does not go on for a client that is spent", async () => {
  const { env, timers, pass } = createWorld();
  later(hubOf({ env, life: AbortSignal.abort(), emit: () => {} }), failing(1)).use(() => {
    throw new Error("too late");
  });
  await pass(100_000);
  expect(timers()).toBe(0);
});

it("fails at once for whoever would have to wait for it", async () => {
  await expect(fetched(failing(1)())).rejects.toBeInstanceOf(PresenceError);
});
