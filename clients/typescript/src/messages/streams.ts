// What comes from rooms and inboxes and is kept there: each item once, in order, and acknowledged.
import type { Dropped, JsonObject, Release } from "../api.ts";
import type { Hub } from "../hub.ts";
import { backoff } from "../link/endings.ts";
import { keyOf } from "./message.ts";
import { bodyOf, type News, readNews, type StreamItem } from "./news.ts";

/** How many of the latest items of a stream are remembered by name. */
const REMEMBERED = 1_000;

/** How long the answer to a sync may take before it is asked for again. */
const ANSWER_TIME = 10_000;

/** How far before the last sign of the server a sync by the clock goes back: what was on its way then was not seen. */
const OVERLAP = 10_000;

export interface Streams {
  /** Takes what belongs to streams. */
  readonly receive: (message: News) => void;
  /** This session's own message has this place: it will not come again as somebody else's. */
  readonly own: (room: string, seq: number, id: string) => void;
  /** Asks for what was missed, if anything could have been; then calls `done`. */
  readonly sync: (done: () => void) => void;
  readonly lost: () => void;
  readonly clear: () => void;
}

interface Stream {
  /** Everything up to here was taken. */
  place: number;
  /** The latest items, by place. */
  readonly names: Map<number, string>;
}

type SyncResult = Extract<News, { readonly type: "sync_result" }>;

/** Something that has a place in a stream. */
type Placed = StreamItem | ({ readonly type: "messages_dropped" } & Dropped);

/** Where it begins and ends, and what tells it from others at the same place. */
function placeOf(item: Placed): { room: string; first: number; last: number; name: string } {
  const isLoss = item.type === "messages_dropped";
  const [first, last] = isLoss ? [item.fromSeq, item.toSeq] : [item.seq, item.seq];
  const room = "inbox" in item ? item.inbox : item.room;
  return { room, first, last, name: "id" in item ? keyOf(item) : item.room };
}

/** `take` gets each item. If it says false, nobody wants the item, and it is left to the server. */
export function createStreams(hub: Hub, take: (item: StreamItem) => boolean): Streams {
  const streams = new Map<string, Stream>();
  const unacked = new Set<string>();
  const { early } = hub;
  /** What has come while it is not known what was missed before it. */
  let held: Placed[] = [];
  let timer: Release = () => {};
  let failed = 0;
  let isAsking = false;

  const streamOf = (room: string): Stream => {
    const stream = streams.get(room) ?? { place: 0, names: new Map() };
    streams.set(room, stream);
    return stream;
  };

  const remember = ({ names }: Stream, seq: number, name: string): void => {
    names.set(seq, name);
    const [oldest = seq] = names.keys();
    if (names.size > REMEMBERED) names.delete(oldest);
  };

  /** Acknowledges at the end of the turn, once for all that came in it. */
  const acknowledge = (room: string): void => {
    if (unacked.size === 0) {
      queueMicrotask(() => {
        // A refusal says that the server has forgotten; what comes next will tell.
        for (const one of unacked) hub.say({ type: "ack", room: one, seq: streamOf(one).place }, () => {});
        unacked.clear();
      });
    }
    unacked.add(room);
  };

  const settle = (item: Placed): void => {
    const { room, first, last, name } = placeOf(item);
    const stream = streamOf(room);
    const isKnown = stream.names.get(last) === name;
    // Of a new history an old place says nothing, unless it is the same item that stands there.
    if (early.isReplaced && last <= stream.place && !isKnown) {
      stream.place = first - 1;
      stream.names.clear();
    }
    if (last > stream.place) {
      if (item.type === "messages_dropped") {
        const dropped = bodyOf(item);
        hub.residents.get(room)?.emit("dropped", dropped);
        hub.emit("dropped", dropped);
      } else if (isKnown || take(item)) remember(stream, last, name);
      else return;
      stream.place = last;
    }
    acknowledge(room);
  };

  /** Takes in order what a sync has brought, each stream's items among its losses. */
  const takeAll = ({ messages, dropped, cursors, profiles }: SyncResult): void => {
    const losses = dropped?.map((loss) => ({ ...loss, type: "messages_dropped" as const })) ?? [];
    [...messages, ...losses].sort((a, b) => placeOf(a).first - placeOf(b).first).forEach(settle);
    for (const [room, end] of cursors) {
      const stream = streams.get(room);
      if (stream) stream.place = early.isReplaced ? end : Math.max(stream.place, end);
    }
    for (const profile of profiles ?? []) hub.emit("profile", profile);
  };

  /** Nothing is missing any more: what was held comes after it. */
  const release = (): void => {
    early.lostAt = null;
    for (const item of held.splice(0)) settle(item);
    isAsking = early.isReplaced = false;
  };

  /** Asks, page after page, and again if there is no answer. Meanwhile what comes is held: it would come too early. */
  const ask = (since: number, cursors: JsonObject, done: () => void): void => {
    let isOver = false;
    isAsking = true;
    const later = (wait: number): void => {
      isOver = true;
      timer();
      timer = hub.env.after(wait, () => ask(since, cursors, () => {}));
      done();
    };
    timer = hub.env.after(ANSWER_TIME, () => later(0));
    hub.say({ type: "sync", since, cursors }, (answer) => {
      if (isOver) return;
      const error = answer.type === "error" ? answer.error : null;
      if (error && error.code !== "unknown_type") {
        failed += 1;
        return later(error.retryAfter ?? backoff(failed, hub.env.random));
      }
      timer();
      const news = answer.type === "unknown" ? readNews(answer.message) : null;
      if (news?.type === "sync_result") {
        takeAll(news);
        if (news.more) return ask(news.timestamp, Object.fromEntries(news.cursors), done);
      }
      // A server that keeps no messages has none that were missed.
      failed = 0;
      release();
      done();
    });
  };

  return {
    receive(message) {
      if ("timestamp" in message) early.time = Math.max(early.time, message.timestamp);
      switch (message.type) {
        case "message_created":
        case "thread_invitation":
        case "messages_dropped":
          if (early.lostAt === null) settle(message);
          else held.push(message);
      }
    },
    own(room, seq, id) {
      remember(streamOf(room), seq, keyOf({ userId: hub.selfId(), id }));
    },
    sync(done) {
      if (early.lostAt === null) return done();
      if (isAsking || !hub.isOpen()) return;
      // Of a new history what came since is asked for, by the clock: its places are not these.
      const places = early.isReplaced ? [] : [...streams].map(([room, { place }]) => [room, place] as const);
      timer();
      ask(Math.max(early.lostAt - OVERLAP, 0), Object.fromEntries(places), done);
    },
    lost() {
      timer();
      isAsking = false;
      unacked.clear();
      held = [];
    },
    clear() {
      timer();
      streams.clear();
      held = [];
    },
  };
}
