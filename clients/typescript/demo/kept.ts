// What this tab keeps over a reload: the messages that wait to be stored.
import type { OutboxStore } from "../src/index.ts";

/** The tab's storage; `null` where it is switched off. */
export function tabStorage(): Storage | null {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

export function createKept(key: string, storage: Storage | null): OutboxStore {
  return {
    load: () => JSON.parse(storage?.getItem(key) ?? "[]"),
    save: (entries) => storage?.setItem(key, JSON.stringify(entries)),
  };
}
