// One connection for all tabs of a browser, as an option of a client.
import type { Dial, OpenTransport, TabSharing, TransportKind } from "./api.ts";
import { claimsOf } from "./link/claims.ts";
import { createGroup, type Group } from "./tabs/lease.ts";
import { browser, type Outside } from "./tabs/outside.ts";
import { openPort } from "./tabs/port.ts";

export type { Channel, Hold, Outside } from "./tabs/outside.ts";

/** How tabs share. */
export interface ShareOptions {
  /**
   * What is shared. Default: event streams only, of which browsers allow six to a server over HTTP/1.1, for all tabs
   * together. Of WebSockets they allow enough, and with one of its own each tab is a session of its own.
   */
  readonly transports?: readonly TransportKind[];
  /** Names and channels between tabs; `null` if there is no such thing. For tests. Default: those of the browser. */
  readonly outside?: Outside | null;
}

/** Who this is, with which rights: only tabs of which this is the same may share. `null`: nobody knows. */
function selfOf({ token, query }: Dial): string | null {
  const { sub: id, rooms } = token === null ? { sub: query.get("user_id"), rooms: null } : claimsOf(token);
  return typeof id === "string" ? JSON.stringify([id, rooms]) : null;
}

/**
 * Lets the tabs of one browser share a connection: `createClient({ url, getToken, tabs: shareTabs() })`.
 *
 * On the wire a connection is one session, so tabs that share are one session too: one state, one cursor (where the tab
 * points that was used last), in use while one of the tabs is. All else is each tab's own: its rooms, its messages and
 * what waits to be sent, whom it watches. So only what browsers are short of is shared, unless
 * {@link ShareOptions.transports} says otherwise. One tab has the connection. When it closes, or does not answer for
 * some seconds, another one takes the session over before the server misses it. A tab that can not share, since there
 * are no Web Locks or it is another user's, connects by itself.
 */
export function shareTabs({ transports = ["sse"], outside }: ShareOptions = {}): TabSharing {
  return (env) => {
    const groups = new Map<string, Group>();
    const shared =
      (kind: TransportKind, open: OpenTransport): OpenTransport =>
      (dial, events) => {
        const around = outside === undefined ? browser() : outside;
        const self = selfOf(dial);
        if (!around || self === null) return open(dial, events);
        const name = `presence.tabs.1 ${kind} ${dial.base} ${self}`;
        const group = groups.get(name) ?? createGroup(env, name);
        groups.set(name, group);
        return openPort({ env, outside: around, group, kind, open }, dial, events);
      };
    const sharing = [...env.transports].map(
      ([kind, open]) => [kind, transports.includes(kind) ? shared(kind, open) : open] as const,
    );
    return new Map(sharing);
  };
}
