// The interface: what is outside of a client, which tests may put their own in the place of.
import type { Client } from "./client.ts";
import type { TransportKind } from "./connection.ts";
import type { JsonObject, Release } from "./json.ts";
import type { ClientOptions } from "./options.ts";

/** What is outside of the client. A test gives its own, and so decides on time, chance and the network. */
export interface Env {
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Calls back once, after so many milliseconds. */
  readonly after: (milliseconds: number, callback: () => void) => Release;
  /** Calls back before the next frame is drawn, or soon where nothing is drawn. */
  readonly frame: (callback: () => void) => Release;
  /** At least 0, less than 1. */
  readonly random: () => number;
  /** A name that nobody else has. */
  readonly uniqueId: () => string;
  readonly page: Page;
  /** Keeps this session's name over a reload of this tab; `null` if nothing does. */
  readonly storage: Pick<Storage, "getItem" | "setItem"> | null;
  /** Whether nobody else has this name. It is held until the tab goes away, or `signal` is aborted. */
  readonly claim: (name: string, signal: AbortSignal) => Promise<boolean>;
  readonly fetch: typeof fetch;
  /** The ways to the server, in the order in which they are tried. */
  readonly transports: ReadonlyMap<TransportKind, OpenTransport>;
}

/** What a page's events say. `used`: a key, a pointer. `kept`, `back`: into and out of the browser's page cache. */
export type PageEvent = "online" | "offline" | "visible" | "hidden" | "used" | "kept" | "back";

/** The page that the client runs in. */
export interface Page {
  readonly online: () => boolean;
  readonly visible: () => boolean;
  readonly subscribe: (listener: (event: PageEvent) => void) => Release;
}

/** Where to, and as whom. A transport may put the token into a header, or leave it to {@link Dial.hello}. */
export interface Dial {
  /** The server's address, without a slash at its end: `https://rt.example.com`. */
  readonly base: string;
  /** What the URL says, with no secret in it. */
  readonly query: URLSearchParams;
  readonly token: string | null;
  /** The first message for a transport that has nowhere else to put the token; `null` without one. */
  readonly hello: JsonObject | null;
  readonly fetch: typeof fetch;
}

/** What a transport tells. Nothing more comes after `closed`, nor after {@link Transport.close} was called. */
export interface TransportEvents {
  /** A message has come: its text. */
  readonly message: (text: string) => void;
  /** The end, with a close code (1006 if there was none), and when to come again if the server said so. */
  readonly closed: (code: number, reason: string, retryAfter?: number) => void;
}

/** One connection to the server, by whatever way. */
export interface Transport {
  /** Says something, after everything that was said before. What can not be said any more is lost. */
  readonly send: (message: JsonObject) => void;
  /** Takes another token for what goes beside the connection. */
  readonly renew: (token: string) => void;
  /** Ends it: 1000 leaves all rooms at once, anything else lets the server wait for this session. */
  readonly close: (code: number) => void;
}

/** Opens a connection. It may take what is sent before it is open. */
export type OpenTransport = (dial: Dial, events: TransportEvents) => Transport;

/** The ways to the server, made of those that each tab has for itself. */
export type TabSharing = (env: Env) => Env["transports"];

/** Makes a client. It does nothing until something is asked of it, so it may be made anywhere, on a server too. */
export type CreateClient = (options: ClientOptions) => Client;
