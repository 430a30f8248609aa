// The interface: people, as rooms show them and as they stand wherever they are.
import type { JsonObject } from "./json.ts";

/** What a user says of themselves. */
export interface Profile {
  readonly name?: string;
  readonly color?: string;
  readonly avatar?: string;
  readonly email?: string;
}

/** A user as named by `createClient`: needed without tokens, and at most what the token says with them. */
export interface Self extends Profile {
  readonly id: string;
}

/** One of a user's sessions in a room: a tab, a device. Its cursor is in {@link RoomSnapshot.cursors}. */
export interface Session {
  readonly sessionId: string;
  /** When it connected, in Unix milliseconds of the server. */
  readonly connectedAt: number;
  /** False while nobody uses it. */
  readonly active: boolean;
  /** What it said of itself with {@link Room.update}. */
  readonly state: JsonObject;
}

/** A user who is present in a room, once, however many sessions they have there. */
export interface User {
  readonly id: string;
  readonly name: string;
  readonly color: string;
  readonly avatar: string | null;
  readonly email: string | null;
  readonly joinedAt: number;
  readonly lastSeen: number;
  /** `away` when none of the sessions is in use. */
  readonly status: "online" | "away";
  readonly connectionCount: number;
  readonly sessions: readonly Session[];
}

/** This session in a room: the state and the cursor are those that were said last, whether confirmed yet or not. */
export interface Me {
  /** `null` until it is known, which with tokens is when the server has said so. */
  readonly id: string | null;
  readonly sessionId: string | null;
  /** As the others see this user; `null` while not in the room. */
  readonly user: User | null;
  readonly state: JsonObject;
  readonly cursor: Cursor | null;
  readonly typing: boolean;
}

/** Where somebody points. The unit is the application's: pixels, or fractions of a page. */
export interface Cursor extends JsonObject {
  readonly x: number;
  readonly y: number;
}

/** A cursor of another session. */
export interface RemoteCursor {
  /** Unique in its room and stable: a key for lists. */
  readonly key: string;
  readonly sessionId: string;
  readonly user: User;
  readonly cursor: Cursor;
}

/** How a user stands, wherever they are: the answer to {@link Client.watch}. */
export interface UserStatus {
  readonly id: string;
  readonly status: "online" | "away" | "offline";
  /** When they were last connected, in Unix milliseconds of the server; `null` if never. */
  readonly lastOnline: number | null;
}

/** An answer to {@link Client.listUsers}. */
export interface ListedUser extends UserStatus {
  readonly name: string;
  readonly color: string | null;
}
