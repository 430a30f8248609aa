// What a server says, as this client understands it.
import type {
  Cursor,
  Dropped,
  Invitation,
  InvitationAccepted,
  Json,
  JsonObject,
  ListedUser,
  ProfileChange,
  Session,
  User,
  UserStatus,
} from "../api.ts";
import type { PresenceError } from "../errors.ts";

/** A user with what only the wire has of them: the cursors of their sessions. */
export interface WireUser {
  readonly user: User;
  readonly cursors: ReadonlyMap<string, Cursor>;
}

/** The sessions of a user, and where they point. */
export interface WireSessions {
  readonly sessions: readonly Session[];
  readonly cursors: ReadonlyMap<string, Cursor>;
}

/** What changed of a user; `undefined` is what did not. */
export interface UserPatch {
  readonly name?: string;
  readonly color?: string;
  readonly avatar?: string | null;
  readonly email?: string | null;
  readonly status?: "online" | "away";
  readonly connectionCount?: number;
}

/** A message that the server keeps. */
export interface WireMessage {
  readonly room: string;
  readonly id: string;
  readonly seq: number;
  readonly userId: string;
  readonly userName: string;
  readonly data: Json;
  readonly timestamp: number;
}

/** Something in a stream: a message, an invitation. `room` names the stream. */
export type StreamItem =
  | { readonly kind: "message"; readonly room: string; readonly seq: number; readonly message: WireMessage }
  | { readonly kind: "invitation"; readonly room: string; readonly seq: number; readonly invitation: Invitation };

/** Where a room's history stands. */
export interface Stand {
  readonly room: string;
  readonly epoch: string;
  readonly version: number;
  readonly digest: string;
}

/** One message of the server. Those that this client does not know are `unknown`. */
export type ServerMessage = { readonly ref: string | number | null } & (
  | {
      readonly type: "connected";
      readonly connectionId: string;
      readonly sessionId: string;
      readonly userId: string;
      readonly serverTime: number;
      readonly heartbeat: number;
      readonly heartbeatTimeout: number;
      readonly tick: number;
    }
  | { readonly type: "opened"; readonly connectionId: string }
  | { readonly type: "ping"; readonly timestamp: number; readonly rtt: number | null }
  | { readonly type: "server_draining"; readonly retryAfter: number }
  | { readonly type: "close"; readonly code: number; readonly reason: string }
  | { readonly type: "error"; readonly error: PresenceError }
  | ({
      readonly type: "presence:currentUsers";
      readonly reason: string;
      readonly users: readonly WireUser[];
    } & Stand)
  | ({ readonly type: "presence:synced" } & Stand)
  | { readonly type: "presence:restored"; readonly room: string; readonly state: JsonObject }
  | ({ readonly type: "presence:userJoined"; readonly room: string; readonly version: number } & WireUser)
  | {
      readonly type: "presence:userLeft";
      readonly room: string;
      readonly version: number;
      readonly userId: string;
      readonly cause: string;
    }
  | {
      readonly type: "presence:userUpdated";
      readonly room: string;
      readonly version: number;
      readonly userId: string;
      readonly patch: UserPatch;
      /** All sessions, if they changed. */
      readonly sessions: WireSessions | null;
      /** One session's state, if that changed: `null` in it removes a field. */
      readonly state: { readonly sessionId: string; readonly patch: JsonObject } | null;
    }
  | {
      readonly type: "presence:cursors";
      readonly room: string;
      readonly cursors: readonly {
        readonly userId: string;
        readonly sessionId: string;
        readonly cursor: Cursor | null;
      }[];
    }
  | { readonly type: "presence:typing"; readonly room: string; readonly userIds: readonly string[] }
  | ({ readonly type: "ack"; readonly id: string; readonly room: string; readonly seq: number } & {
      readonly timestamp: number;
      readonly durability: string | null;
    })
  | { readonly type: "item"; readonly item: StreamItem }
  | { readonly type: "messages_dropped"; readonly dropped: Dropped }
  | {
      readonly type: "sync_result";
      readonly items: readonly StreamItem[];
      readonly dropped: readonly Dropped[];
      readonly profiles: readonly ProfileChange[];
      readonly cursors: ReadonlyMap<string, number>;
      readonly more: boolean;
      readonly timestamp: number;
    }
  | { readonly type: "user_status"; readonly users: readonly UserStatus[] }
  | { readonly type: "online_users"; readonly users: readonly ListedUser[] }
  | { readonly type: "user_profile_updated"; readonly profile: ProfileChange }
  | { readonly type: "invitation_accepted"; readonly accepted: InvitationAccepted }
  | { readonly type: "unknown"; readonly message: JsonObject }
);

/** The server's message of one type. */
export type Said<Type extends ServerMessage["type"]> = Extract<ServerMessage, { readonly type: Type }>;
