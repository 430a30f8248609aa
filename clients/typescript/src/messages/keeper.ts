// Keeps what waits to be stored in the application's store, so that it outlives a reload.
import type { ClientEvents, OutboxEntry, OutboxStore } from "../api.ts";
import { PresenceError } from "../errors.ts";
import { isObject, json } from "../wire/json.ts";

/** What an outbox lends to its keeper. */
export interface Kept {
  /** What waits now. */
  readonly entries: () => readonly OutboxEntry[];
  /** Takes back what was kept, oldest first. */
  readonly restore: (entries: readonly OutboxEntry[]) => void;
  readonly failed: (error: ClientEvents["error"]) => void;
}

/** Reads what was kept; then the function that it gives keeps what waits, once for all that changes in a turn. */
export async function createKeeper(store: OutboxStore, { entries, restore, failed }: Kept): Promise<() => void> {
  const attempt = async (what: () => Promise<void>): Promise<void> => {
    try {
      await what();
    } catch (cause) {
      failed(new PresenceError("unknown", "the outbox's store has failed", { cause }));
    }
  };
  let isSaving = false;
  await attempt(async () => {
    const kept: unknown = await store.load();
    restore(Array.isArray(kept) ? kept.flatMap(readEntry) : []);
  });
  return () => {
    if (isSaving) return;
    isSaving = true;
    attempt(async () => {
      await null;
      isSaving = false;
      await store.save(entries());
    });
  };
}

/** What a store gives back was written by another version, or by somebody else: what is no entry is left out. */
function readEntry(value: unknown): readonly OutboxEntry[] {
  if (!isObject(value)) return [];
  const { room, id, timestamp, data } = value;
  const isEntry = typeof room === "string" && typeof id === "string" && typeof timestamp === "number";
  return isEntry ? [{ room, id, timestamp, data: json(data) }] : [];
}
