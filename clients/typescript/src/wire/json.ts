// JSON values: copied so that nobody can change them, compared by what they say, and merged.
import type { Json, JsonObject } from "../api.ts";

/** A parsed JSON object of which nothing is known. */
export type Fields = { readonly [name: string]: unknown };

/** Whether a value is a JSON object. */
export function isObject(value: Json): value is JsonObject;
export function isObject(value: unknown): value is Fields;
export function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Makes a value one that nobody can change, and of an object one without a prototype: in it no name is special. */
function settled(_: string, value: unknown): unknown {
  return Object.freeze(isObject(value) ? { __proto__: null, ...value } : value);
}

/** Reads a text as JSON that nobody can change. */
export function parsed(text: string): Json {
  return JSON.parse(text, settled);
}

/** A copy that nobody can change. */
export function json(value: Fields): JsonObject;
export function json(value: unknown): Json;
export function json(value: unknown): Json {
  return parsed(JSON.stringify(value) ?? "null");
}

export { json as jsonObject };

/** An object of these fields, as {@link json} makes them. */
export function fromEntries(entries: Iterable<readonly [string, Json]>): JsonObject {
  return Object.freeze({ __proto__: null, ...Object.fromEntries(entries) });
}

/** All fields of these in one, the later over the earlier. */
export function joined(...objects: readonly JsonObject[]): JsonObject {
  return fromEntries(objects.flatMap(Object.entries<Json>));
}

/** Those fields that pass the test. */
export function only(fields: JsonObject, test: (name: string, value: Json) => boolean): JsonObject {
  return fromEntries(Object.entries(fields).filter((field) => test(...field)));
}

/** Merges a patch into a state: `null` removes a field. */
export function merge(state: JsonObject, patch: JsonObject): JsonObject {
  return only(joined(state, patch), (_, value) => value !== null);
}

/** Whether two JSON values say the same: whether all parts of them are alike. */
export function same(one: unknown, other: unknown, areAlike: typeof Object.is = same): boolean {
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || !one || !other) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const [ones, others] = [Object.entries(one), new Map(Object.entries(other))];
  return (
    ones.length === others.size && ones.every(([name, part]) => others.has(name) && areAlike(part, others.get(name)))
  );
}

/** What was before, if all that it has is the very same as in what comes next: things stay the same objects. */
export function keep<Value>(before: Value | undefined, next: Value): Value {
  return before !== undefined && same(before, next, Object.is) ? before : next;
}
