// The interface: the connection to the server, for those who show how it stands.
import type { PresenceError } from "../errors.ts";
import type { Release } from "./json.ts";

/** The ways to a server. */
export type TransportKind = "ws" | "sse";

/** How good the connection is, by the time a heartbeat takes. */
export type Quality = "good" | "poor" | "disconnected";

/** Why a connection has ended for good. */
export type ClosedReason =
  /** {@link Client.disconnect} was called. */
  | "disconnected"
  /** A newer connection has this session: another tab, or this one elsewhere. */
  | "superseded"
  /** The server does not take the token, or there is none. */
  | "unauthorized"
  /** The token ended and there is no `getToken` to get another. */
  | "expired"
  /** Somebody sent this user away. */
  | "kicked"
  /** The server says that this client does not speak its language. */
  | "refused"
  /** As many tries as {@link ClientOptions.retries} allows have failed. */
  | "gave_up";

/** What a connection has in every state. */
export interface ConnectionFacts {
  /** How many tries have failed since it was last live. */
  readonly attempt: number;
  /** Milliseconds of the last heartbeat's round trip; `null` until there was one. */
  readonly rtt: number | null;
  readonly quality: Quality;
  /** True if there was something to see before, and it may not be so any more. */
  readonly stale: boolean;
  /** When everything was last in step with the server, in Unix milliseconds; `null` if never. */
  readonly syncedAt: number | null;
  /** How many messages wait to be stored. */
  readonly pending: number;
}

/** The states of a connection, by `status`. */
export type ConnectionSnapshot = ConnectionFacts &
  (
    | /** Not begun, or switched off by {@link Client.disable}. */ { readonly status: "idle" }
    | { readonly status: "connecting"; readonly transport: TransportKind }
    | /** Connected; the rooms are being brought up to date. */ {
        readonly status: "syncing";
        readonly transport: TransportKind;
      }
    | { readonly status: "live"; readonly transport: TransportKind }
    | {
        readonly status: "waiting";
        /** When it tries again, in Unix milliseconds; `null` while the browser says that there is no network. */
        readonly nextTryAt: number | null;
        readonly error: PresenceError;
      }
    | { readonly status: "closed"; readonly reason: ClosedReason; readonly error: PresenceError | null }
  );

/** The connection, for those who show how it stands. */
export interface Connection {
  /** How it is now. The same object until something changes. */
  readonly snapshot: ConnectionSnapshot;
  readonly subscribe: (listener: () => void) => Release;
  /** Tries at once, if it waits, or has closed for another reason than {@link Client.disconnect}. */
  readonly retryNow: () => void;
}
