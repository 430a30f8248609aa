// Reads the server's errors, from the wire and from the bodies of HTTP answers.
import { type ErrorCode, PresenceError } from "../errors.ts";
import { type Fields, number, object, or, text } from "./fields.ts";

const CODES: readonly string[] = [
  "bad_json",
  "bad_message",
  "unknown_type",
  "too_large",
  "unauthorized",
  "forbidden",
  "not_joined",
  "invalid_room",
  "rate_limited",
  "busy",
  "unavailable",
  "conflict",
  "not_found",
  "precondition_failed",
] satisfies ErrorCode[];

function isCode(code: string): code is ErrorCode {
  return CODES.includes(code);
}

const read = object({
  code: text,
  message: or(text, ""),
  field: or(text, null),
  room: or(text, null),
  retryAfterMs: or(number, null),
});

/** An `error` message, or the `error` of an HTTP body. */
export function readError(from: Fields, status: number | null = null): PresenceError {
  const { code, message, retryAfterMs: retryAfter, ...rest } = read(from, "error");
  return new PresenceError(isCode(code) ? code : "unknown", message || code, { ...rest, retryAfter, status });
}
