// Reads values that came over the wire: whatever is not of its kind is refused, by name.
import type { Json, JsonObject } from "../api.ts";
import { PresenceError } from "../errors.ts";

/** A parsed JSON object of which nothing is known. */
export type Fields = { readonly [name: string]: unknown };

/** Reads one value, or throws a {@link PresenceError} that has its name. */
export type Read<Value> = (value: unknown, name: string) => Value;

/** How to read each field of an object. */
export type Shape<Value> = { readonly [Name in keyof Value]: Read<Value[Name]> };

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An object's own field. What objects inherit is none of the sender's doing. */
export function field(from: Fields, name: string): unknown {
  return Object.hasOwn(from, name) ? from[name] : undefined;
}

function wrong(name: string): PresenceError {
  return new PresenceError("bad_answer", `the server said no good \`${name}\``, { field: name });
}

export const text: Read<string> = (value, name) => {
  if (typeof value !== "string") throw wrong(name);
  return value;
};

export const number: Read<number> = (value, name) => {
  if (typeof value !== "number") throw wrong(name);
  return value;
};

export const flag: Read<boolean> = (value) => value === true;

/** Something that may be missing or `null`, and what it is then. */
export function or<Value, Other>(read: Read<Value>, other: Other): Read<Value | Other> {
  return (value, name) => (value === undefined || value === null ? other : read(value, name));
}

/** A list, each of whose items is read by itself. */
export function list<Item>(read: Read<Item>): Read<readonly Item[]> {
  return (value, name) => {
    if (!Array.isArray(value)) throw wrong(name);
    return value.map((item: unknown) => read(item, name));
  };
}

/** An object whose keys are names that others chose. */
export function map<Value>(read: Read<Value>): Read<ReadonlyMap<string, Value>> {
  return (value, name) => {
    if (!isObject(value)) throw wrong(name);
    return new Map(Object.entries(value).map(([key, inner]) => [key, read(inner, key)]));
  };
}

/** An object with these fields. On the wire they are called the same, or the same with underscores. */
export function object<Value extends object>(shape: Shape<Value>): Read<Value> {
  return (from, name) => {
    if (!isObject(from)) throw wrong(name);
    const into: { [name: string]: unknown } = {};
    for (const [key, read] of Object.entries<Read<unknown>>(shape)) {
      const snake = key.replace(/[A-Z]/gu, (letter) => `_${letter.toLowerCase()}`);
      into[key] = read(field(from, key) ?? field(from, snake), snake);
    }
    // Each field was read by its own reader.
    return into as Value;
  };
}

/** A copy that nobody can change, of objects without a prototype: in them no name is special. */
export function json(value: unknown): Json {
  if (Array.isArray(value)) return Object.freeze(value.map(json));
  if (isObject(value)) return fromEntries(Object.entries(value).map(([name, inner]) => [name, json(inner)]));
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return null;
}

/** The same for an object. */
export const jsonObject: Read<JsonObject> = (value, name) => {
  const copy = json(value);
  if (!isJsonObject(copy)) throw wrong(name);
  return copy;
};

function isJsonObject(value: Json): value is JsonObject {
  return isObject(value);
}

/** An object of these fields, as {@link json} makes them. */
export function fromEntries(entries: Iterable<readonly [string, Json]>): JsonObject {
  const copy: { [name: string]: Json } = Object.create(null);
  for (const [name, value] of entries) copy[name] = value;
  return Object.freeze(copy);
}

/** Whether two JSON values say the same. */
export function same(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const [ones, others] = [Object.entries(one), new Map(Object.entries(other))];
  return (
    ones.length === others.size && ones.every(([name, value]) => others.has(name) && same(value, others.get(name)))
  );
}

/** What a token says, if it can be read. Nothing is proven by reading it. */
export function claimsOf(token: string): Fields | null {
  try {
    const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const claims: unknown = JSON.parse(atob(payload));
    return isObject(claims) ? claims : null;
  } catch {
    return null;
  }
}
