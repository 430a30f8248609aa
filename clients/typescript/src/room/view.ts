// What is shown of a room: built when somebody looks, told when something has changed.
import type { Env, Release, RoomSnapshot } from "../api.ts";
import { type Changing, createEmitter, type Guard } from "../emitter.ts";

export interface View {
  readonly snapshot: () => RoomSnapshot;
  readonly subscribe: (listener: () => void) => Release;
  /** Something is to be shown: with the next frame if it only moves, else at the end of this turn. */
  readonly changed: (when?: "frame") => void;
}

/** `build` makes the next snapshot out of what has changed and of the one before. */
export function createView(env: Env, guard: Guard, build: (before: RoomSnapshot | undefined) => RoomSnapshot): View {
  const { on, emit } = createEmitter<Changing>(guard);
  let shown: RoomSnapshot | undefined;
  let isStale = true;
  let due: "no" | "frame" | "turn" = "no";

  const notify = (): void => {
    if (due === "no") return;
    due = "no";
    emit("change", undefined);
  };

  return {
    snapshot() {
      if (isStale || !shown) shown = Object.freeze(build(shown));
      isStale = false;
      return shown;
    },
    subscribe: (listener) => on("change", listener),
    changed(when) {
      isStale = true;
      if (due === "turn" || due === when) return;
      due = when ?? "turn";
      if (when) env.frame(notify);
      else queueMicrotask(notify);
    },
  };
}
