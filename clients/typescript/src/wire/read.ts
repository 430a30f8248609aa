// Reads values that came over the wire: whatever is not of its kind is refused, by name.
import type { Cursor, LeaveCause, User } from "../api.ts";
import { PresenceError } from "../errors.ts";
import { isObject } from "./json.ts";

/** Reads one value, or throws a {@link PresenceError} that has its name. */
export type Read<Value> = (value: unknown, name: string) => Value;

/** What fields may be, by the names that shapes have for it. */
export type Kinds = { readonly [kind: string]: Read<unknown> };

/** Lets a value pass that is good; `Value` is what `isGood` proves it to be. */
function only<Value>(isGood: (value: unknown) => value is Value): Read<Value> {
  return (value, name) => {
    if (isGood(value)) return value;
    throw new PresenceError("bad_answer", `bad ${name}`, { field: name });
  };
}

export const text: Read<string> = /* @__PURE__ */ only((value) => typeof value === "string");
export const number: Read<number> = /* @__PURE__ */ only((value) => typeof value === "number");
export const objects: Read<{ readonly [name: string]: unknown }> = /* @__PURE__ */ only(isObject);
const lists: Read<unknown[]> = /* @__PURE__ */ only(Array.isArray);

/** A list, each of whose items is read by itself. */
export function list<Item>(read: Read<Item>): Read<readonly Item[]> {
  return (value, name) => lists(value, name).map((item) => read(item, name));
}

/**
 * An object with these fields: `name`, or `name:kind` for what is no text. On the wire they are called the same, or the
 * same with underscores. Of what ends in `?` the value may be missing, and is `null` then. `more` are kinds of its own.
 */
export function object<Value>(shape: string, more?: Kinds): Read<Value> {
  const fields = shape.split(" ").map((word) => {
    const [key = "", kind = ""] = word.split(/\W/u);
    const snake = key.replace(/[A-Z]/gu, (letter) => `_${letter.toLowerCase()}`);
    return [key, snake, kind, word.endsWith("?")] as const;
  });
  return (value, name) => {
    const from = objects(value, name);
    const into = fields.map(([key, snake, kind, mayMiss]) => {
      const found = from[key] ?? from[snake] ?? null;
      return [key, found === null && mayMiss ? null : (more?.[kind] ?? KINDS[kind] ?? text)(found, snake)] as const;
    });
    // Each field was read by its own reader.
    return Object.fromEntries(into) as Value;
  };
}

function isCursor(value: unknown): value is Cursor {
  return isObject(value) && typeof value["x"] === "number" && typeof value["y"] === "number";
}

const CAUSES: readonly LeaveCause[] = ["left", "closed", "timeout", "kicked", "node_lost"];

const cursor: Read<Cursor | null> = (value) => (isCursor(value) ? value : null);
const presence: Read<User["status"]> = (value) => (value === "away" ? value : "online");

const session = "sessionId connectedAt:n active:flag state:state cursor:cursor";
const user = `id name color avatar? email? joinedAt:n lastSeen:n status:presence connectionCount:n sessions:sessions`;

/** What a field may be that is no text. */
const KINDS: Kinds = {
  n: number,
  cursor,
  presence,
  flag: (value) => value === true,
  texts: list(text),
  state: objects,
  cause: (value) => CAUSES.find((cause) => cause === value) ?? "unknown",
  user: object(user),
  users: list(object(user)),
  sessions: list(object(session)),
  limits: object("heartbeatTimeoutMs:n? tickMs:n?"),
  pointers: list(object("userId sessionId cursor:cursor")),
};
