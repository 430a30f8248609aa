// Who is in a room, as the server tells it: a fold over its messages, which knows when it has missed something.
import type { Cursor, JsonObject, LeaveCause, RemoteCursor, Session, User } from "../api.ts";
import { fromEntries, same } from "../wire/fields.ts";
import type { Said, WireSession, WireUser } from "../wire/messages.ts";
import { digestOf } from "./digest.ts";

/** What happened to somebody. */
export type Step =
  | { readonly type: "join"; readonly user: User }
  | { readonly type: "leave"; readonly user: User; readonly cause: LeaveCause }
  | { readonly type: "update"; readonly user: User; readonly before: User };

/** How what is known fits what the server says: it does, or something is missing, or something is wrong. */
export type Fit = "fits" | "gap" | "digest" | "epoch";

/** The messages that carry a version. */
export type Versioned = Said<"presence:userJoined"> | Said<"presence:userLeft"> | Said<"presence:userUpdated">;

export interface Roster {
  /** From where to go on; `null` while nothing is known. */
  readonly since: () => { readonly epoch: string; readonly version: number } | null;
  readonly digest: () => string;
  readonly user: (id: string) => User | undefined;
  readonly session: (userId: string, sessionId: string) => Session | undefined;
  /** By the time they came. The same list until somebody comes, goes or changes. */
  readonly users: () => readonly User[];
  /** All but one session's own. The same list until one moves, or its user changes. */
  readonly cursors: (userId: string | null, sessionId: string | null) => readonly RemoteCursor[];
  /** Starts afresh. What differs from what was known is told as steps. */
  readonly begin: (snapshot: Said<"presence:currentUsers">) => readonly Step[];
  readonly apply: (event: Versioned) => { readonly fit: Fit; readonly steps: readonly Step[] };
  readonly move: (cursors: Said<"presence:cursors">["cursors"]) => void;
  readonly compare: (synced: Said<"presence:synced">) => Fit;
  readonly clear: () => void;
}

/** Merges a patch into a state: `null` removes a field. */
export function merge(state: JsonObject, patch: JsonObject): JsonObject {
  const merged = new Map(Object.entries(state));
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name);
    else merged.set(name, value);
  }
  return fromEntries(merged);
}

const CAUSES: ReadonlySet<string> = new Set<LeaveCause>(["left", "closed", "timeout", "kicked", "node_lost"]);

function isCause(cause: string): cause is LeaveCause {
  return CAUSES.has(cause);
}

