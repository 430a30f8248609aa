// Keeps what waits to be stored in the application's store, so that it outlives a reload.
import type { OutboxEntry, OutboxStore } from "../api.ts";
import { PresenceError } from "../errors.ts";
import type { Hub } from "../hub.ts";
import { isObject, json } from "../wire/json.ts";
import type { Letter } from "./outbox.ts";

/**
 * Reads what was kept, and puts each of it before what waits. Then the function that it gives keeps what waits, once for
 * all that changes in a turn.
 */
export async function createKeeper(
  store: OutboxStore,
  hub: Pick<Hub, "emit">,
  pending: () => readonly Letter[],
  putFirst: (entry: OutboxEntry) => void,
): Promise<() => void> {
  const attempt = async (what: () => Promise<void>): Promise<void> => {
    try {
      await what();
    } catch (cause) {
      hub.emit("error", new PresenceError("unknown", "the store of the outbox has failed", { cause }));
    }
  };
  let isSaving = false;
  await attempt(async () => {
    const kept: unknown = await store.load();
    if (Array.isArray(kept)) kept.flatMap(readEntry).reverse().forEach(putFirst);
  });
  return () => {
    if (isSaving) return;
    isSaving = true;
    attempt(async () => {
      await null;
      isSaving = false;
      await store.save(pending().map(({ message: { room, id, data, timestamp } }) => ({ room, id, data, timestamp })));
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
