// Reads the server's errors, from the wire and from the bodies of HTTP answers.
import { type ErrorCode, PresenceError } from "../errors.ts";
import { type Fields, field, isObject, maybeNumber, maybeText, text } from "./fields.ts";

const CODES: ReadonlySet<string> = new Set<ErrorCode>([
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
]);

function isCode(code: string): code is ErrorCode {
  return CODES.has(code);
}

/** An `error` message, or the `error` of an HTTP body. */
export function readError(from: Fields, status: number | null = null): PresenceError {
  const code = text(from, "code");
  return new PresenceError(isCode(code) ? code : "unknown", maybeText(from, "message") ?? code, {
    field: maybeText(from, "field"),
    room: maybeText(from, "room"),
    retryAfter: maybeNumber(from, "retry_after_ms"),
    status,
  });
}

/** The error of an HTTP answer, whatever its body is. */
export function readHttpError(body: unknown, status: number, retryAfter: string | null): PresenceError {
  const inner = isObject(body) ? field(body, "error") : undefined;
  if (isObject(inner) && typeof field(inner, "code") === "string") return readError(inner, status);
  const code: ErrorCode = status === 401 ? "unauthorized" : status === 412 ? "precondition_failed" : "unknown";
  return new PresenceError(code, `the server answered with ${status}`, {
    status,
    retryAfter: retryAfter === null ? null : Number(retryAfter) * 1000 || null,
  });
}
