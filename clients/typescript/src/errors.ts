// What goes wrong: one kind of error, with a code to decide by.

/** What went wrong: a code of the server's protocol, or one of the client's own. */
export type ErrorCode =
  | "bad_json"
  | "bad_message"
  | "unknown_type"
  | "too_large"
  | "unauthorized"
  | "forbidden"
  | "not_joined"
  | "invalid_room"
  | "rate_limited"
  | "busy"
  | "unavailable"
  | "conflict"
  | "not_found"
  /** An HTTP request's condition did not hold: somebody else has changed it before. */
  | "precondition_failed"
  /** The connection was lost, or could not be made. */
  | "connection"
  /** No token could be had. */
  | "token"
  /** More messages wait than may. */
  | "outbox_full"
  /** The client was disconnected for good, or the message discarded. */
  | "cancelled"
  /** What the server said is not what its protocol says. */
  | "bad_answer"
  /** A handler of the application has thrown; it is the `cause`. */
  | "handler"
  /** Something else, as the message tells; or a code of a newer server. */
  | "unknown"
  | (string & Record<never, never>);

/** What is known of an error beside its code and its words. */
export interface ErrorDetails {
  readonly field?: string | null;
  readonly room?: string | null;
  readonly retryAfter?: number | null;
  readonly status?: number | null;
  readonly cause?: unknown;
}

/** Everything that goes wrong is one of these. */
export class PresenceError extends Error {
  declare readonly name: "PresenceError";
  declare readonly code: ErrorCode;
  /** The field of the message that was wrong. */
  declare readonly field: string | null;
  /** The room that it is about. */
  declare readonly room: string | null;
  /** In how many milliseconds it is worth another try. */
  declare readonly retryAfter: number | null;
  /** The HTTP status, if it was a request. */
  declare readonly status: number | null;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details);
    const nothing = { field: null, room: null, retryAfter: null, status: null };
    Object.assign(this, nothing, details, { name: "PresenceError", code });
  }
}
