// Who is in a room, as the server tells it: a fold over its messages, which knows when it has missed something.
import type { Cursor, RemoteCursor, RoomEvents, Session, User } from "../api.ts";
import { merge, only, same } from "../wire/json.ts";
import type { Said, Stand, WireUser } from "../wire/messages.ts";

/** What happened to somebody, as a room tells it. */
export type Step = { [Type in "join" | "leave" | "update"]: readonly [Type, RoomEvents[Type]] }[
  | "join"
  | "leave"
  | "update"];

/** The messages that carry a version. */
export type Versioned = Said<"presence:userJoined"> | Said<"presence:userLeft"> | Said<"presence:userUpdated">;

export interface Roster {
  /** From where to go on; `null` while nothing is known. */
  readonly since: () => { readonly epoch: string; readonly version: number } | null;
  readonly user: (id: string | null | undefined) => User | undefined;
  /** By the time they came. */
  readonly users: () => readonly User[];
  /** All but one session's own. Each is the same object until it moves, or its user changes. */
  readonly cursors: (userId: string | null, sessionId: string | null) => readonly RemoteCursor[];
  /** Starts afresh. What differs from what was known is told as steps. */
  readonly begin: (snapshot: Said<"presence:currentUsers">) => readonly Step[];
  /** `null`: something before it is missing. */
  readonly apply: (event: Versioned) => readonly Step[] | null;
  readonly glide: (cursors: Said<"presence:cursors">["cursors"]) => void;
  /** What does not fit the server's version, if anything does not. */
  readonly compare: (synced: Stand) => "gap" | "epoch" | null;
  readonly clear: () => void;
}

export function createRoster(): Roster {
  let epoch: string | null = null;
  let version = 0;
  /** In the order in which they came. */
  const users = new Map<string, User>();
  /** Where sessions point, by their keys. */
  const pointers = new Map<string, RemoteCursor>();

  const point = (user: User, sessionId: string, cursor: Cursor | null): void => {
    const key = JSON.stringify([user.id, sessionId]);
    if (cursor) pointers.set(key, { key, sessionId, user, cursor });
    else pointers.delete(key);
  };

  /** Notes somebody, and beside them where their sessions point. */
  const put = ({ sessions, ...rest }: WireUser): User => {
    const user = { ...rest, sessions: sessions.map(({ cursor: _, ...session }) => session) };
    users.set(user.id, user);
    for (const { sessionId, cursor } of sessions) point(user, sessionId, cursor);
    return user;
  };

  const update = (event: Said<"presence:userUpdated">): Step[] => {
    const { type: _, ref: __, room: ___, version: ____, userId, sessionId, state, sessions, ...news } = event;
    const before = users.get(userId);
    if (!before) return [];
    // What is not told has not changed.
    const next = { ...before, ...only(news, (_, value) => value !== null) };
    const now = sessions ? put({ ...next, sessions }) : next;
    const stated = (one: Session): Session =>
      one.sessionId === sessionId ? { ...one, state: merge(one.state, state ?? {}) } : one;
    const user = state ? { ...now, sessions: now.sessions.map(stated) } : now;
    users.set(userId, user);
    return [["update", { user, before }]];
  };

  /** Lets go of the cursors of those who are not here any more, and shows the others' users as they are now. */
  const refresh = (): void => {
    for (const [key, shown] of pointers) {
      const user = users.get(shown.user.id);
      if (!user?.sessions.some(({ sessionId }) => sessionId === shown.sessionId)) pointers.delete(key);
      else if (user !== shown.user) pointers.set(key, { ...shown, user });
    }
  };

  const clear = (): void => {
    users.clear();
    pointers.clear();
    epoch = null;
  };

  return {
    since: () => (epoch === null ? null : { epoch, version }),
    user: (id) => users.get(id ?? ""),
    users: () => [...users.values()],
    cursors(userId, sessionId) {
      refresh();
      return [...pointers.values()].filter((one) => one.sessionId !== sessionId || one.user.id !== userId);
    },
    begin(snapshot) {
      const before = epoch === null ? null : new Map(users);
      clear();
      [...snapshot.users].sort((a, b) => a.joinedAt - b.joinedAt).forEach(put);
      ({ epoch, version } = snapshot);
      return before ? differences(before, users) : [];
    },
    apply(event) {
      if (epoch === null || event.version <= version) return [];
      if (event.version > version + 1) return null;
      version = event.version;
      if (event.type === "presence:userUpdated") return update(event);
      if (event.type === "presence:userJoined") return [["join", { user: put(event.user) }]];
      const user = users.get(event.userId);
      users.delete(event.userId);
      refresh();
      return user ? [["leave", { user, cause: event.cause }]] : [];
    },
    glide(cursors) {
      for (const { userId, sessionId, cursor } of cursors) {
        const user = users.get(userId);
        if (user) point(user, sessionId, cursor);
      }
    },
    compare(synced) {
      if (synced.epoch !== epoch) return "epoch";
      return synced.version === version ? null : "gap";
    },
    clear,
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
