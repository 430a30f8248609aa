// What a server says of messages that last, and of what comes with them.
import type { Dropped, InvitationAccepted, Json, JsonObject, ModeChange, ProfileChange } from "../api.ts";
import { isObject, json } from "../wire/json.ts";
import { type Complete, readersOf } from "../wire/parse.ts";
import { type Kinds, list, number, object, objects, type Read } from "../wire/read.ts";
import { DROPPED, INVITATION, MESSAGE, PROFILE } from "./shapes.ts";

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
interface Bodies {
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
  readonly "presence:mode": ModeChange;
}

/** One message of these. */
export type News = { [Type in keyof Bodies]: { readonly type: Type } & Bodies[Type] }[keyof Bodies];

/** Something in the answer to a sync, where a message has no type. */
const item: Read<object> = (value, name) => {
  const isInvitation = isObject(value) && value["type"] === "thread_invitation";
  const type = isInvitation ? "thread_invitation" : "message_created";
  return { type, ...object<object>(isInvitation ? INVITATION : MESSAGE, kinds)(value, name) };
};

const kinds: Kinds = {
  json,
  items: list(item),
  mode: (value) => (value === "wide" ? value : "exact"),
  losses: list(object(DROPPED)),
  profiles: list(object(PROFILE)),
  places: (value, name) => new Map(Object.entries(objects(value, name)).map(([room, at]) => [room, number(at, room)])),
};

const SHAPES = {
  ack: "id seq:n timestamp:n durability?",
  message_created: MESSAGE,
  thread_invitation: INVITATION,
  messages_dropped: DROPPED,
  sync_result: "messages:items dropped:losses? profiles:profiles? cursors:places more:flag timestamp:n",
  user_profile_updated: PROFILE,
  invitation_accepted: "room userId userName timestamp:n",
  "presence:mode": "room mode:mode",
} as const;

const readers = readersOf(SHAPES satisfies Complete<Bodies, typeof SHAPES>, kinds);

/**
 * Reads what a server says of these things; `null` if it is nothing of that.
 * @throws {PresenceError} if it lacks something.
 */
export function readNews(message: JsonObject): News | null {
  const { type } = message;
  const read = typeof type === "string" ? readers.get(type) : undefined;
  // The reader of a type reads just what that type has.
  return read ? ({ ...read(message, String(type)), type } as News) : null;
}

/** What a message says, without what only the wire has. */
export function bodyOf<Message extends { type: unknown; ref?: unknown }>({
  type: _,
  ref: __,
  ...body
}: Message): Omit<Message, "type" | "ref"> {
  return body;
}
