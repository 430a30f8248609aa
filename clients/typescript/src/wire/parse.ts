// Reads the server's messages: parsed field by field, never taken on trust. Unknown fields are left aside.
import type { Cursor, Dropped, ListedUser, ProfileChange, User, UserStatus } from "../api.ts";
import { readError } from "./errors.ts";
import {
  field,
  flag,
  isObject,
  json,
  jsonObject,
  list,
  map,
  number,
  object,
  or,
  type Read,
  type Shape,
  text,
} from "./fields.ts";
import type {
  Bodies,
  ServerMessage,
  Stand,
  StreamItem,
  WireInvitation,
  WireMessage,
  WireSession,
  WireUser,
} from "./messages.ts";

const cursor: Read<Cursor | null> = (value) => {
  if (!isObject(value)) return null;
  const [x, y] = [field(value, "x"), field(value, "y")];
  return typeof x === "number" && typeof y === "number" ? Object.freeze({ ...jsonObject(value, ""), x, y }) : null;
};

const status: Read<User["status"]> = (value) => (value === "away" ? value : "online");

const anyStatus: Read<UserStatus["status"]> = (value) => (value === "away" || value === "online" ? value : "offline");

const textOrNull = or(text, null);
const numberOrNull = or(number, null);

const sessions = list(
  object<WireSession>({
    sessionId: text,
    connectedAt: number,
    active: (value) => value !== false,
    state: jsonObject,
    cursor,
  }),
);

const user = object<WireUser>({
  id: text,
  name: text,
  color: text,
  avatar: textOrNull,
  email: textOrNull,
  joinedAt: number,
  lastSeen: number,
  status,
  connectionCount: number,
  sessions,
});

const stand: Shape<Stand> = { room: text, epoch: text, version: number, digest: text };

const message: Shape<WireMessage> = {
  room: text,
  id: text,
  seq: number,
  userId: text,
  userName: text,
  snapshot: json,
  timestamp: number,
};

const invitation: Shape<WireInvitation> = {
  inbox: text,
  seq: number,
  room: text,
  invitedBy: text,
  userName: text,
  timestamp: number,
};

/** Something in the answer to a sync, where a message has no type. */
const item: Read<StreamItem> = (value, name) =>
  isObject(value) && field(value, "type") === "thread_invitation"
    ? { type: "thread_invitation", ...object(invitation)(value, name) }
    : { type: "message_created", ...object(message)(value, name) };

const dropped: Shape<Dropped> = { room: text, count: number, fromSeq: number, toSeq: number, reason: text };

const profile: Shape<ProfileChange> = {
  userId: text,
  username: textOrNull,
  name: textOrNull,
  color: textOrNull,
  avatar: textOrNull,
  timestamp: number,
};

const userStatus: Shape<UserStatus> = { id: text, status: anyStatus, lastOnline: numberOrNull };

const listedUser: Shape<ListedUser> = { ...userStatus, name: text, color: textOrNull };

const SHAPES: { readonly [Type in keyof Bodies]: Shape<Bodies[Type]> } = {
  connected: {
    connectionId: text,
    sessionId: text,
    userId: text,
    serverTime: number,
    heartbeatMs: number,
    limits: object<Bodies["connected"]["limits"]>({ heartbeatTimeoutMs: or(number, 10_000), tickMs: or(number, 33) }),
  },
  opened: { connectionId: text },
  ping: { timestamp: number, rttMs: numberOrNull },
  server_draining: { retryAfterMs: number },
  close: { code: number, reason: or(text, "") },
  "presence:currentUsers": { ...stand, reason: text, users: list(user) },
  "presence:synced": stand,
  "presence:restored": { room: text, state: jsonObject },
  "presence:userJoined": { room: text, version: number, user },
  "presence:userLeft": { room: text, version: number, userId: text, cause: text },
  "presence:userUpdated": {
    room: text,
    version: number,
    userId: text,
    name: textOrNull,
    color: textOrNull,
    avatar: textOrNull,
    email: textOrNull,
    status: or(status, null),
    connectionCount: numberOrNull,
    sessions: or(sessions, null),
    sessionId: textOrNull,
    state: or(jsonObject, null),
  },
  "presence:cursors": { room: text, cursors: list(object({ userId: text, sessionId: text, cursor })) },
  "presence:typing": { room: text, userIds: list(text) },
  ack: { id: text, seq: number, timestamp: number, durability: textOrNull },
  message_created: message,
  thread_invitation: invitation,
  messages_dropped: dropped,
  sync_result: {
    messages: list(item),
    dropped: or(list(object(dropped)), []),
    profiles: or(list(object(profile)), []),
    cursors: map(number),
    more: flag,
    timestamp: number,
  },
  user_status: { users: list(object(userStatus)) },
  online_users: { users: list(object(listedUser)) },
  user_profile_updated: profile,
  invitation_accepted: { room: text, userId: text, userName: text, timestamp: number },
};

function isKnown(type: string): type is keyof Bodies {
  return Object.hasOwn(SHAPES, type);
}

/**
 * Reads one message.
 * @throws {PresenceError} if it is none, or lacks something.
 */
export function parse(line: string): ServerMessage {
  const from = jsonOf(line);
  const fields = isObject(from) ? from : {};
  const type = text(field(fields, "type"), "type");
  const named = field(fields, "ref");
  const ref = typeof named === "string" || typeof named === "number" ? named : null;
  if (type === "error") return { type, ref, error: readError(fields) };
  if (!isKnown(type)) return { type: "unknown", ref, message: jsonObject(fields, type) };
  const shape: Shape<object> = SHAPES[type];
  // The shape of a type reads just what that type has.
  return { ...object(shape)(fields, type), type, ref } as ServerMessage;
}

/** What a line says; nothing if it is no JSON. */
function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