export function createRoster(): Roster {
  let epoch: string | null = null;
  let version = 0;
  const users = new Map<string, User>();
  /** By user, then by session. */
  const pointers = new Map<string, Map<string, Cursor>>();
  let sorted: readonly User[] | null = null;
  let shown: readonly RemoteCursor[] | null = null;
  let shownFor = "";
  const known = new Map<string, RemoteCursor>();

  /** Notes where sessions point, and gives the sessions without it. */
  const plain = (id: string, sessions: readonly WireSession[]): readonly Session[] => {
    const own = new Map<string, Cursor>();
    pointers.set(id, own);
    return sessions.map(({ cursor, ...session }) => {
      if (cursor) own.set(session.sessionId, cursor);
      return session;
    });
  };

  const put = (user: User): void => {
    users.set(user.id, user);
    sorted = shown = null;
  };

  const come = (user: WireUser): User => {
    const plainUser = { ...user, sessions: plain(user.id, user.sessions) };
    put(plainUser);
    return plainUser;
  };

  const remove = (id: string): User | undefined => {
    const user = users.get(id);
    users.delete(id);
    pointers.delete(id);
    sorted = shown = null;
    return user;
  };

  const update = (event: Said<"presence:userUpdated">): readonly Step[] => {
    const before = users.get(event.userId);
    if (!before) return [];
    const { sessionId, state } = event;
    let sessions = event.sessions ? plain(before.id, event.sessions) : before.sessions;
    if (state) {
      const stated = (session: Session): Session =>
        session.sessionId === sessionId ? { ...session, state: merge(session.state, state) } : session;
      sessions = sessions.map(stated);
    }
    const user = {
      ...before,
      name: event.name ?? before.name,
      color: event.color ?? before.color,
      avatar: event.avatar ?? before.avatar,
      email: event.email ?? before.email,
      status: event.status ?? before.status,
      connectionCount: event.connectionCount ?? before.connectionCount,
      sessions,
    };
    put(user);
    return [{ type: "update", user, before }];
  };

  const step = (event: Versioned): readonly Step[] => {
    switch (event.type) {
      case "presence:userJoined": {
        const before = users.get(event.user.id);
        const user = come(event.user);
        return [before ? { type: "update", user, before } : { type: "join", user }];
      }
      case "presence:userLeft": {
        const user = remove(event.userId);
        return user ? [{ type: "leave", user, cause: isCause(event.cause) ? event.cause : "unknown" }] : [];
      }
      case "presence:userUpdated":
        return update(event);
    }
  };

  const list = (userId: string | null, sessionId: string | null): readonly RemoteCursor[] => {
    const all: RemoteCursor[] = [];
    for (const [id, sessions] of pointers) {
      const user = users.get(id);
      for (const [session, cursor] of sessions) {
        if (!user || (id === userId && session === sessionId)) continue;
        const key = JSON.stringify([id, session]);
        const before = known.get(key);
        const kept = before?.user === user && before.cursor === cursor;
        all.push(kept ? before : { key, sessionId: session, user, cursor });
      }
    }
    known.clear();
    for (const one of all) known.set(one.key, one);
    return all;
  };

  return {
    since: () => (epoch === null ? null : { epoch, version }),
    digest: () => digestOf(users.values()),
    user: (id) => users.get(id),
    session: (userId, sessionId) => users.get(userId)?.sessions.find((session) => session.sessionId === sessionId),
    users() {
      sorted ??= [...users.values()].sort((a, b) => a.joinedAt - b.joinedAt || (a.id < b.id ? -1 : 1));
      return sorted;
    },
    cursors(userId, sessionId) {
      const own = JSON.stringify([userId, sessionId]);
      if (own !== shownFor) shown = null;
      shownFor = own;
      shown ??= list(userId, sessionId);
      return shown;
    },
    begin(snapshot) {
      const before = epoch === null ? null : new Map(users);
      users.clear();
      pointers.clear();
      snapshot.users.forEach(come);
      ({ epoch, version } = snapshot);
      sorted = shown = null;
      return before ? differences(before, users) : [];
    },
    apply(event) {
      if (epoch === null || event.version <= version) return { fit: "fits", steps: [] };
      if (event.version > version + 1) return { fit: "gap", steps: [] };
      version = event.version;
      return { fit: "fits", steps: step(event) };
    },
    move(cursors) {
      for (const { userId, sessionId, cursor } of cursors) {
        const own = pointers.get(userId);
        if (!own) continue;
        if (cursor) own.set(sessionId, cursor);
        else own.delete(sessionId);
      }
      shown = null;
    },
    compare(synced) {
      if (synced.epoch !== epoch) return "epoch";
      if (synced.version !== version) return "gap";
      return synced.digest === digestOf(users.values()) ? "fits" : "digest";
    },
    clear() {
      users.clear();
      pointers.clear();
      epoch = null;
      version = 0;
      sorted = shown = null;
    },
  };
}

/** What happened between two rosters, as far as can be seen. Users who are the same stay the same objects. */
function differences(before: ReadonlyMap<string, User>, users: Map<string, User>): readonly Step[] {
  const steps: Step[] = [];
  for (const [id, user] of before) {
    if (!users.has(id)) steps.push({ type: "leave", user, cause: "missed" });
  }
  for (const [id, user] of users) {
    const old = before.get(id);
    if (!old) steps.push({ type: "join", user });
    // When they were last seen changes without being told.
    else if (same({ ...old, lastSeen: 0 }, { ...user, lastSeen: 0 })) users.set(id, old);
    else steps.push({ type: "update", user, before: old });
  }
  return steps;
}
