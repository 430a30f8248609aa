// A window into a large room, as a hook.
import { useEffect, useMemo, useState } from "react";
import type { Room, RoomWindow, Rows, WindowOptions, WindowSnapshot } from "../api.ts";
import type { PresenceError } from "../errors.ts";
import { useLatest, useStore } from "./store.ts";

/** A window that is not open yet. */
const OPENING: WindowSnapshot = {
  status: { kind: "joining" },
  stale: false,
  from: 0,
  count: 0,
  users: [],
  total: 0,
  sessions: 0,
  mode: "exact",
  error: null,
};

const never = (): (() => void) => () => {};
const whole = (snapshot: WindowSnapshot): WindowSnapshot => snapshot;

/** What has come of asking for a window. */
type Outcome = Rows & { readonly room: Room } & (
    | { readonly kind: "open"; readonly view: RoomWindow }
    | { readonly kind: "refused"; readonly error: PresenceError }
  );

/**
 * These rows of a large room, and its totals, for as long as the component is there; other rows move the window. Give it a
 * room that nothing else enters, `useRoom(id, { enter: false })`: then it is never read as a whole. Until the first rows
 * are there it shows none.
 */
export function useWindow(
  room: Room,
  { from, count }: Rows,
  { state }: Pick<WindowOptions, "state"> = {},
): WindowSnapshot {
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const latest = useLatest({ from, count, state });
  const isOurs = outcome?.room === room;
  const view = isOurs && outcome.kind === "open" ? outcome.view : null;
  // Other rows may be given to whom these were not.
  const isRefused = isOurs && outcome.kind === "refused" && outcome.from === from && outcome.count === count;
  const error = isRefused ? outcome.error : null;
  useEffect(() => {
    if (isRefused) return;
    const life = new AbortController();
    const { state, ...rows } = latest.current;
    const done = (next: Outcome): void => void (life.signal.aborted || setOutcome(next));
    room.window(rows, { signal: life.signal, ...(state && { state }) }).then(
      (view) => done({ ...rows, room, kind: "open", view }),
      (error) => done({ ...rows, room, kind: "refused", error }),
    );
    return () => life.abort();
  }, [room, isRefused, latest]);
  useEffect(() => view?.move({ from, count }), [view, from, count]);
  const closed = useMemo(() => {
    const status = error ? ({ kind: "refused", error } as const) : OPENING.status;
    return { snapshot: { ...OPENING, status, error }, subscribe: never };
  }, [error]);
  return useStore(view ?? closed, OPENING, whole);
}
