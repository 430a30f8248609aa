// How users stand whom somebody watches, wherever they are.
import type { JsonObject, Release, UserStatus } from "./api.ts";
import type { Guard } from "./emitter.ts";

/** As many as one message asks for. */
const PER_MESSAGE = 500;

export interface Watching {
  readonly watch: (userIds: readonly string[], handler: (status: UserStatus) => void) => Release;
  readonly status: (userId: string) => UserStatus | null;
  readonly receive: (users: readonly UserStatus[]) => void;
  /** Asks for everybody: the server has forgotten. */
  readonly open: () => void;
}

interface Watched {
  status: UserStatus | null;
  readonly handlers: Set<(status: UserStatus) => void>;
}

export function createWatching(guard: Guard, say: (message: JsonObject) => void): Watching {
  const users = new Map<string, Watched>();
  /** Users of whom nobody knows yet whether they stay: what is watched and left in one turn is not spoken of. */
  const changed = new Set<string>();
  const asked = new Set<string>();

  const speak = (type: "watch" | "unwatch", ids: readonly string[]): void => {
    for (let from = 0; from < ids.length; from += PER_MESSAGE)
      say({ type, users: ids.slice(from, from + PER_MESSAGE) });
  };

  const flush = (): void => {
    const ids = [...changed];
    changed.clear();
    const come = ids.filter((id) => users.has(id) && !asked.has(id));
    const gone = ids.filter((id) => !users.has(id) && asked.has(id));
    for (const id of come) asked.add(id);
    for (const id of gone) asked.delete(id);
    speak("watch", come);
    speak("unwatch", gone);
  };

  const note = (id: string): void => {
    if (changed.size === 0) queueMicrotask(flush);
    changed.add(id);
  };

  return {
    watch(userIds, handler) {
      const own = (status: UserStatus): void => handler(status);
      const ids = [...new Set(userIds)];
      for (const id of ids) {
        const watched = users.get(id) ?? { status: null, handlers: new Set() };
        users.set(id, watched);
        watched.handlers.add(own);
        note(id);
        const { status } = watched;
        if (status) queueMicrotask(() => watched.handlers.has(own) && guard(() => own(status)));
      }
      return () => {
        for (const id of ids) {
          const watched = users.get(id);
          if (!watched?.handlers.delete(own) || watched.handlers.size > 0) continue;
          users.delete(id);
          note(id);
        }
      };
    },
    status: (userId) => users.get(userId)?.status ?? null,
    receive(all) {
      for (const status of all) {
        const watched = users.get(status.id);
        if (!watched) continue;
        const before = watched.status;
        if (before?.status === status.status && before.lastOnline === status.lastOnline) continue;
        watched.status = status;
        for (const handler of [...watched.handlers]) guard(() => handler(status));
      }
    },
    open() {
      asked.clear();
      for (const id of users.keys()) note(id);
    },
  };
}
