// People wherever they are: how those stand whom somebody watches, and who is online.
import type { Release, UserStatus } from "./api.ts";
import { PresenceError } from "./errors.ts";
import type { Directory, Host } from "./features.ts";

/** As many as one message asks for. */
const PER_MESSAGE = 500;

interface Watched {
  status: UserStatus | null;
  readonly handlers: Set<(status: UserStatus) => void>;
}

/** Adds people to a client. */
export function createDirectory(host: Host): Directory {
  const users = new Map<string, Watched>();
  /** Whose watching has begun or ended in this turn: who is watched and left in one turn is not spoken of. */
  const changed = new Set<string>();
  /** Of whom the server knows that they are watched here. */
  const asked = new Set<string>();
  /** Those who wait for an answer that is lost with the connection. */
  const questions = new Set<(error: PresenceError) => void>();

  const speak = (type: "watch" | "unwatch", ids: readonly string[]): void => {
    for (let from = 0; from < ids.length; from += PER_MESSAGE) {
      host.say({ type, users: ids.slice(from, from + PER_MESSAGE) });
    }
  };

  const flush = (): void => {
    const ids = [...changed];
    changed.clear();
    if (!host.isOpen()) return;
    const come = ids.filter((id) => users.has(id) && !asked.has(id));
    const gone = ids.filter((id) => !users.has(id) && asked.delete(id));
    for (const id of come) asked.add(id);
    speak("watch", come);
    speak("unwatch", gone);
  };

  const note = (id: string): void => {
    if (changed.size === 0) queueMicrotask(flush);
    changed.add(id);
  };

  const take = (status: UserStatus): void => {
    const watched = users.get(status.id);
    const before = watched?.status;
    if (!watched || (before?.status === status.status && before.lastOnline === status.lastOnline)) return;
    watched.status = status;
    for (const handler of [...watched.handlers]) host.guard(() => handler(status));
  };

  return {
    watch(userIds, handler): Release {
      const own = (status: UserStatus): void => handler(status);
      const ids = [...new Set(userIds)];
      for (const id of ids) {
        const watched = users.get(id) ?? { status: null, handlers: new Set() };
        users.set(id, watched);
        watched.handlers.add(own);
        note(id);
        const { status } = watched;
        if (status) queueMicrotask(() => watched.handlers.has(own) && host.guard(() => own(status)));
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
    listUsers: (room) =>
      new Promise((resolve, reject) => {
        if (!host.isOpen()) return reject(new PresenceError("connection", "there is no connection"));
        questions.add(reject);
        host.say({ type: "list_users", ...(room !== undefined && { room }) }, (answer) => {
          questions.delete(reject);
          if (answer.type === "online_users") resolve(answer.users);
          else if (answer.type === "error") reject(answer.error);
        });
      }),
    receive(message) {
      switch (message.type) {
        case "user_status":
          return message.users.forEach(take);
        case "user_profile_updated": {
          const { type: _, ref: __, ...changed } = message;
          return host.tell("profile", changed);
        }
        case "invitation_accepted": {
          const { type: _, ref: __, ...accepted } = message;
          return host.tell("accepted", accepted);
        }
      }
    },
    opened() {
      for (const id of users.keys()) note(id);
    },
    lost() {
      asked.clear();
      for (const reject of questions) reject(new PresenceError("connection", "the connection was lost"));
      questions.clear();
    },
  };
}
