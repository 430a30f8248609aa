// How a connection stands: one state at a time, and what is told of every state.
import type { Connection, ConnectionFacts, ConnectionSnapshot } from "../api.ts";
import { type Changing, createEmitter, type Guard } from "../emitter.ts";
import { keep } from "../wire/json.ts";

type Without<Whole, Part> = Whole extends unknown ? Omit<Whole, keyof Part> : never;

/** A state, by its `status`. */
export type State = Without<ConnectionSnapshot, ConnectionFacts>;

/** What is noted beside the state. */
export type Notes = Omit<ConnectionFacts, "quality" | "stale">;

export interface Standing extends Pick<Connection, "subscribe"> {
  readonly now: () => ConnectionSnapshot;
  /** Another state, or only something that is noted in passing. What is so already changes nothing. */
  readonly set: (state: State | null, notes?: Partial<Notes>) => void;
}

/** From which round-trip time on the quality is poor. */
const POOR_RTT = 300;

/** `changed` hears of every other status. */
export function createStanding(
  poorRtt: number = POOR_RTT,
  guard: Guard,
  changed: (snapshot: ConnectionSnapshot) => void,
): Standing {
  const { on, emit } = createEmitter<Changing>(guard);
  let state: State = { status: "idle" };
  let notes: Notes = { attempt: 0, rtt: null, syncedAt: null, pending: 0 };

  const show = (): ConnectionSnapshot => {
    const { status } = state;
    const isOpen = status === "syncing" || status === "live";
    if (!isOpen) notes = { ...notes, rtt: null };
    const quality = !isOpen ? "disconnected" : (notes.rtt ?? 0) > poorRtt ? "poor" : "good";
    return Object.freeze({ ...state, ...notes, quality, stale: notes.syncedAt !== null && status !== "live" });
  };
  let snapshot = show();

  return {
    now: () => snapshot,
    subscribe: (listener) => on("change", listener),
    set(next, more) {
      const before = snapshot;
      state = next ?? state;
      notes = { ...notes, ...more };
      snapshot = keep(before, show());
      if (snapshot.status !== before.status) changed(snapshot);
      if (snapshot !== before) emit("change", undefined);
    },
  };
}
