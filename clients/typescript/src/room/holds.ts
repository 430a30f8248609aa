// Who holds a room: it is entered with the first hold, and left a moment after the last was released.
import type { Env, Release } from "../api.ts";

/** How long a room is held after the last hold was released: pages that change release and take in one go. */
const LINGER = 1_000;

export interface Holds {
  readonly isHeld: () => boolean;
  readonly hold: () => Release;
  /** Ends all holds. */
  readonly clear: () => void;
}

/** `left` is called when nobody has held it for a moment. */
export function createHolds(env: Env, left: () => void): Holds {
  const holds = new Set<object>();
  /** Waits for somebody to hold it again. */
  let linger: Release | null = null;
  const stay = (): void => {
    linger?.();
    linger = null;
  };
  return {
    isHeld: () => holds.size > 0 || linger !== null,
    hold() {
      const own = {};
      holds.add(own);
      stay();
      return () => {
        if (!holds.delete(own) || holds.size > 0) return;
        linger = env.after(LINGER, () => {
          stay();
          left();
        });
      };
    },
    clear() {
      holds.clear();
      stay();
    },
  };
}
