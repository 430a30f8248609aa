// What browsers have, where they behave in a way that is easily forgotten.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createEnv } from "../../src/env.ts";

const asked: (() => void)[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  const requestAnimationFrame = (callback: () => void): number => asked.push(callback);
  vi.stubGlobal("window", { requestAnimationFrame });
  vi.stubGlobal("document", { hidden: false });
  vi.stubGlobal("requestAnimationFrame", requestAnimationFrame);
  vi.stubGlobal("cancelAnimationFrame", (request: number) => delete asked[request - 1]);
});

afterEach(() => {
  asked.length = 0;
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test("a frame that a page was promised before it was hidden comes all the same, and once", () => {
  const drawn = vi.fn();
  createEnv().frame(drawn);
  vi.advanceTimersByTime(1_000);
  expect(drawn).toHaveBeenCalledTimes(1);
  expect(asked[0]).toBeUndefined();
});

test("a frame that is drawn comes once, and one that is given up never", () => {
  const [drawn, givenUp] = [vi.fn(), vi.fn()];
  const env = createEnv();
  env.frame(drawn);
  env.frame(givenUp)();
  asked[0]?.();
  vi.advanceTimersByTime(1_000);
  expect(drawn).toHaveBeenCalledTimes(1);
  expect(givenUp).not.toHaveBeenCalled();
});
