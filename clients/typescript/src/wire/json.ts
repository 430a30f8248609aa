// JSON values: copied so that nobody can change them, compared by what they say, and merged.
import type { Json, JsonObject } from "../api.ts";

/** A parsed JSON object of which nothing is known. */
export type Fields = { readonly [name: string]: unknown };

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A copy that nobody can change, of objects without a prototype: in them no name is special. */
export function json(value: unknown): Json {
  if (Array.isArray(value)) return Object.freeze(value.map(json));
  if (isObject(value)) return jsonObject(value);
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : null;
}

/** The same for an object. */
export function jsonObject(value: Fields): JsonObject {
  return fromEntries(Object.entries(value).map(([name, inner]) => [name, json(inner)]));
}

/** An object of these fields, as {@link json} makes them. */
export function fromEntries(entries: Iterable<readonly [string, Json]>): JsonObject {
  const copy: { [name: string]: Json } = Object.create(null);
  for (const [name, value] of entries) copy[name] = value;
  return Object.freeze(copy);
}

/** Merges a patch into a state: `null` removes a field. */
export function merge(state: JsonObject, patch: JsonObject): JsonObject {
  return fromEntries(Object.entries(fromEntries([state, patch].flatMap(Object.entries<Json>))).filter(isThere));
}

function isThere([, value]: readonly [string, Json]): boolean {
  return value !== null;
}

/** Whether two JSON values say the same. */
export function same(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || !one || !other) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const [ones, others] = [Object.entries(one), new Map(Object.entries(other))];
  return (
    ones.length === others.size && ones.every(([name, value]) => others.has(name) && same(value, others.get(name)))
  );
}

/** What was before, if all that it has is the very same as in what comes next: things stay the same objects. */
export function keep<Value>(before: Value | undefined, next: Value): Value {
  if (typeof before !== "object" || typeof next !== "object" || !before || !next) return next;
  const [old, own] = [Object.values(before), Object.values(next)];
  return old.length === own.length && own.every((value, at) => value === old[at]) ? before : next;
}
