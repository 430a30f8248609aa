// One connection that several tabs share: what each says goes out, and what the server says goes to whom it concerns.
import type { Env, Json, JsonObject, Release, Transport, TransportEvents } from "../api.ts";
import { isObject, jsonObject } from "../wire/json.ts";
import { createLanes } from "./lanes.ts";
import { createSeats, type Seat } from "./seats.ts";

/** How long a tab that is gone is waited for, which may be a reload: as long as the server waits. */
const RELOAD_TIME = 3_000;

/** How long an answer may take before the next question of its kind is asked. */
const ANSWER_TIME = 10_000;

/** What a hub needs of the tab that it is in. */
export interface HubHost {
  readonly env: Env;
  readonly connect: (events: TransportEvents) => Transport;
  /** The server says this to these tabs. */
  readonly tell: (tabs: readonly string[], line: string) => void;
  /** The connection has ended. */
  readonly over: (code: number, reason: string, retryAfter?: number) => void;
}

export interface Hub {
  /** A tab wants to be part of it. False: it is already. */
  readonly attach: (tab: string) => boolean;
  /** A tab says something, as JSON. */
  readonly say: (tab: string, line: string) => void;
  /** A tab is gone: for good, or perhaps to come back. */
  readonly detach: (tab: string, forGood: boolean) => void;
  readonly isShared: () => boolean;
  readonly close: (code: number) => void;
}

/** What goes on in a room's history: it concerns everybody in the room, also when it answers one of them. */
const HISTORY: ReadonlySet<unknown> = new Set([
  "presence:currentUsers",
  "presence:userJoined",
  "presence:userLeft",
  "presence:userUpdated",
]);

/** What ends an answer of several messages, and all others. */
const FINAL: ReadonlySet<unknown> = new Set(["presence:currentUsers", "presence:synced", "sync_result", "error"]);

/** What has a place in a stream. */
const STREAMED: ReadonlySet<unknown> = new Set(["message_created", "thread_invitation", "messages_dropped"]);

/** A line of the server's as an object; `null` if it is none. */
function read(line: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? jsonObject(value) : null;
  } catch {
    return null;
  }
}

/** The objects in a list of a message's. */
function objectsIn(message: JsonObject, name: string): readonly JsonObject[] {
  const list = message[name];
  return Array.isArray(list) ? list.filter((item: Json): item is JsonObject => isObject(item)) : [];
}

