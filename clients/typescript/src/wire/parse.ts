// Reads the server's messages: parsed field by field, never taken on trust. Unknown fields are left aside.
import type { Cursor, User } from "../api.ts";
import { readError } from "./errors.ts";
import { field, isObject, jsonObject, list, number, object, or, type Read, type Shape, text } from "./fields.ts";
import type { Bodies, ServerMessage, Stand, WireSession, WireUser } from "./messages.ts";

/** How to read messages, by their types. */
export type Shapes = { readonly [Type in keyof Bodies]?: Shape<Bodies[Type]> };

const cursor: Read<Cursor | null> = (value) => {
  if (!isObject(value)) return null;
  const [x, y] = [field(value, "x"), field(value, "y")];
  return typeof x === "number" && typeof y === "number" ? Object.freeze({ ...jsonObject(value, ""), x, y }) : null;
};

const status: Read<User["status"]> = (value) => (value === "away" ? value : "online");

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

/** What belongs to connections and rooms. */
export const ROOM_SHAPES: Shapes = {
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
};

/**
 * Reads one message.
 * @throws {PresenceError} if it is none, or lacks something.
 */
export function parse(line: string, shapes: Shapes): ServerMessage {
  const from = jsonOf(line);
  const fields = isObject(from) ? from : {};
  const type = text(field(fields, "type"), "type");
  const named = field(fields, "ref");
  const ref = typeof named === "string" || typeof named === "number" ? named : null;
  if (type === "error") return { type, ref, error: readError(fields) };
  const shape = field(shapes, type);
  if (!isObject(shape)) return { type: "unknown", ref, message: jsonObject(fields, type) };
  // The shape of a type reads just what that type has.
  return { ...object<object>(shape)(fields, type), type, ref } as ServerMessage;
}

/** What a line says; nothing if it is no JSON. */
function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
