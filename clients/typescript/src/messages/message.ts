// A message as applications see it.
import type { Delivery, Message, OutboxEntry, StoredMessage } from "../api.ts";
import type { WireMessage } from "./news.ts";

/** A name that no message of anybody else has. */
export function keyOf({ userId, id }: { readonly userId: string | null; readonly id: string }): string {
  return JSON.stringify([userId, id]);
}

/** A message of this user's: its key is the same before and after it is known who that is. */
export function ownMessage<Own extends Delivery>(
  { room, id, data, timestamp }: OutboxEntry,
  userId: string | null,
  userName: string | null,
  delivery: Own,
): Message & { readonly delivery: Own } {
  return { key: id, room, id, userId, userName, data, timestamp, own: true, delivery };
}

/** A message that the server keeps. `selfId` says whose messages are the user's own. */
export function messageOf(from: WireMessage, selfId: string | null): StoredMessage {
  const { seq, snapshot, userId, userName } = from;
  const message = ownMessage({ ...from, data: snapshot }, userId, userName, { state: "stored", seq, durability: null });
  return userId === selfId ? message : { ...message, key: keyOf(from), own: false };
}