export function createHub({ env, connect, tell, over }: HubHost): Hub {
  const seats = createSeats();
  /** Tabs that are gone, and may come back. */
  const going = new Map<string, Release>();
  /** Messages that are on their way to be stored, by `ref`: the other tabs have to hear of them from here. */
  const letters = new Map<string, JsonObject>();
  const lanes = createLanes(env, ANSWER_TIME, (message) => wire.send(message));
  /** What the server has said first, and when. */
  let greeting: { readonly message: JsonObject; readonly at: number } | null = null;
  let userId: Json = null;
  let userName: Json = null;

  const give = (to: readonly Seat[], message: JsonObject): void => {
    if (to.length === 0) return;
    tell(
      to.map((seat) => seat.tab),
      JSON.stringify(message),
    );
  };

  /** A tab that comes later hears what it would have heard had it come first: the greeting, and what nobody has taken. */
  const greet = (seat: Seat): void => {
    if (!greeting) return;
    const { message, at } = greeting;
    const time = Number(message["server_time"]) + env.now() - at;
    give([seat], { ...message, server_time: time });
    seat.held = [];
    lanes.put({ type: "sync", ref: `0 ${seat.number}` });
  };

  /** The answer to what was asked for a tab that came later: as if the server had delivered it. */
  const deliver = (seat: Seat, answer: JsonObject): void => {
    const place = (item: JsonObject): number => Number(item["seq"] ?? item["from_seq"]);
    const dropped = objectsIn(answer, "dropped").map((item) => ({ type: "messages_dropped", ...item }));
    const messages = objectsIn(answer, "messages").map((item) => ({ type: "message_created", ...item }));
    for (const item of [...messages, ...dropped].sort((a, b) => place(a) - place(b))) give([seat], item);
    const { more, cursors, timestamp } = answer;
    if (more === true && cursors !== undefined && timestamp !== undefined)
      return lanes.put({ type: "sync", cursors, since: timestamp, ref: `0 ${seat.number}` });
    const held = seat.held ?? [];
    seat.held = null;
    for (const item of held) give([seat], item);
  };

  const toStreams = (to: readonly Seat[], message: JsonObject): void => {
    for (const seat of to) seat.held?.push(message);
    give(
      to.filter((seat) => seat.held === null),
      message,
    );
  };

  /** Something that concerns everybody whom it may concern, but for one tab. */
  const spread = (message: JsonObject, but?: Seat): void => {
    const { type, room } = message;
    // What streams and rosters bring concerns also those who are not in the room.
    const isOfRoom = typeof room === "string" && /^(presence:|error$)/u.test(String(type));
    const concerned = seats.all().filter((seat) => seat !== but && (!isOfRoom || seat.rooms.has(room)));
    if (STREAMED.has(type)) toStreams(concerned, message);
    else give(concerned, message);
  };

  /** The other tabs are no sessions of their own: what one of them has sent the server tells only that one. */
  const echo = (sender: Seat | undefined, letter: JsonObject, ack: JsonObject): void => {
    const { ref: _, durability: __, room = null, ...rest } = ack;
    const { data: snapshot = null } = letter;
    const whose = { user_id: userId, user_name: userName ?? userId };
    spread({ ...rest, ...whose, type: "message_created", room, parent_thread: room, snapshot }, sender);
  };

  const answered = (message: JsonObject, ref: string): void => {
    const [number = "", own = ""] = ref.split(/ (.*)/su);
    if (FINAL.has(message["type"])) lanes.answered(ref);
    if (number === "0") {
      const seat = seats.numbered(Number(own));
      if (seat) deliver(seat, message);
      return;
    }
    const seat = seats.numbered(Number(number));
    const letter = letters.get(ref);
    letters.delete(ref);
    const { ref: _, ...plain } = message;
    const { type } = message;
    // A snapshot covers what has changed until then: nobody else hears of that by an event. Why is the asker's affair.
    if (HISTORY.has(type)) spread(type === "presence:currentUsers" ? { ...plain, reason: "join" } : plain, seat);
    if (seat) give([seat], own === "" ? plain : { ...plain, ref: JSON.parse(own) });
    if (letter && type === "ack") echo(seat, letter, message);
  };

  /** What the user is called, as far as it was said. */
  const note = (message: JsonObject): void => {
    for (const one of [message, ...objectsIn(message, "users")])
      if ((one["id"] ?? one["userId"]) === userId) userName = one["name"] ?? userName;
  };

  const receive = (line: string): void => {
    const message = read(line);
    if (!message) return;
    const { type, ref, code, reason } = message;
    if (type === "close" && typeof code === "number") return over(code, String(reason));
    if (type === "connected" && !greeting) {
      greeting = { message, at: env.now() };
      userId = message["user_id"] ?? null;
      return give(seats.all(), message);
    }
    if (String(type).startsWith("presence:")) note(message);
    if (typeof ref === "string") answered(message, ref);
    else spread(message);
  };

  const wire = connect({ message: receive, closed: over });

  const remove = (seat: Seat): void => {
    going.get(seat.tab)?.();
    going.delete(seat.tab);
    seats.remove(seat).forEach(lanes.put);
  };

  return {
    attach(tab) {
      if (seats.of(tab)) return false;
      greet(seats.add(tab));
      return true;
    },
    say(tab, line) {
      const seat = seats.of(tab);
      const message = read(line);
      if (!seat || !message) return;
      for (const one of seats.heard(seat, message)) {
        const { ref: own } = one;
        const ref = `${seat.number} ${own === undefined ? "" : JSON.stringify(own)}`;
        const { type, token } = one;
        if (type === "message") letters.set(ref, one);
        // What goes beside the connection takes it too.
        if (type === "auth" && typeof token === "string") wire.renew(token);
        lanes.put({ ...one, ref });
      }
    },
    detach(tab, forGood) {
      const seat = seats.of(tab);
      if (!seat) return;
      if (forGood) remove(seat);
      else if (!going.has(tab))
        going.set(
          tab,
          env.after(RELOAD_TIME, () => remove(seat)),
        );
    },
    isShared: () => seats.all().length - going.size > 1,
    close(code) {
      for (const stop of going.values()) stop();
      lanes.clear();
      wire.close(code);
    },
  };
}
