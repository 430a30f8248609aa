// Reads from a store with React: what is selected of it, and only when that has changed.
import { type RefObject, useEffect, useInsertionEffect, useMemo, useRef, useSyncExternalStore } from "react";
import type { Release } from "../api.ts";

/** Whether two selections are the same to whoever shows them. */
export type Equal<Value> = (a: Value, b: Value) => boolean;

/** Something that is always in one state, and calls back when it is in another: a room, a connection. */
export interface Store<Snapshot> {
  readonly snapshot: Snapshot;
  readonly subscribe: (listener: () => void) => Release;
}

/** True for the same value, and for lists and plain objects whose items are the same. The default of all hooks. */
export function shallow(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, at) => Object.is(item, b[at]));
  if (!isPlain(a) || !isPlain(b)) return false;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && Object.is(Reflect.get(a, name), Reflect.get(b, name)))
  );
}

/** Only what says all it says in its fields: a map or a date does not. */
function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Always the latest value, for what is called later than the render that made it. */
export function useLatest<Value>(value: Value): RefObject<Value> {
  const latest = useRef(value);
  useInsertionEffect(() => {
    latest.current = value;
  });
  return latest;
}

/**
 * What `select` makes of a store's snapshot: the same object for as long as it is equal, so that nothing is drawn again
 * for changes that do not matter here. `server` stands for the snapshot where pages are only prepared, and while one is
 * taken over from there.
 */
export function useStore<Snapshot, Selected>(
  store: Store<Snapshot>,
  server: Snapshot,
  select: (snapshot: Snapshot) => Selected,
  isEqual: Equal<Selected> = shallow,
): Selected {
  const shown = useRef<{ readonly value: Selected } | null>(null);
  const read = useMemo(() => {
    let last: { readonly snapshot: Snapshot; readonly value: Selected } | null = null;
    return (snapshot: Snapshot): Selected => {
      if (last?.snapshot === snapshot) return last.value;
      const next = select(snapshot);
      // A selector that is written in place is another one with each render; what it selects need not be.
      const before = last ?? shown.current;
      const value = before && isEqual(before.value, next) ? before.value : next;
      last = { snapshot, value };
      return value;
    };
  }, [select, isEqual]);
  const value = useSyncExternalStore(
    store.subscribe,
    () => read(store.snapshot),
    () => read(server),
  );
  useEffect(() => {
    shown.current = { value };
  }, [value]);
  return value;
}
