// Keeps things the same objects for as long as they say the same.

/** What was before, if all that it has is the same as in what comes next. */
export function keep<Value extends object>(before: Value | undefined, next: Value): Value {
  if (!before) return next;
  const [old, own]: [Map<string, unknown>, [string, unknown][]] = [
    new Map(Object.entries(before)),
    Object.entries(next),
  ];
  return old.size === own.length && own.every(([name, value]) => old.get(name) === value) ? before : next;
}
