// Who is in a room, as the server tells it: a fold over its messages, which knows when it has missed something.
import type { Cursor, RemoteCursor, RoomEvents, Session, User } from "../api.ts";
import { merge, same } from "../wire/json.ts";
import type { Said, WireSession, WireUser } from "../wire/messages.ts";
import { digestOf } from "./digest.ts";

/** What happened to somebody, as a room tells it. */
export type Step = { [Type in "join" | "leave" | "update"]: readonly [Type, RoomEvents[Type]] }[
  | "join"
  | "leave"
  | "update"];

/** What is known does not fit what the server says: something is missing, or something is wrong. */
export type Misfit = "gap" | "digest" | "epoch";

/** The messages that carry a version. */
export type Versioned = Said<"presence:userJoined"> | Said<"presence:userLeft"> | Said<"presence:userUpdated">;

export interface Roster {
  /** From where to go on; `null` while nothing is known. */
  readonly since: () => { readonly epoch: string; readonly version: number } | null;
  readonly digest: () => string;
  readonly user: (id: string | null | undefined) => User | undefined;
  /** By the time they came. */
  readonly users: () => readonly User[];
  /** All but one session's own. Each is the same object until it moves, or its user changes. */
  readonly cursors: (userId: string | null, sessionId: string | null) => readonly RemoteCursor[];
  /** Starts afresh. What differs from what was known is told as steps. */
  readonly begin: (snapshot: Said<"presence:currentUsers">) => readonly Step[];
  /** `null`: something before it is missing. */
  readonly apply: (event: Versioned) => readonly Step[] | null;
  readonly move: (cursors: Said<"presence:cursors">["cursors"]) => void;
  readonly compare: (synced: Said<"presence:synced">) => Misfit | null;
  readonly clear: () => void;
}

export function createRoster(): Roster {
  let epoch: string | null = null;
  let version = 0;
  /** In the order in which they came. */
  const users = new Map<string, User>();
  /** By user, then by session. */
  const pointers = new Map<string, Map<string, Cursor>>();
  const shown = new WeakMap<Cursor, RemoteCursor>();

  /** Notes where sessions point, and gives the sessions without it. */
  const plain = (id: string, sessions: readonly WireSession[]): readonly Session[] => {
    const own = new Map<string, Cursor>();
    pointers.set(id, own);
    return sessions.map(({ cursor, ...session }) => {
      if (cursor) own.set(session.sessionId, cursor);
      return session;
    });
  };

  const come = (user: WireUser): Step => {
    const before = users.get(user.id);
    const next = { ...user, sessions: plain(user.id, user.sessions) };
    users.set(user.id, next);
    return before ? ["update", { user: next, before }] : ["join", { user: next }];
  };

  const update = ({ userId, sessionId, state, sessions: said, ...event }: Said<"presence:userUpdated">): Step[] => {
    const before = users.get(userId);
    if (!before) return [];
    let sessions = said ? plain(userId, said) : before.sessions;
    if (state) {
      const stated = (one: Session): Session =>
        one.sessionId === sessionId ? { ...one, state: merge(one.state, state) } : one;
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
    users.set(userId, user);
    return [["update", { user, before }]];
  };

  return {
    since: () => (epoch === null ? null : { epoch, version }),
    digest: () => digestOf(users.values()),
    user: (id) => users.get(id ?? ""),
    users: () => [...users.values()],
    cursors(userId, sessionId) {
      const all: RemoteCursor[] = [];
      for (const [id, user] of users) {
        for (const [session, cursor] of pointers.get(id) ?? []) {
          if (id === userId && session === sessionId) continue;
          const before = shown.get(cursor);
          const own =
            before?.user === user ? before : { key: JSON.stringify([id, session]), sessionId: session, user, cursor };
          shown.set(cursor, own);
          all.push(own);
        }
      }
      return all;
    },
    begin(snapshot) {
      const before = epoch === null ? null : new Map(users);
      users.clear();
      pointers.clear();
      for (const user of [...snapshot.users].sort((a, b) => a.joinedAt - b.joinedAt)) come(user);
      ({ epoch, version } = snapshot);
      return before ? differences(before, users) : [];
    },
    apply(event) {
      if (epoch === null || event.version <= version) return [];
      if (event.version > version + 1) return null;
      version = event.version;
      if (event.type === "presence:userJoined") return [come(event.user)];
      if (event.type === "presence:userUpdated") return update(event);
      const user = users.get(event.userId);
      users.delete(event.userId);
      pointers.delete(event.userId);
      return user ? [["leave", { user, cause: event.cause }]] : [];
    },
    move(cursors) {
      for (const { userId, sessionId, cursor } of cursors) {
        const own = pointers.get(userId);
        if (cursor) own?.set(sessionId, cursor);
        else own?.delete(sessionId);
      }
    },
    compare(synced) {
      if (synced.epoch !== epoch) return "epoch";
      if (synced.version !== version) return "gap";
      return synced.digest === digestOf(users.values()) ? null : "digest";
    },
    clear() {
      users.clear();
      pointers.clear();
      epoch = null;
    },
  };
}

/** What happened between two rosters, as far as can be seen. Users who are the same stay the same objects. */
function differences(before: ReadonlyMap<string, User>, users: Map<string, User>): readonly Step[] {
  const steps: Step[] = [];
  for (const [id, user] of before) {
    if (!users.has(id)) steps.push(["leave", { user, cause: "missed" }]);
  }
  for (const [id, user] of users) {
    const old = before.get(id);
    if (!old) steps.push(["join", { user }]);
    // When they were last seen changes without being told.
    else if (same({ ...old, lastSeen: 0 }, { ...user, lastSeen: 0 })) users.set(id, old);
    else steps.push(["update", { user, before: old }]);
  }
  return steps;
}
