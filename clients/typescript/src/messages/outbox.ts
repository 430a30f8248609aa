// What is on its way to be stored: each message once, and those of a room in the order in which they were sent.
import type { Json, Message, OutboxEntry, OutboxStore, Release, StoredMessage } from "../api.ts";
import { PresenceError } from "../errors.ts";
import type { Host } from "../features.ts";
import { isPassing } from "../room/mine.ts";
import { field, isObject, json } from "../wire/fields.ts";
import type { ServerMessage } from "../wire/messages.ts";

/** When to try again what the server has no time for, if it does not say. */
const AGAIN = 1_000;

/** How many may wait. */
const MOST = 500;

export interface Outbox {
  readonly send: (room: string, data: Json, id?: string) => Promise<StoredMessage>;
  readonly resend: (room: string, id: string) => Promise<StoredMessage>;
  readonly discard: (room: string, id: string) => void;
  /** What waits of a room, and what has failed. */
  readonly of: (room: string) => readonly Message[];
  readonly has: (room: string, id: string) => boolean;
  /** How many wait. */
  readonly pending: () => number;
  /** Says what may be said now. */
  readonly flush: () => void;
  readonly lost: () => void;
  readonly clear: () => void;
}

interface Letter {
  message: Message;
  inFlight: boolean;
  readonly promise: Promise<StoredMessage>;
  readonly resolve: (message: StoredMessage) => void;
  readonly reject: (error: PresenceError) => void;
}

/** `changed` hears that what waits of a room has changed, `delivered` of each message that is stored or has failed. */
export function createOutbox(
  host: Host,
  changed: (room: string) => void,
  delivered: (message: Message) => void,
): Outbox {
  const { env } = host;
  const { outboxStore: store, outboxMax = MOST } = host.options;
  /** By room, in the order of sending. */
  const letters = new Map<string, Letter[]>();
  let again: Release = () => {};
  let isSaving = false;

  const isPending = (letter: Letter): boolean => letter.message.delivery.state === "pending";
  const all = (): Letter[] => [...letters.values()].flat();
  const pending = (): Letter[] => all().filter(isPending);
  const find = (room: string, id: string): Letter | undefined =>
    letters.get(room)?.find((one) => one.message.id === id);

  const save = (): void => {
    if (!store || isSaving) return;
    isSaving = true;
    queueMicrotask(async () => {
      isSaving = false;
      const entries = pending().map(({ message: { room, id, data, timestamp } }) => ({ room, id, data, timestamp }));
      try {
        await store.save(entries);
      } catch (cause) {
        host.tell("error", new PresenceError("unknown", "what waits to be sent could not be kept", { cause }));
      }
    });
  };

  const note = (room: string): void => {
    save();
    changed(room);
  };

  const write = (entry: OutboxEntry): Letter => {
    let resolve: Letter["resolve"] = () => {};
    let reject: Letter["reject"] = () => {};
    const promise = new Promise<StoredMessage>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    // Nobody has to listen: what fails is shown as failed.
    promise.catch(() => {});
    const { id: userId, name: userName } = host.self();
    const message: Message = { ...entry, key: entry.id, userId, userName, own: true, delivery: { state: "pending" } };
    return { message, inFlight: false, promise, resolve, reject };
  };

  const remove = (letter: Letter): void => {
    const { room } = letter.message;
    const others = (letters.get(room) ?? []).filter((one) => one !== letter);
    if (others.length > 0) letters.set(room, others);
    else letters.delete(room);
    note(room);
  };

  const fail = (letter: Letter, error: PresenceError): void => {
    letter.message = { ...letter.message, delivery: { state: "failed", error } };
    note(letter.message.room);
    letter.reject(error);
    delivered(letter.message);
  };

  const answered = (letter: Letter, answer: ServerMessage): void => {
    letter.inFlight = false;
    if (answer.type === "ack") {
      const { userId: _, ...rest } = letter.message;
      const { seq, durability, timestamp } = answer;
      const message: StoredMessage = {
        ...rest,
        timestamp,
        userId: host.self().id,
        delivery: { state: "stored", seq, durability },
      };
      remove(letter);
      delivered(message);
      letter.resolve(message);
    } else if (answer.type === "error" && isPassing(answer.error)) {
      again();
      again = env.after(answer.error.retryAfter ?? AGAIN, flush);
      return;
    } else if (answer.type === "error") {
      fail(letter, answer.error);
    }
    flush();
  };

  /** One at a time of each room: were one refused for a while, those behind it would overtake it. */
  const flush = (): void => {
    for (const [room, queue] of letters) {
      const first = queue.find(isPending);
      if (!first || first.inFlight || !host.isOpen() || host.isEntering(room)) continue;
      first.inFlight = true;
      const { id, data } = first.message;
      host.say({ type: "message", room, id, data }, (answer) => answered(first, answer));
    }
  };

  const post = (letter: Letter): Promise<StoredMessage> => {
    const { room } = letter.message;
    letters.set(room, [...(letters.get(room) ?? []), letter]);
    note(room);
    flush();
    return letter.promise;
  };

  const load = async (store: OutboxStore): Promise<void> => {
    try {
      const kept: unknown = await store.load();
      const entries = Array.isArray(kept) ? kept.flatMap(readEntry) : [];
      // What was kept is older than what was sent since.
      for (const entry of entries.reverse()) {
        if (find(entry.room, entry.id)) continue;
        letters.set(entry.room, [write(entry), ...(letters.get(entry.room) ?? [])]);
        note(entry.room);
      }
      flush();
    } catch (cause) {
      host.tell("error", new PresenceError("unknown", "what was kept to be sent could not be read", { cause }));
    }
  };
  if (store) void load(store);

  return {
    send(room, data, id = env.uniqueId()) {
      const known = find(room, id);
      if (known) return known.promise;
      const letter = write({ room, id, data: json(data), timestamp: env.now() });
      if (pending().length < outboxMax) return post(letter);
      letter.reject(new PresenceError("outbox_full", "too many messages wait to be sent", { room }));
      return letter.promise;
    },
    resend(room, id) {
      const letter = find(room, id);
      if (!letter) return Promise.reject(new PresenceError("not_found", "there is no such message", { room }));
      if (isPending(letter)) return letter.promise;
      remove(letter);
      return post(write(letter.message));
    },
    discard(room, id) {
      const letter = find(room, id);
      if (letter && !isPending(letter)) remove(letter);
    },
    of: (room) => (letters.get(room) ?? []).map((letter) => letter.message),
    has: (room, id) => find(room, id) !== undefined,
    pending: () => pending().length,
    flush,
    lost() {
      again();
      for (const letter of all()) letter.inFlight = false;
    },
    clear() {
      again();
      const gone = pending();
      const rooms = [...letters.keys()];
      letters.clear();
      rooms.forEach(note);
      for (const letter of gone) letter.reject(new PresenceError("cancelled", "the client was disconnected for good"));
    },
  };
}

/** What a store gives back was written by another version, or by somebody else: what is no entry is left out. */
function readEntry(value: unknown): readonly OutboxEntry[] {
  if (!isObject(value)) return [];
  const [room, id, timestamp] = [field(value, "room"), field(value, "id"), field(value, "timestamp")];
  const isEntry = typeof room === "string" && typeof id === "string" && typeof timestamp === "number";
  return isEntry ? [{ room, id, timestamp, data: json(field(value, "data")) }] : [];
}
