// People wherever they are: how those stand whom somebody watches, and who is online. It is loaded when it is asked for.
import type { Client, JsonObject, ListedUser, UserStatus } from "./api.ts";
import { createEmitter, type Emitter } from "./emitter.ts";
import { PresenceError } from "./errors.ts";
import type { Hub } from "./hub.ts";
import { standing } from "./messages/shapes.ts";
import { list, object, type Read } from "./wire/read.ts";

/** People elsewhere. */
export interface Directory extends Pick<Client, "status" | "listUsers"> {
  /** As {@link Client.watch}, until `signal` is aborted. */
  readonly watch: (userIds: readonly string[], handler: (status: UserStatus) => void, signal: AbortSignal) => void;
  /** Takes a message that nobody else knows; false if it is none of these either. */
  readonly receive: (message: JsonObject) => boolean;
  readonly opened: () => void;
  readonly lost: () => void;
}

/** As many as one message asks for. */
const PER_MESSAGE = 500;

/** Reads the users of a `user_status`. */
export const readStatuses: Read<readonly UserStatus[]> = list(
  object<UserStatus>("id status:standing lastOnline:n?", { standing }),
);
/** Reads the users of an `online_users`. */
export const readListed: Read<readonly ListedUser[]> = list(
  object<ListedUser>("id name color? status:standing lastOnline:n?", { standing }),
);

interface Watched extends Pick<Emitter<{ readonly status: UserStatus }>, "on" | "emit" | "hears"> {
  status: UserStatus | null;
}

/** Adds people to a client. */
export function create(hub: Hub): Directory {
  const users = new Map<string, Watched>();
  /** Of whom the server knows that they are watched here. */
  const asked = new Set<string>();
  /** Whether the server is told at the end of this turn: who is left and watched in one turn is not spoken of. */
  let isDue = false;
  /** Those who wait for an answer that is lost with the connection. */
  const questions = new Set<(error: PresenceError) => void>();

  const speak = (type: "watch" | "unwatch", ids: readonly string[]): void => {
    for (let from = 0; from < ids.length; from += PER_MESSAGE) {
      hub.say({ type, users: ids.slice(from, from + PER_MESSAGE) });
    }
  };

  const tellServer = (): void => {
    isDue = false;
    // What is known of somebody outlives a turn in which nobody watches them.
    for (const [id, { hears }] of users) if (!hears("status")) users.delete(id);
    if (!hub.isOpen()) return;
    const come = [...users.keys()].filter((id) => !asked.has(id));
    const gone = [...asked].filter((id) => !users.has(id));
    for (const id of come) asked.add(id);
    for (const id of gone) asked.delete(id);
    speak("watch", come);
    speak("unwatch", gone);
  };

  const changed = (): void => {
    if (!isDue) queueMicrotask(tellServer);
    isDue = true;
  };

  return {
    watch(userIds, handler, signal) {
      if (signal.aborted) return;
      const releases = [...new Set(userIds)].map((id) => {
        const watched = users.get(id) ?? { status: null, ...createEmitter(hub.guard) };
        users.set(id, watched);
        const { status } = watched;
        if (status) queueMicrotask(() => signal.aborted || hub.guard(() => handler(status)));
        return watched.on("status", handler);
      });
      changed();
      signal.addEventListener("abort", () => {
        for (const release of releases) release();
        changed();
      });
    },
    status: (userId) => users.get(userId)?.status ?? null,
    listUsers: (room) =>
      new Promise((resolve, reject) => {
        if (!hub.isOpen()) return reject(new PresenceError("connection", "no connection"));
        questions.add(reject);
        hub.say({ type: "list_users", ...(room !== undefined && { room }) }, (answer) => {
          questions.delete(reject);
          try {
            if (answer.type === "unknown") resolve(readListed(answer.message["users"], "users"));
            else if (answer.type === "error") reject(answer.error);
          } catch (error) {
            reject(error);
          }
        });
      }),
    receive(message) {
      if (message["type"] !== "user_status") return false;
      for (const status of readStatuses(message["users"], "users")) {
        const watched = users.get(status.id);
        const before = watched?.status;
        if (!watched || (before?.status === status.status && before.lastOnline === status.lastOnline)) continue;
        watched.status = status;
        watched.emit("status", status);
      }
      return true;
    },
    opened: changed,
    lost() {
      asked.clear();
      for (const reject of questions) reject(new PresenceError("connection", "the connection was lost"));
      questions.clear();
    },
  };
}
