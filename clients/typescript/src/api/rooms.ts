// The interface: rooms, what they show, and what happens in them.
import type { PresenceError } from "../errors.ts";
import type { Json, JsonObject, Release } from "./json.ts";
import type { Dropped, Message, StoredMessage } from "./messages.ts";
import type { Cursor, Me, RemoteCursor, User } from "./people.ts";
import type { RoomWindow, Rows, WindowOptions } from "./windows.ts";

/** How this client stands to a room. */
export type RoomStatus =
  /** Nobody holds the room, or the client does not connect. */
  | { readonly kind: "out" }
  /** On its way in, for the first time. */
  | { readonly kind: "joining" }
  /** In, and what is shown is what the server has. */
  | { readonly kind: "live" }
  /** Was in; what is shown is the last that was known. It goes on by itself. */
  | { readonly kind: "stale" }
  /** The server does not let this user in, or has put them out. {@link Room.enter} tries again. */
  | { readonly kind: "refused"; readonly error: PresenceError };

/**
 * A room at one moment. It never changes; another one takes its place, in which every part that did not change is the
 * same object as before. So parts may be compared with `===`.
 */
export interface RoomSnapshot {
  readonly id: string;
  readonly status: RoomStatus;
  /** True while this is the last known state, and not what the server has now. */
  readonly stale: boolean;
  /** Everybody who is here, this user too, by the time they came. */
  readonly users: readonly User[];
  /** Everybody but this user. */
  readonly others: readonly User[];
  readonly me: Me;
  /** Where other sessions point; those of this user's other sessions too. */
  readonly cursors: readonly RemoteCursor[];
  /** The others who are typing now. */
  readonly typing: readonly User[];
  /** The latest messages that came or were sent since the room was entered; what is on its way stands last. */
  readonly messages: readonly Message[];
}

/** Why a user left. `missed`: it happened while this client was away. */
export type LeaveCause = "left" | "closed" | "timeout" | "kicked" | "node_lost" | "missed" | "unknown";

/** What happens in a room, by the name to give to {@link Room.on}. */
export interface RoomEvents {
  /** Somebody came: their first session. Who was there already when this client came is not told. */
  readonly join: { readonly user: User };
  /** Somebody has left: their last session, and the grace of a lost connection is over. */
  readonly leave: { readonly user: User; readonly cause: LeaveCause };
  /** Something about somebody changed: name, colour, status, sessions, state. */
  readonly update: { readonly user: User; readonly before: User };
  /** A message of somebody else, or of another session of this user; each once and in order. */
  readonly message: Message;
  /** A message that was sent here has become `stored` or `failed`. */
  readonly delivery: Message;
  /** Messages that this user missed are gone for good. */
  readonly dropped: Dropped;
  /** The server had kept this session, with its state, over a loss of connection. */
  readonly restored: { readonly state: JsonObject };
  /** The server refused something that was said here. What {@link Room.update} had changed is as before. */
  readonly error: PresenceError;
}

/** How to enter a room. */
export interface RoomOptions {
  /** False to only look at it, until {@link Room.enter}: nothing is sent for such a room. Default: true. */
  readonly enter?: boolean;
  /** The state to enter with. Only the first one counts, while the room is held. */
  readonly state?: JsonObject;
}

/**
 * A room: who is in it, and what they say. There is one object for each room of a client, however often it is asked for.
 * Functions may be passed on without their object.
 */
export interface Room {
  readonly id: string;
  /** How it is now. The same object until something changes: fit for `useSyncExternalStore`. */
  readonly snapshot: RoomSnapshot;
  readonly users: readonly User[];
  readonly others: readonly User[];
  readonly me: Me;
  /** Calls back after changes: at most once for each turn of the event loop, or frame if cursors move. */
  readonly subscribe: (listener: () => void) => Release;
  /** Calls back for each event of a kind, in the order in which they happen. */
  readonly on: <Type extends keyof RoomEvents>(type: Type, handler: (event: RoomEvents[Type]) => void) => Release;
  /** Holds the room: it is entered with the first hold, and left a moment after the last one is released. */
  readonly enter: (options?: Pick<RoomOptions, "state">) => Release;
  /** Releases one hold that {@link Client.room} took. */
  readonly leave: () => void;
  /**
   * Watches these rows of a large room instead of reading all of it, and holds the room until it is closed: ask a room that
   * was not entered, `client.room(id, { enter: false })`. Resolves when they are there, rejects with a
   * {@link PresenceError} if they are refused. A room has one window; whoever asks again has it too, and moves it.
   *
   * As long as there is one, {@link RoomSnapshot.users} are its rows, and nobody's coming and going is told.
   */
  readonly window: (rows: Rows, options?: WindowOptions) => Promise<RoomWindow>;
  /** Merges into this session's state, field by field; `null` removes a field. Shown at once, undone if refused. */
  readonly update: (patch: JsonObject) => void;
  /** Points somewhere, or nowhere. Call it as often as you like: it sends the latest, and nothing if nobody looks. */
  readonly cursor: (cursor: Cursor | null) => void;
  /** Says that somebody is typing. Call it with every key: it ends by itself, or with `false`, or with a message. */
  readonly typing: (typing?: boolean) => void;
  /**
   * Sends a message: now, or when there is a connection again; once, and in the order of the calls. It is shown as
   * pending at once; the first one of a page when the part has come that sends messages. Resolves when it is safe,
   * rejects with a {@link PresenceError} if it is refused. Nothing is reported as unhandled if nobody awaits it.
   */
  readonly send: (data: Json, options?: SendOptions) => Promise<StoredMessage>;
  /** Tries a message that has failed again. */
  readonly resend: (id: string) => Promise<StoredMessage>;
  /** Forgets a message that has failed. */
  readonly discard: (id: string) => void;
}

/** How to send a message. */
export interface SendOptions {
  /** Its name: the same id again is the same message. Default: a random one. */
  readonly id?: string;
}
