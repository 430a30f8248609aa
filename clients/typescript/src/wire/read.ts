// Reads values that came over the wire: whatever is not of its kind is refused, by name.
import type { Cursor, LeaveCause, User, UserStatus } from "../api.ts";
import { PresenceError } from "../errors.ts";
import { isObject, json, jsonObject } from "./json.ts";

/** Reads one value, or throws a {@link PresenceError} that has its name. */
export type Read<Value> = (value: unknown, name: string) => Value;

/** Lets a value pass that is good; `Value` is what `isGood` proves it to be. */
function only<Value>(isGood: (value: unknown) => value is Value): Read<Value> {
  return (value, name) => {
    if (isGood(value)) return value;
    throw new PresenceError("bad_answer", `the server said a bad ${name}`, { field: name });
  };
}

export const text: Read<string> = /* @__PURE__ */ only((value) => typeof value === "string");
const number: Read<number> = /* @__PURE__ */ only((value) => typeof value === "number");
const objects: Read<{ readonly [name: string]: unknown }> = /* @__PURE__ */ only(isObject);
const lists: Read<unknown[]> = /* @__PURE__ */ only(Array.isArray);

/** A list, each of whose items is read by itself. */
export function list<Item>(read: Read<Item>): Read<readonly Item[]> {
  return (value, name) => lists(value, name).map((item) => read(item, name));
}

/**
 * An object with these fields: `name`, or `name:kind` for what is no text. On the wire they are called the same, or the
 * same with underscores. Of what ends in `?` the value may be missing, and is `null` then.
 */
export function object<Value>(shape: string): Read<Value> {
  const fields = shape.split(" ").map((word) => {
    const [key = "", kind = ""] = word.split(/\W/u);
    const snake = key.replace(/[A-Z]/gu, (letter) => `_${letter.toLowerCase()}`);
    return [key, snake, kind, word.endsWith("?")] as const;
  });
  return (value, name) => {
    const from = objects(value, name);
    const into = fields.map(([key, snake, kind, mayMiss]) => {
      const found = from[key] ?? from[snake] ?? null;
      return [key, found === null && mayMiss ? null : (KINDS[kind] ?? text)(found, snake)] as const;
    });
    // Each field was read by its own reader.
    return Object.fromEntries(into) as Value;
  };
}

const CAUSES: readonly LeaveCause[] = ["left", "closed", "timeout", "kicked", "node_lost"];

const cursor: Read<Cursor | null> = (value) => {
  if (!isObject(value)) return null;
  const { x, y } = value;
  return typeof x === "number" && typeof y === "number" ? Object.freeze({ ...jsonObject(value), x, y }) : null;
};
const presence: Read<User["status"]> = (value) => (value === "away" ? value : "online");
const standing: Read<UserStatus["status"]> = (value) => (value === "away" || value === "online" ? value : "offline");

const session = "sessionId connectedAt:n active:flag state:state cursor:cursor";
const user = `id name color avatar? email? joinedAt:n lastSeen:n status:presence connectionCount:n sessions:sessions`;

/** The shape of a message that the server keeps. */
export const MESSAGE = "room id seq:n userId userName snapshot:json timestamp:n";
export const DROPPED = "room count:n fromSeq:n toSeq:n reason";
export const PROFILE = "userId username? name? color? avatar? timestamp:n";
export const INVITATION = "inbox seq:n room invitedBy userName timestamp:n";

/** Something in the answer to a sync, where a message has no type. */
const item: Read<object> = (value, name) => {
  const isInvitation = isObject(value) && value["type"] === "thread_invitation";
  const type = isInvitation ? "thread_invitation" : "message_created";
  return { type, ...object<object>(isInvitation ? INVITATION : MESSAGE)(value, name) };
};

/** What a field may be that is no text. */
const KINDS: { readonly [kind: string]: Read<unknown> } = {
  n: number,
  json,
  cursor,
  presence,
  standing,
  flag: (value) => value === true,
  texts: list(text),
  state: (value, name) => jsonObject(objects(value, name)),
  cause: (value) => CAUSES.find((cause) => cause === value) ?? "unknown",
  user: object(user),
  users: list(object(user)),
  sessions: list(object(session)),
  limits: object("heartbeatTimeoutMs:n? tickMs:n?"),
  pointers: list(object("userId sessionId cursor:cursor")),
  items: list(item),
  messages: list(object(MESSAGE)),
  losses: list(object(DROPPED)),
  profiles: list(object(PROFILE)),
  places: (value, name) => new Map(Object.entries(objects(value, name)).map(([room, at]) => [room, number(at, room)])),
};
