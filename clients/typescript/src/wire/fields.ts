// Reads fields of what came over the wire: whatever is not of its kind is refused, by name.
import type { Json, JsonObject } from "../api.ts";
import { PresenceError } from "../errors.ts";

/** A parsed JSON object of which nothing is known. */
export type Fields = { readonly [name: string]: unknown };

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An object's own field. What objects inherit is none of the sender's doing. */
export function field(from: Fields, name: string): unknown {
  return Object.hasOwn(from, name) ? from[name] : undefined;
}

export function wrong(name: string): PresenceError {
  return new PresenceError("bad_answer", `\`${name}\` of the server's message is missing or of the wrong kind`, {
    field: name,
  });
}

export function object(from: Fields, name: string): Fields {
  const value = field(from, name);
  if (!isObject(value)) throw wrong(name);
  return value;
}

export function text(from: Fields, name: string): string {
  const value = field(from, name);
  if (typeof value !== "string") throw wrong(name);
  return value;
}

export function number(from: Fields, name: string): number {
  const value = field(from, name);
  if (typeof value !== "number") throw wrong(name);
  return value;
}

/** A text that may be missing or `null`. */
export function maybeText(from: Fields, name: string): string | null {
  return (field(from, name) ?? null) === null ? null : text(from, name);
}

/** A number that may be missing or `null`. */
export function maybeNumber(from: Fields, name: string): number | null {
  return (field(from, name) ?? null) === null ? null : number(from, name);
}

/** A list, each of whose items is read by itself. */
export function list<Item>(from: Fields, name: string, read: (item: Fields) => Item): readonly Item[] {
  const value = field(from, name);
  if (!Array.isArray(value)) throw wrong(name);
  return value.map((item: unknown) => {
    if (!isObject(item)) throw wrong(name);
    return read(item);
  });
}

/** A list that may be missing. */
export function maybeList<Item>(from: Fields, name: string, read: (item: Fields) => Item): readonly Item[] {
  return field(from, name) === undefined ? [] : list(from, name, read);
}

/** A list of texts. */
export function texts(from: Fields, name: string): readonly string[] {
  const value = field(from, name);
  if (!Array.isArray(value)) throw wrong(name);
  return value.map((item: unknown) => {
    if (typeof item !== "string") throw wrong(name);
    return item;
  });
}

/** A copy that nobody can change, of objects without a prototype: in them no name is special. */
export function json(value: unknown): Json {
  if (Array.isArray(value)) return Object.freeze(value.map(json));
  if (isObject(value)) return jsonObject(value);
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return null;
}

/** The same for an object. Fields that JSON can not say, such as functions, become `null`. */
export function jsonObject(value: Fields): JsonObject {
  return fromEntries(Object.entries(value).map(([name, inner]) => [name, json(inner)]));
}

/** An object of these fields, as {@link json} makes them. */
export function fromEntries(entries: Iterable<readonly [string, Json]>): JsonObject {
  const copy: { [name: string]: Json } = Object.create(null);
  for (const [name, value] of entries) copy[name] = value;
  return Object.freeze(copy);
}

/** Whether two JSON values say the same. */
export function same(one: Json | undefined, other: Json | undefined): boolean {
  if (one === other) return true;
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item: Json, index) => same(item, other[index]));
  }
  if (!isObject(one) || !isObject(other) || Array.isArray(one) || Array.isArray(other)) return false;
  const names = Object.keys(one);
  const isSame = (name: string): boolean => Object.hasOwn(other, name) && same(json(one[name]), json(other[name]));
  return names.length === Object.keys(other).length && names.every(isSame);
}
