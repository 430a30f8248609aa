// Lets things out at the pace of frames and of the server's tick, however often they are asked for.
import type { Env, Release } from "../api.ts";

export interface Pace {
  /** Asks for a turn. However many ask, there is one. */
  readonly ask: () => void;
  readonly stop: () => void;
}

/** Calls `turn` with the next frame, and again at the earliest `tick()` milliseconds later. */
export function createPace(env: Env, tick: () => number, turn: () => void): Pace {
  let state: "idle" | "framed" | "resting" = "idle";
  let again = false;
  let cancel: Release = () => {};
  const rested = (): void => {
    state = "idle";
    if (again) ask();
  };
  const take = (): void => {
    state = "resting";
    cancel = env.after(tick(), rested);
    turn();
  };
  const ask = (): void => {
    again = state === "resting";
    if (state !== "idle") return;
    state = "framed";
    cancel = env.frame(take);
  };
  return {
    ask,
    stop() {
      cancel();
      state = "idle";
      again = false;
    },
  };
}
