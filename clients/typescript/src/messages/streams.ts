// What comes from rooms and inboxes and is kept there: each item once, in order, and acknowledged.
import type { Dropped, Env, JsonObject, Release } from "../api.ts";
import { backoff } from "../link/endings.ts";
import type { Said, ServerMessage, StreamItem } from "../wire/messages.ts";

/** How many of the latest items of a stream are remembered by name. */
const REMEMBERED = 1_000;

/** How long the answer to a sync may take before it is asked for again. */
const ANSWER_TIME = 10_000;

/** How far before the last sign of the server a sync by the clock goes back: what was on its way then was not seen. */
const OVERLAP = 10_000;

/** What a client lends to its streams. */
export interface Reader {
  readonly env: Env;
  readonly say: (message: JsonObject, answered?: (message: ServerMessage) => void) => void;
  /** Takes an item. False: nobody wants it, and it is left to the server. */
  readonly take: (item: StreamItem) => boolean;
  readonly dropped: (dropped: Dropped) => void;
  /** What a sync has brought beside items. */
  readonly synced: (result: Said<"sync_result">) => void;
}

export interface Streams {
  readonly receive: (item: StreamItem) => void;
  readonly dropped: (dropped: Dropped) => void;
  /** This session's own message has this place: it will not come again as somebody else's. */
  readonly own: (room: string, seq: number, id: string) => void;
  /** Asks for what was missed, if anything could have been; then calls `done`. */
  readonly sync: (done: () => void) => void;
  /** The server's histories are other ones than before: places mean nothing any more. */
  readonly replaced: () => void;
  /** What the server's clock says. */
  readonly setTime: (time: number) => void;
  readonly lost: () => void;
  readonly clear: () => void;
}

interface Stream {
  /** Everything up to here was taken. */
  place: number;
  /** The latest items, by place. */
  readonly names: Map<number, string>;
}

function nameOf(item: StreamItem): string {
  return item.kind === "message" ? JSON.stringify([item.message.userId, item.message.id]) : item.invitation.room;
}

export function createStreams(reader: Reader, selfId: () => string | null): Streams {
  const streams = new Map<string, Stream>();
  const unacked = new Set<string>();
  /** What has come while it is not known what was missed before it; `null` if nothing was. */
  let held: (StreamItem | Dropped)[] | null = null;
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
      reader.say({ type: "ack", room, seq: stream(room).place }, () => {});
    }
    unacked.clear();
  };

  const take = (item: StreamItem): void => {
    const known = stream(item.room);
    const name = nameOf(item);
    const isKnown = known.names.get(item.seq) === name;
    // Of a new history an old place says nothing, unless it is the same item that stands there.
    if (isReplaced && item.seq <= known.place && !isKnown) {
      known.place = item.seq - 1;
      known.names.clear();
    }
    if (item.seq > known.place) {
      if (!isKnown && !reader.take(item)) return;
      known.place = item.seq;
      remember(known, item.seq, name);
    }
    acknowledge(item.room);
  };

  const skip = (dropped: Dropped): void => {
    const known = stream(dropped.room);
    if (dropped.toSeq <= known.place) return;
    known.place = dropped.toSeq;
    reader.dropped(dropped);
    acknowledge(dropped.room);
  };

  const settle = (item: StreamItem | Dropped): void => ("kind" in item ? take(item) : skip(item));

  /** Takes in order what a sync has brought, each stream's items among its losses. */
  const takeAll = (result: Said<"sync_result">): void => {
    const first = (one: StreamItem | Dropped): number => ("kind" in one ? one.seq : one.fromSeq);
    [...result.items, ...result.dropped].sort((a, b) => first(a) - first(b)).forEach(settle);
    for (const [room, place] of result.cursors) {
      const known = streams.get(room);
      if (known) known.place = isReplaced ? place : Math.max(known.place, place);
    }
    reader.synced(result);
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
      timer = reader.env.after(wait, () => ask(since, cursors, () => {}));
      settled();
    };
    timer();
    timer = reader.env.after(ANSWER_TIME, () => later(0));
    reader.say({ type: "sync", since, cursors }, (answer) => {
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
        else return later(answer.error.retryAfter ?? backoff(failed, reader.env.random));
        settled();
      }
    });
  };

  return {
    receive(item) {
      time = Math.max(time, item.kind === "message" ? item.message.timestamp : item.invitation.timestamp);
      if (held) held.push(item);
      else take(item);
    },
    dropped(dropped) {
      if (held) held.push(dropped);
      else skip(dropped);
    },
    own(room, seq, id) {
      remember(stream(room), seq, JSON.stringify([selfId(), id]));
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
    setTime(now) {
      time = Math.max(time, now);
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
