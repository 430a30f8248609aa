// The interface: how to make a client.
import type { TransportKind } from "./connection.ts";
import type { Json } from "./json.ts";
import type { Env, TabSharing } from "./outside.ts";
import type { Profile, Self } from "./people.ts";

/** Why a token is asked for, and a signal that says when it is not needed any more. */
export interface TokenRequest {
  readonly reason: "connect" | "renew" | "expired" | "refused" | "request";
  readonly signal: AbortSignal;
}

/** How the server knows who this is: by a token, by one that is asked for when needed, or (in dev mode) by `user`. */
export type Credentials =
  | { readonly token: string; readonly getToken?: never; readonly user?: Self | Profile }
  | {
      readonly getToken: (request: TokenRequest) => string | Promise<string>;
      readonly token?: never;
      readonly user?: Self | Profile;
    }
  | { readonly token?: never; readonly getToken?: never; readonly user: Self };

/** How to make a client. */
export type ClientOptions = Credentials & {
  /** Where the server is: `https://rt.example.com`, with a path if it is behind one, or `/` for the page's own. */
  readonly url: string | URL;
  /** This session's name. Default: one that outlives reloads of this tab. */
  readonly sessionId?: string;
  /** `ws` or `sse` for only that one. Default: `auto`, WebSocket first, and an event stream where that does not open. */
  readonly transport?: "auto" | TransportKind;
  /** After how many failed tries in a row to give up. Default: never. */
  readonly retries?: number;
  /** From which round-trip time on the quality is poor, in milliseconds. Default: 300. */
  readonly poorRtt?: number;
  /** After how long without a key or a pointer a visible page is idle, in milliseconds. Default: 5 minutes; 0: never. */
  readonly idleAfter?: number;
  /** How often to compare with the server, in milliseconds. Default: a minute. */
  readonly checkEvery?: number;
  /** How many messages a room shows at most. Default: 200. */
  readonly messagesMax?: number;
  /** How many messages may wait to be stored; one more is refused. Default: 500. */
  readonly outboxMax?: number;
  /** Where messages that wait are kept, so that they outlive a reload. Default: nowhere. */
  readonly outboxStore?: OutboxStore;
  /** Lets the tabs of a browser share an event stream: `shareTabs()` of `@presence/client/tabs`. Default: each has one. */
  readonly tabs?: TabSharing;
  /** What is outside: time, chance, the page, the network. For tests, and other places than browsers. */
  readonly env?: Partial<Env>;
};

/** A message that waits to be stored, as an {@link OutboxStore} keeps it. */
export interface OutboxEntry {
  readonly room: string;
  readonly id: string;
  readonly data: Json;
  readonly timestamp: number;
}

/** Keeps messages that wait to be stored. `load` may give what it does not know the shape of: it is parsed. */
export interface OutboxStore {
  readonly load: () => unknown | Promise<unknown>;
  readonly save: (entries: readonly OutboxEntry[]) => void | Promise<void>;
}
