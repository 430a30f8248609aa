// A stored message as applications see it.
import type { Message } from "../api.ts";
import type { WireMessage } from "../wire/messages.ts";

/** `selfId` says whose messages are the user's own. */
export function messageOf(
  { room, id, seq, userId, userName, snapshot: data, timestamp }: WireMessage,
  selfId: string | null,
): Message {
  const own = userId === selfId;
  const key = own ? id : JSON.stringify([userId, id]);
  return {
    key,
    room,
    id,
    userId,
    userName,
    data,
    timestamp,
    own,
    delivery: { state: "stored", seq, durability: null },
  };
}
