// A stored message as applications see it.
import type { StoredMessage } from "../api.ts";
import type { WireMessage } from "../wire/messages.ts";

/** A name that is this user's own, or one that says whose it is. */
export function keyOf(userId: string, id: string, selfId: string | null): string {
  return userId === selfId ? id : JSON.stringify([userId, id]);
}

/** `selfId` says whose messages are the user's own. */
export function messageOf({ seq, snapshot: data, ...message }: WireMessage, selfId: string | null): StoredMessage {
  const { room, id, userId, userName, timestamp } = message;
  return {
    key: keyOf(userId, id, selfId),
    room,
    id,
    userId,
    userName,
    data,
    timestamp,
    own: userId === selfId,
    delivery: { state: "stored", seq, durability: null },
  };
}
