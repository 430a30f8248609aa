// One event stream for all tabs of a browser, as an option of a client.
import type { OpenTransport, TabSharing } from "./api.ts";
import { claimsOf } from "./link/claims.ts";
import { browser, type Outside } from "./tabs/outside.ts";
import { type Group, openPort } from "./tabs/port.ts";

export type { Channel, Hold, Outside } from "./tabs/outside.ts";

/** How tabs share. */
export interface ShareOptions {
  /** Names and channels between tabs; `null` if there is no such thing. For tests. Default: those of the browser. */
  readonly outside?: Outside | null;
}

/** What opens an event stream. */
const STREAM = "/sse?";

/**
 * Lets the tabs of one browser share an event stream: `createClient({ url, getToken, tabs: shareTabs() })`.
 *
 * Each tab is a session of its own, with a connection of its own, and nothing of it is different; only what the server
 * says comes down one stream for all of them, since browsers allow six to a server over HTTP/1.1. WebSockets they allow
 * enough of. One tab has the stream. When it closes, or does not answer for some seconds, the others go over to the
 * stream of another one before the server misses them. A tab that can not share, since there are no Web Locks or it is
 * another user's, has a stream of its own.
 */
export function shareTabs({ outside }: ShareOptions = {}): TabSharing {
  return (env) => {
    const groups = new Map<string, Group>();
    const shared =
      (open: OpenTransport): OpenTransport =>
      (dial, events) => {
        const { base, token, query } = dial;
        const around = outside === undefined ? browser() : outside;
        // The tab that leads ends the connections of those that are gone, which only the same user may.
        const self = token === null ? query.get("user_id") : claimsOf(token)["sub"];
        if (!around || typeof self !== "string") return open(dial, events);
        const name = `presence.tabs.2 ${base} ${self}`;
        const group = groups.get(name) ?? { name, term: 0 };
        groups.set(name, group);
        let headers = new Headers();
        const call = (path: string, more: RequestInit): Promise<Response> =>
          dial.fetch(base + path, { cache: "no-store", headers, ...more });
        const fetch: typeof dial.fetch = (url, init = {}) => {
          const path = String(url).slice(base.length);
          // The token that is used last is the newest.
          const bearer = new Headers(init.headers).get("authorization");
          headers = new Headers(bearer === null ? {} : { authorization: bearer });
          if (!path.startsWith(STREAM)) return dial.fetch(url, init);
          const signal = init.signal ?? new AbortController().signal;
          return openPort({ env, outside: around, group, call }, path.slice(STREAM.length), signal);
        };
        return open({ ...dial, fetch }, events);
      };
    return new Map([...env.transports].map(([kind, open]) => [kind, kind === "sse" ? shared(open) : open] as const));
  };
}
