// The interface: messages that last, and what becomes of them.
import type { PresenceError } from "../errors.ts";
import type { Json } from "./json.ts";

/** What has become of a message. Those of others are always `stored`. */
export type Delivery =
  | { readonly state: "pending" }
  | { readonly state: "stored"; readonly seq: number; readonly durability: string | null }
  | { readonly state: "failed"; readonly error: PresenceError };

/** A message in a room or an inbox. */
export interface Message {
  /** Unique and stable, before and after it is stored: a key for lists. */
  readonly key: string;
  readonly room: string;
  /** The sender's own name for it. */
  readonly id: string;
  /** `null` only for own messages that were written before it was known who writes. */
  readonly userId: string | null;
  readonly userName: string | null;
  readonly data: Json;
  /** The server's time once it is stored, this machine's before. */
  readonly timestamp: number;
  /** True for what this user wrote, in this session or another. */
  readonly own: boolean;
  readonly delivery: Delivery;
}

/** A message that is safe, as {@link Room.send} resolves with it. */
export type StoredMessage = Message & { readonly delivery: Extract<Delivery, { readonly state: "stored" }> };

/** Messages that are gone for good: they grew too old, or too many came. */
export interface Dropped {
  readonly room: string;
  readonly count: number;
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly reason: string;
}
