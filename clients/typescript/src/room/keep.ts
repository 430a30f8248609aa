// Keeps lists the same objects for as long as they say the same.

/** The list from before, if the new one has the same items. */
export function keep<Item>(before: readonly Item[], next: readonly Item[]): readonly Item[] {
  return before.length === next.length && before.every((item, index) => item === next[index]) ? before : next;
}
