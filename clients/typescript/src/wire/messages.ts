// What a server says, as this client understands it.
import type { Cursor, Json, JsonObject, LeaveCause, Session, User } from "../api.ts";
import type { PresenceError } from "../errors.ts";

/** A session with what only the wire has in it: where it points. */
export type WireSession = Session & { readonly cursor: Cursor | null };

/** A user as the wire has them. */
export type WireUser = Omit<User, "sessions"> & { readonly sessions: readonly WireSession[] };

/** Where a room's history stands. */
export interface Stand {
  readonly room: string;
  readonly epoch: string;
  readonly version: number;
  readonly digest: string;
}

/** What each type of message has that every page hears. */
export interface Bodies {
  readonly connected: {
    readonly connectionId: string;
    readonly sessionId: string;
    readonly userId: string;
    readonly serverTime: number;
    readonly heartbeatMs: number;
    readonly limits: { readonly heartbeatTimeoutMs: number | null; readonly tickMs: number | null };
  };
  readonly opened: { readonly connectionId: string };
  readonly ping: { readonly timestamp: number; readonly rttMs: number | null };
  readonly server_draining: { readonly retryAfterMs: number };
  readonly close: { readonly code: number; readonly reason: string | null };
  readonly "presence:currentUsers": Stand & { readonly reason: string; readonly users: readonly WireUser[] };
  readonly "presence:synced": Stand;
  readonly "presence:restored": { readonly room: string; readonly state: JsonObject };
  readonly "presence:userJoined": { readonly room: string; readonly version: number; readonly user: WireUser };
  readonly "presence:userLeft": {
    readonly room: string;
    readonly version: number;
    readonly userId: string;
    readonly cause: LeaveCause;
  };
  /** `null` is what has not changed; `state` is a patch to one session's, in which `null` removes a field. */
  readonly "presence:userUpdated": {
    readonly room: string;
    readonly version: number;
    readonly userId: string;
    readonly name: string | null;
    readonly color: string | null;
    readonly avatar: string | null;
    readonly email: string | null;
    readonly status: User["status"] | null;
    readonly connectionCount: number | null;
    readonly sessions: readonly WireSession[] | null;
    readonly sessionId: string | null;
    readonly state: JsonObject | null;
  };
  readonly "presence:cursors": {
    readonly room: string;
    readonly cursors: readonly {
      readonly userId: string;
      readonly sessionId: string;
      readonly cursor: Cursor | null;
    }[];
  };
  readonly "presence:typing": { readonly room: string; readonly userIds: readonly string[] };
}

/** One message of the server. Those of other types are `unknown` until somebody knows them. */
export type ServerMessage = { readonly ref: Json } & (
  | { [Type in keyof Bodies]: { readonly type: Type } & Bodies[Type] }[keyof Bodies]
  | { readonly type: "error"; readonly error: PresenceError }
  | { readonly type: "unknown"; readonly message: JsonObject }
);

/** Takes the answer to something. */
export type Answered = (answer: ServerMessage) => void;

/** The server's message of one type. */
export type Said<Type extends ServerMessage["type"]> = Extract<ServerMessage, { readonly type: Type }>;
