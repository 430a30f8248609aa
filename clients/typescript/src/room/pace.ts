// Lets things out at the pace of frames and of the server's tick, however often they are asked for.
import type { Release } from "../api.ts";
import type { Hub } from "../hub.ts";

export interface Pace {
  /** Asks for a turn. However many ask, there is one. */
  readonly ask: () => void;
  readonly stop: () => void;
}

/** Calls `turn` with the next frame, but not sooner than a tick of the server after the last time. */
export function createPace(hub: Hub, turn: () => void): Pace {
  const { env } = hub;
  let cancel: Release | null = null;
  let next = 0;
  const take = (): void => {
    cancel = null;
    next = env.now() + hub.tick;
    turn();
  };
  return {
    ask() {
      const rest = next - env.now();
      cancel ??= rest > 0 ? env.after(rest, take) : env.frame(take);
    },
    stop() {
      cancel?.();
      cancel = null;
    },
  };
}
