// Reads the server's errors, from the wire and from the bodies of HTTP answers.
import { PresenceError } from "../errors.ts";
import { type Fields, number, object, or, text } from "./fields.ts";

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
  return new PresenceError(code, message || code, { ...rest, retryAfter, status });
}
