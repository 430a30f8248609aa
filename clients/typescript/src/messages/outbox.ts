// What is on its way to be stored: each message once, and those of a room in the order in which they were sent.
import type { Json, Message, OutboxEntry, OutboxStore, Release, StoredMessage } from "../api.ts";
import { PresenceError } from "../errors.ts";
import type { Hub } from "../hub.ts";
import { isPassing } from "../room/mine.ts";
import type { ServerMessage } from "../wire/messages.ts";
import { createKeeper } from "./keeper.ts";
import { ownMessage } from "./message.ts";
import { readNews } from "./news.ts";

/** How many may wait. */
const MOST = 500;

/** When to say again what the server has no time for, if it does not say. */
const AGAIN = 1_000;

export interface Outbox {
  readonly send: (room: string, data: Json, id?: string) => Promise<StoredMessage>;
  readonly resend: (room: string, id: string) => Promise<StoredMessage>;
  readonly discard: (room: string, id: string) => void;
  /** What waits of a room, and what has failed. */
  readonly of: (room: string) => readonly Message[];
  /** How many wait. */
  readonly pending: () => number;
  /** Says what may be said now. */
  readonly flush: () => void;
  readonly lost: () => void;
  readonly clear: () => void;
}

/** A message on its way. */
export interface Letter {
  message: Message;
  isFlying: boolean;
  readonly promise: Promise<StoredMessage>;
  readonly resolve: (message: StoredMessage) => void;
  readonly reject: (error: PresenceError) => void;
}

function isPending({ message }: Letter): boolean {
  return message.delivery.state === "pending";
}

/** `changed` hears that what waits of a room has changed, `delivered` of each message that is stored or has failed. */
export function createOutbox(
  hub: Hub,
  changed: (room: string) => void,
  delivered: (message: Message | StoredMessage) => void,
): Outbox {
  const { env, options } = hub;
  /** In the order of sending. */
  let letters: readonly Letter[] = [];
  let again: Release = () => {};

  const pending = (): Letter[] => letters.filter(isPending);
  const find = (room: string, id: string): Letter | undefined =>
    letters.find(({ message }) => message.id === id && message.room === room);

  const write = (entry: OutboxEntry): Letter => {
    let resolve: Letter["resolve"] = () => {};
    let reject: Letter["reject"] = () => {};
    const promise = new Promise<StoredMessage>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    // Nobody has to listen: what fails is shown as failed.
    promise.catch(() => {});
    const message = ownMessage(entry, hub.selfId(), hub.profile().name ?? null, { state: "pending" });
    return { message, isFlying: false, promise, resolve, reject };
  };

  const note = (room: string): void => {
    keeper?.then((save) => save());
    changed(room);
  };

  const remove = (letter: Letter): void => {
    letters = letters.filter((one) => one !== letter);
    note(letter.message.room);
  };

  const answered = (letter: Letter, answer: ServerMessage): void => {
    const { message } = letter;
    letter.isFlying = false;
    const ack = answer.type === "unknown" ? readNews(answer.message) : null;
    if (ack?.type === "ack") {
      const { seq, durability, timestamp } = ack;
      const delivery = { state: "stored", seq, durability } as const;
      const stored = { ...message, timestamp, userId: hub.selfId(), delivery };
      remove(letter);
      delivered(stored);
      letter.resolve(stored);
    } else if (answer.type === "error") {
      const { error } = answer;
      if (isPassing(error)) {
        again();
        again = env.after(error.retryAfter ?? AGAIN, flush);
        return;
      }
      letter.message = { ...message, delivery: { state: "failed", error } };
      note(message.room);
      letter.reject(error);
      delivered(letter.message);
    }
    flush();
  };

  /** One at a time of each room: were one refused for a while, those behind it would overtake it. */
  const flush = (): void => {
    const firsts = new Map(
      pending()
        .map((letter) => [letter.message.room, letter] as const)
        .reverse(),
    );
    for (const [room, letter] of firsts) {
      const { id, data } = letter.message;
      if (letter.isFlying || !hub.isOpen() || hub.residents.get(room)?.isEntering()) continue;
      letter.isFlying = true;
      hub.say({ type: "message", room, id, data }, (answer) => answered(letter, answer));
    }
  };

  const post = (letter: Letter): Promise<StoredMessage> => {
    letters = [...letters, letter];
    note(letter.message.room);
    flush();
    return letter.promise;
  };

  const refuse = (code: string, message: string): Promise<never> => {
    const refused = Promise.reject(new PresenceError(code, message));
    refused.catch(() => {});
    return refused;
  };

  const keep = async (store: OutboxStore): Promise<() => void> => {
    const save = await createKeeper(store, hub, pending, (entry) => {
      if (find(entry.room, entry.id)) return;
      // What was kept is older than what was sent since.
      letters = [write(entry), ...letters];
      note(entry.room);
    });
    flush();
    return save;
  };
  const keeper = options.outboxStore && keep(options.outboxStore);

  return {
    send(room, data, id = env.uniqueId()) {
      const known = find(room, id);
      if (known) return known.promise;
      if (hub.life.aborted) return refuse("cancelled", "disconnected for good");
      if (pending().length >= (options.outboxMax ?? MOST)) return refuse("outbox_full", "too many wait");
      return post(write({ room, id, data, timestamp: env.now() }));
    },
    resend(room, id) {
      const letter = find(room, id);
      if (!letter) return refuse("not_found", "no such message");
      if (isPending(letter)) return letter.promise;
      letters = letters.filter((one) => one !== letter);
      return post(write(letter.message));
    },
    discard(room, id) {
      const letter = find(room, id);
      if (letter && !isPending(letter)) remove(letter);
    },
    of: (room) => letters.flatMap(({ message }) => (message.room === room ? [message] : [])),
    pending: () => pending().length,
    flush,
    lost() {
      again();
      for (const letter of letters) letter.isFlying = false;
    },
    clear() {
      again();
      for (const letter of letters) {
        remove(letter);
        letter.reject(new PresenceError("cancelled", "disconnected for good"));
      }
    },
  };
}
