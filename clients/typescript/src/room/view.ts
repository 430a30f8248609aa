// What is shown of a room: built when somebody looks, told when something has changed.
import type { Env, Release, RoomSnapshot } from "../api.ts";
import { createListeners, type Guard } from "../emitter.ts";

export interface View {
  readonly snapshot: () => RoomSnapshot;
  readonly subscribe: (listener: () => void) => Release;
  /** Something is to be shown: with the next frame if it only moves, else at the end of this turn. */
  readonly changed: (when?: "frame") => void;
}

/** `build` makes the next snapshot out of what has changed and of the one before. */
export function createView(env: Env, guard: Guard, build: (before: RoomSnapshot | null) => RoomSnapshot): View {
  const listeners = createListeners(guard);
  let shown: RoomSnapshot | null = null;
  let isStale = true;
  let due: "no" | "frame" | "turn" = "no";

  const notify = (): void => {
    if (due === "no") return;
    due = "no";
    listeners.notify();
  };

  return {
    snapshot() {
      if (isStale || !shown) shown = build(shown);
      isStale = false;
      return shown;
    },
    subscribe: listeners.subscribe,
    changed(when) {
      isStale = true;
      const wanted = when ?? "turn";
      if (due === wanted || due === "turn") return;
      due = wanted;
      if (when) env.frame(notify);
      else queueMicrotask(notify);
    },
  };
}
