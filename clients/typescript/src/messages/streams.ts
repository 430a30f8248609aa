// What comes from rooms and inboxes and is kept there: each item once, in order, and acknowledged.
import type { Dropped, JsonObject, Release } from "../api.ts";
import type { Host } from "../features.ts";
import { backoff } from "../link/endings.ts";
import type { Said, ServerMessage, StreamItem } from "../wire/messages.ts";

/** How many of the latest items of a stream are remembered by name. */
const REMEMBERED = 1_000;

/** How long the answer to a sync may take before it is asked for again. */
const ANSWER_TIME = 10_000;

/** How far before the last sign of the server a sync by the clock goes back: what was on its way then was not seen. */
const OVERLAP = 10_000;

export interface Streams {
  /** Takes what belongs to streams, and what the server's clock says. */
  readonly receive: (message: ServerMessage) => void;
  /** This session's own message has this place: it will not come again as somebody else's. */
  readonly own: (room: string, seq: number, id: string) => void;
  /** Asks for what was missed, if anything could have been; then calls `done`. */
  readonly sync: (done: () => void) => void;
  /** The server's histories are other ones than before: places mean nothing any more. */
  readonly replaced: () => void;
  readonly lost: () => void;
  readonly clear: () => void;
}

interface Stream {
  /** Everything up to here was taken. */
  place: number;
  /** The latest items, by place. */
  readonly names: Map<number, string>;
}

/** Something that has a place in a stream. */
type Placed = StreamItem | ({ readonly type: "messages_dropped" } & Dropped);

function nameOf(item: StreamItem): string {
  return item.type === "message_created" ? JSON.stringify([item.userId, item.id]) : item.room;
}

/** `take` gets each item. If it says false, nobody wants the item, and it is left to the server. */
export function createStreams(host: Host, take: (item: StreamItem) => boolean): Streams {
  const streams = new Map<string, Stream>();
  const unacked = new Set<string>();
  /** What has come while it is not known what was missed before it; `null` if nothing was. */
  let held: Placed[] | null = null;
  let isReplaced = false;
  /** The server's time when it was last heard, and when it was last heard before the connection was lost. */
  let time = 0;
  let seenUntil = 0;
  let timer: Release = () => {};
  let failed = 0;

  const stream = (room: string): Stream => {
    const known = streams.get(room) ?? { place: 0, names: new Map() };
    streams.set(room, known);
    return known;
  };

  const remember = ({ names }: Stream, seq: number, name: string): void => {
    names.set(seq, name);
    for (const oldest of names.keys()) {
      if (names.size <= REMEMBERED) break;
      names.delete(oldest);
    }
  };

  /** Acknowledges at the end of the turn, once for all that came in it. */
  const acknowledge = (room: string): void => {
    if (unacked.size === 0) queueMicrotask(flush);
    unacked.add(room);
  };

  const flush = (): void => {
    for (const room of unacked) {
      // A refusal says that the server has forgotten; what comes next will tell.
      host.say({ type: "ack", room, seq: stream(room).place }, () => {});
    }
    unacked.clear();
  };

  const settle = (item: Placed): void => {
    const isLoss = item.type === "messages_dropped";
    const room = item.type === "thread_invitation" ? item.inbox : item.room;
    const [first, last] = isLoss ? [item.fromSeq, item.toSeq] : [item.seq, item.seq];
    const known = stream(room);
    const name = isLoss ? "" : nameOf(item);
    const isKnown = known.names.get(last) === name;
    // Of a new history an old place says nothing, unless it is the same item that stands there.
    if (isReplaced && last <= known.place && !isKnown) {
      known.place = first - 1;
      known.names.clear();
    }
    if (last > known.place) {
      if (isLoss) lose(item);
      else if (!isKnown && !take(item)) return;
      known.place = last;
      if (!isLoss) remember(known, last, name);
    }
    acknowledge(room);
  };

  const lose = ({ room, count, fromSeq, toSeq, reason }: Dropped): void => {
    const dropped = { room, count, fromSeq, toSeq, reason };
    host.tellRoom(room, "dropped", dropped);
    host.tell("dropped", dropped);
  };

  /** Takes in order what a sync has brought, each stream's items among its losses. */
  const takeAll = (result: Said<"sync_result">): void => {
    const losses = result.dropped.map((dropped) => ({ type: "messages_dropped" as const, ...dropped }));
    const place = (one: Placed): number => ("seq" in one ? one.seq : one.fromSeq);
    [...result.messages, ...losses].sort((a, b) => place(a) - place(b)).forEach(settle);
    for (const [room, end] of result.cursors) {
      const known = streams.get(room);
      if (known) known.place = isReplaced ? end : Math.max(known.place, end);
    }
    for (const profile of result.profiles) host.tell("profile", profile);
  };

  /** Nothing is missing any more: what was held comes after it. */
  const release = (): void => {
    const waiting = held ?? [];
    held = null;
    waiting.forEach(settle);
    isReplaced = false;
  };

  /** Asks, page after page, and again if there is no answer. Meanwhile what comes is held: it would come too early. */
  const ask = (since: number, cursors: JsonObject, settled: () => void): void => {
    let isOver = false;
    const later = (wait: number): void => {
      isOver = true;
      failed += 1;
      timer = host.env.after(wait, () => ask(since, cursors, () => {}));
      settled();
    };
    timer();
    timer = host.env.after(ANSWER_TIME, () => later(0));
    host.say({ type: "sync", since, cursors }, (answer) => {
      if (isOver) return;
      timer();
      if (answer.type === "sync_result") {
        isOver = true;
        failed = 0;
        takeAll(answer);
        if (answer.more) return ask(answer.timestamp, Object.fromEntries(answer.cursors), settled);
        release();
        settled();
      } else if (answer.type === "error") {
        // A server that keeps no messages has none that were missed.
        if (answer.error.code === "unknown_type") release();
        else return later(answer.error.retryAfter ?? backoff(failed, host.env.random));
        settled();
      }
    });
  };

  return {
    receive(message) {
      if (message.type === "connected") time = Math.max(time, message.serverTime);
      if ("timestamp" in message) time = Math.max(time, message.timestamp);
      if (
        message.type !== "message_created" &&
        message.type !== "thread_invitation" &&
        message.type !== "messages_dropped"
      )
        return;
      if (held) held.push(message);
      else settle(message);
    },
    own(room, seq, id) {
      remember(stream(room), seq, JSON.stringify([host.self().id, id]));
    },
    sync(done) {
      if (!held) return done();
      // Of a new history what came since is asked for, by the clock: its places are not these.
      const places = isReplaced ? [] : [...streams].map(([room, { place }]) => [room, place] as const);
      ask(Math.max(seenUntil - OVERLAP, 0), Object.fromEntries(places), done);
    },
    replaced() {
      isReplaced = true;
    },
    lost() {
      timer();
      unacked.clear();
      // Before the first connection nothing was missed.
      if (time === 0) return;
      // Of several losses without a sync between them the first counts.
      if (!held) seenUntil = time;
      held = [];
    },
    clear() {
      timer();
      streams.clear();
      held = null;
    },
  };
}
