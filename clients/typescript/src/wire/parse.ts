// Reads the server's messages: parsed field by field, never taken on trust. Unknown fields are left aside.
import type { Dropped } from "../api.ts";
import { PresenceError } from "../errors.ts";
import { readError } from "./errors.ts";
import {
  type Fields,
  field,
  isObject,
  json,
  jsonObject,
  list,
  maybeList,
  maybeNumber,
  maybeText,
  number,
  object,
  text,
  texts,
  wrong,
} from "./fields.ts";
import type { ServerMessage, Stand, StreamItem } from "./messages.ts";
import { readCursor, readListedUser, readPatch, readProfile, readSessions, readUser, readUserStatus } from "./users.ts";

function readStand(from: Fields): Stand {
  return {
    room: text(from, "room"),
    epoch: text(from, "epoch"),
    version: number(from, "version"),
    digest: text(from, "digest"),
  };
}

function readInvitation(from: Fields): StreamItem {
  const room = text(from, "room");
  const invitation = {
    room,
    invitedBy: text(from, "invited_by"),
    userName: text(from, "user_name"),
    timestamp: number(from, "timestamp"),
  };
  return { kind: "invitation", room: text(from, "inbox"), seq: number(from, "seq"), invitation };
}

/** Something of a stream. In the answer to a sync a message has no type. */
function readItem(from: Fields): StreamItem {
  if (field(from, "type") === "thread_invitation") return readInvitation(from);
  const message = {
    room: text(from, "room"),
    id: text(from, "id"),
    seq: number(from, "seq"),
    userId: text(from, "user_id"),
    userName: text(from, "user_name"),
    data: json(field(from, "snapshot")),
    timestamp: number(from, "timestamp"),
  };
  return { kind: "message", room: message.room, seq: message.seq, message };
}

function readDropped(from: Fields): Dropped {
  return {
    room: text(from, "room"),
    count: number(from, "count"),
    fromSeq: number(from, "from_seq"),
    toSeq: number(from, "to_seq"),
    reason: text(from, "reason"),
  };
}

function readPlaces(from: Fields): ReadonlyMap<string, number> {
  const places = object(from, "cursors");
  return new Map(Object.keys(places).map((room) => [room, number(places, room)]));
}

function readUpdate(from: Fields): Omit<Extract<ServerMessage, { type: "presence:userUpdated" }>, "ref"> {
  const [room, userId] = [text(from, "room"), text(from, "userId")];
  const stated = field(from, "state") !== undefined;
  return {
    type: "presence:userUpdated",
    room,
    userId,
    version: number(from, "version"),
    patch: readPatch(from),
    sessions: field(from, "sessions") === undefined ? null : readSessions(from),
    state: stated ? { sessionId: text(from, "sessionId"), patch: jsonObject(object(from, "state")) } : null,
  };
}

type Unreferenced<Message> = Message extends unknown ? Omit<Message, "ref"> : never;

function readMessage(type: string, from: Fields): Unreferenced<ServerMessage> {
  switch (type) {
    case "connected": {
      const limits = field(from, "limits");
      const known = isObject(limits) ? limits : {};
      return {
        type,
        connectionId: text(from, "connection_id"),
        sessionId: text(from, "session_id"),
        userId: text(from, "user_id"),
        serverTime: number(from, "server_time"),
        heartbeat: number(from, "heartbeat_ms"),
        heartbeatTimeout: maybeNumber(known, "heartbeat_timeout_ms") ?? 10_000,
        tick: maybeNumber(known, "tick_ms") ?? 33,
      };
    }
    case "opened":
      return { type, connectionId: text(from, "connection_id") };
    case "ping":
      return { type, timestamp: number(from, "timestamp"), rtt: maybeNumber(from, "rtt_ms") };
    case "server_draining":
      return { type, retryAfter: number(from, "retry_after_ms") };
    case "close":
      return { type, code: number(from, "code"), reason: maybeText(from, "reason") ?? "" };
    case "error":
      return { type, error: readError(from) };
    case "presence:currentUsers":
      return { type, ...readStand(from), reason: text(from, "reason"), users: list(from, "users", readUser) };
    case "presence:synced":
      return { type, ...readStand(from) };
    case "presence:restored":
      return { type, room: text(from, "room"), state: jsonObject(object(from, "state")) };
    case "presence:userJoined":
      return { type, room: text(from, "room"), version: number(from, "version"), ...readUser(object(from, "user")) };
    case "presence:userLeft":
      return {
        type,
        room: text(from, "room"),
        version: number(from, "version"),
        userId: text(from, "userId"),
        cause: text(from, "cause"),
      };
    case "presence:userUpdated":
      return readUpdate(from);
    case "presence:cursors":
      return {
        type,
        room: text(from, "room"),
        cursors: list(from, "cursors", (one) => ({
          userId: text(one, "userId"),
          sessionId: text(one, "sessionId"),
          cursor: readCursor(field(one, "cursor")),
        })),
      };
    case "presence:typing":
      return { type, room: text(from, "room"), userIds: texts(from, "userIds") };
    case "ack":
      return {
        type,
        id: text(from, "id"),
        room: text(from, "room"),
        seq: number(from, "seq"),
        timestamp: number(from, "timestamp"),
        durability: maybeText(from, "durability"),
      };
    case "message_created":
    case "thread_invitation":
      return { type: "item", item: readItem(from) };
    case "messages_dropped":
      return { type, dropped: readDropped(from) };
    case "sync_result":
      return {
        type,
        items: list(from, "messages", readItem),
        dropped: maybeList(from, "dropped", readDropped),
        profiles: maybeList(from, "profiles", readProfile),
        cursors: readPlaces(from),
        more: field(from, "more") === true,
        timestamp: number(from, "timestamp"),
      };
    case "user_status":
      return { type, users: list(from, "users", readUserStatus) };
    case "online_users":
      return { type, users: list(from, "users", readListedUser) };
    case "user_profile_updated":
      return { type, profile: readProfile(from) };
    case "invitation_accepted":
      return {
        type,
        accepted: {
          room: text(from, "room"),
          userId: text(from, "user_id"),
          userName: text(from, "user_name"),
          timestamp: number(from, "timestamp"),
        },
      };
    default:
      return { type: "unknown", message: jsonObject(from) };
  }
}

/**
 * Reads one message.
 * @throws {PresenceError} if it is none, or lacks something.
 */
export function parse(line: string): ServerMessage {
  let from: unknown;
  try {
    from = JSON.parse(line);
  } catch (cause) {
    throw new PresenceError("bad_answer", "what the server said is not JSON", { cause });
  }
  if (!isObject(from)) throw wrong("type");
  const ref = field(from, "ref");
  return {
    ...readMessage(text(from, "type"), from),
    ref: typeof ref === "string" || typeof ref === "number" ? ref : null,
  };
}
