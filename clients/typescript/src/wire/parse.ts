// Reads the server's messages: parsed field by field, never taken on trust. Unknown fields are left aside.
import type { JsonObject } from "../api.ts";
import { PresenceError } from "../errors.ts";
import { isObject, parsed } from "./json.ts";
import type { Bodies, ServerMessage } from "./messages.ts";
import { type Kinds, object, type Read, text } from "./read.ts";

const stand = "room epoch version:n digest";

/** What messages have, by their types. */
const SHAPES = {
  connected: "connectionId sessionId userId serverTime:n heartbeatMs:n limits:limits",
  opened: "connectionId",
  ping: "timestamp:n rttMs:n?",
  server_draining: "retryAfterMs:n",
  close: "code:n reason?",
  "presence:currentUsers": `${stand} reason users:users`,
  "presence:synced": stand,
  "presence:restored": "room state:state",
  "presence:userJoined": "room version:n user:user",
  "presence:userLeft": "room version:n userId cause:cause",
  "presence:userUpdated":
    "room version:n userId name? color? avatar? email? status:presence? connectionCount:n? sessions:sessions? sessionId? state:state?",
  "presence:cursors": "room cursors:pointers",
  "presence:typing": "room userIds:texts",
} as const;

type Word<Shape> = Shape extends `${infer First} ${infer Rest}` ? Word<First> | Word<Rest> : Name<Shape>;
type Name<Field> = Field extends `${infer Named}?`
  ? Name<Named>
  : Field extends `${infer Named}:${string}`
    ? Named
    : Field;

/** That every type is there, and has just the fields that it is said to have. */
export type Complete<Bodies, Shapes extends { readonly [Type in keyof Bodies]: string }> = {
  readonly [Type in keyof Bodies]: [Word<Shapes[Type]>, keyof Bodies[Type]] extends [
    keyof Bodies[Type],
    Word<Shapes[Type]>,
  ]
    ? string
    : never;
};

/** The readers of messages, by their types. */
export function readersOf(
  shapes: { readonly [type: string]: string },
  kinds?: Kinds,
): ReadonlyMap<string, Read<object>> {
  return new Map(Object.entries(shapes).map(([type, shape]) => [type, object<object>(shape, kinds)]));
}

const readers = /* @__PURE__ */ readersOf(SHAPES satisfies Complete<Bodies, typeof SHAPES>);

const readBody = /* @__PURE__ */ object<{
  readonly code: string;
  readonly message: string | null;
  readonly field: string | null;
  readonly room: string | null;
  readonly retryAfterMs: number | null;
}>("code message? field? room? retryAfterMs:n?");

/** An `error` message, or the `error` of an HTTP body. */
export function readError(from: unknown, status: number | null = null): PresenceError {
  const { code, message, retryAfterMs: retryAfter, ...rest } = readBody(from, "error");
  return new PresenceError(code, message ?? code, { ...rest, retryAfter, status });
}

/**
 * Reads one message.
 * @throws {PresenceError} if it is none, or lacks something.
 */
export function parse(line: string): ServerMessage {
  const from = jsonOf(line);
  const type = text(from["type"], "type");
  const { ref = null } = from;
  if (type === "error") return { type, ref, error: readError(from) };
  const read = readers.get(type);
  // The reader of a type reads just what that type has.
  return read ? ({ ...read(from, type), type, ref } as ServerMessage) : { type: "unknown", ref, message: from };
}

/** What a line says; nothing if it is no JSON object. */
export function jsonOf(line: string): JsonObject {
  try {
    const value = parsed(line);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
