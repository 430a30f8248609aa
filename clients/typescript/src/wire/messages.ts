// What a server says, as this client understands it.
import type {
  Cursor,
  Dropped,
  InvitationAccepted,
  Json,
  JsonObject,
  LeaveCause,
  ProfileChange,
  Session,
  User,
} from "../api.ts";
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

/** A message that the server keeps. */
export interface WireMessage {
  readonly room: string;
  readonly id: string;
  readonly seq: number;
  readonly userId: string;
  readonly userName: string;
  readonly snapshot: Json;
  readonly timestamp: number;
}

/** An invitation, which stands in its inbox. */
export interface WireInvitation {
  readonly inbox: string;
  readonly seq: number;
  readonly room: string;
  readonly invitedBy: string;
  readonly userName: string;
  readonly timestamp: number;
}

/** Something in a stream. */
export type StreamItem =
  | ({ readonly type: "message_created" } & WireMessage)
  | ({ readonly type: "thread_invitation" } & WireInvitation);

/** What each type of message has. */
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
  readonly ack: {
    readonly id: string;
    readonly seq: number;
    readonly timestamp: number;
    readonly durability: string | null;
  };
  readonly message_created: WireMessage;
  readonly thread_invitation: WireInvitation;
  readonly messages_dropped: Dropped;
  readonly sync_result: {
    readonly messages: readonly StreamItem[];
    readonly dropped: readonly Dropped[] | null;
    readonly profiles: readonly ProfileChange[] | null;
    readonly cursors: ReadonlyMap<string, number>;
    readonly more: boolean;
    readonly timestamp: number;
  };
  readonly user_profile_updated: ProfileChange;
  readonly invitation_accepted: InvitationAccepted;
}

/** One message of the server. Those of types that this client does not know are `unknown`. */
export type ServerMessage = { readonly ref: string | number | null } & (
  | { [Type in keyof Bodies]: { readonly type: Type } & Bodies[Type] }[keyof Bodies]
  | { readonly type: "error"; readonly error: PresenceError }
  | { readonly type: "unknown"; readonly message: JsonObject }
);

/** Takes the answer to something. */
export type Answered = (answer: ServerMessage) => void;

/** The server's message of one type. */
export type Said<Type extends ServerMessage["type"]> = Extract<ServerMessage, { readonly type: Type }>;
