// How a connection stands: one state at a time, and what is told of every state.
import type { Connection, ConnectionFacts, ConnectionSnapshot } from "../api.ts";
import { createListeners, type Guard } from "../emitter.ts";

type Without<Whole, Part> = Whole extends unknown ? Omit<Whole, keyof Part> : never;

/** A state, by its `status`. */
export type State = Without<ConnectionSnapshot, ConnectionFacts>;

/** What is noted beside the state. */
export type Notes = Pick<ConnectionFacts, "attempt" | "rtt" | "syncedAt" | "pending">;

export interface Standing extends Pick<Connection, "snapshot" | "subscribe"> {
  readonly set: (state: State, notes?: Partial<Notes>) => void;
  /** Notes something in passing. What is noted already changes nothing. */
  readonly note: (notes: Partial<Notes>) => void;
}

/** `changed` hears of every other status. */
export function createStanding(
  poorRtt: number,
  guard: Guard,
  changed: (snapshot: ConnectionSnapshot) => void,
): Standing {
  const listeners = createListeners(guard);
  let state: State = { status: "idle" };
  let notes: Notes = { attempt: 0, rtt: null, syncedAt: null, pending: 0 };

  const show = (): ConnectionSnapshot => {
    const { status } = state;
    const isOpen = status === "syncing" || status === "live";
    const quality = !isOpen ? "disconnected" : (notes.rtt ?? 0) > poorRtt ? "poor" : "good";
    return Object.freeze({ ...state, ...notes, quality, stale: notes.syncedAt !== null && status !== "live" });
  };
  let snapshot = show();

  const set = (next: State, more: Partial<Notes> = {}): void => {
    const { status } = state;
    state = next;
    notes = { ...notes, ...more };
    snapshot = show();
    if (status !== state.status) changed(snapshot);
    listeners.notify();
  };

  return {
    get snapshot() {
      return snapshot;
    },
    subscribe: listeners.subscribe,
    set,
    note(more) {
      const next = { ...notes, ...more };
      const isNew = next.rtt !== notes.rtt || next.pending !== notes.pending || next.attempt !== notes.attempt;
      if (isNew || next.syncedAt !== notes.syncedAt) set(state, more);
    },
  };
}
