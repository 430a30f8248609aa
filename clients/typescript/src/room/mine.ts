// What this session says of itself in a room: state, cursor and typing; shown at once, sent when it may be.
import type { Cursor, Env, JsonObject, Release } from "../api.ts";
import type { PresenceError } from "../errors.ts";
import { fromEntries, jsonObject, merge, same } from "../wire/json.ts";
import type { Answered } from "../wire/messages.ts";
import { createPace } from "./pace.ts";

/** How long a key counts as typing; the server counts a little longer. */
const TYPING = 3_000;

/** When to try again what the server has no time for, if it does not say. */
export const AGAIN = 1_000;

const NOTHING: JsonObject = /* @__PURE__ */ fromEntries([]);

/** What a room lends to its own part. */
export interface Voice {
  /** Whether the room is entered, so that something may be said. */
  readonly isIn: () => boolean;
  /** Whether there is nobody else to look. */
  readonly isAlone: () => boolean;
  readonly tick: () => number;
  readonly say: (type: string, fields: JsonObject, answered?: Answered) => void;
  readonly changed: (when?: "frame") => void;
  readonly refused: (error: PresenceError) => void;
}

export interface Mine {
  readonly state: () => JsonObject;
  readonly cursor: () => Cursor | null;
  readonly isTyping: () => boolean;
  readonly update: (patch: JsonObject) => void;
  readonly point: (cursor: Cursor | null) => void;
  readonly type: (typing?: boolean) => void;
  /** A message has gone out: who has sent it types it no more. */
  readonly typed: () => void;
  /** What to enter with: everything, since the server may have forgotten it. */
  readonly introduce: () => JsonObject;
  /** What the server has of this session now. */
  readonly confirm: (state: JsonObject) => void;
  /** The room is entered, or somebody has come: what waited for that is said. */
  readonly speak: () => void;
  /** The connection is lost: what was not confirmed is said again. */
  readonly lost: () => void;
  readonly clear: () => void;
}

/** A patch that the server has not confirmed; `null` removes a field. */
interface Flight {
  readonly patch: JsonObject;
  isSaid: boolean;
}

/** Whether what was refused may be taken later. */
export function isPassing({ code }: PresenceError): boolean {
  return code === "rate_limited" || code === "busy" || code === "unavailable";
}

/** All of these in one, the later over the earlier. */
function joined(flights: readonly Flight[]): JsonObject {
  return fromEntries(flights.flatMap(({ patch }) => Object.entries(patch)));
}

export function createMine(env: Env, voice: Voice): Mine {
  /** As the server has it. */
  let base = NOTHING;
  /** In the order in which they were made. */
  let flights: readonly Flight[] = [];
  let shown = base;
  let cursor: Cursor | null = null;
  let hasMoved = false;
  let isTyping = false;
  let keyAt = 0;
  let typingEnds: Release = () => {};
  let again: Release = () => {};

  const refresh = (): void => {
    const next = merge(base, joined(flights));
    if (same(next, shown)) return;
    shown = next;
    voice.changed();
  };

  const pace = createPace(env, voice.tick, () => {
    if (!voice.isIn()) return;
    if (hasMoved && !voice.isAlone()) {
      hasMoved = false;
      voice.say("cursor", { cursor });
    }
    const said = flights.filter((flight) => flight.isSaid);
    const known = merge(base, joined(said));
    const news = Object.entries(joined(flights)).filter(([name, value]) => !same(value, known[name] ?? null));
    flights = said;
    if (news.length > 0) fly(fromEntries(news));
  });

  const fly = (patch: JsonObject): void => {
    const flight = { patch, isSaid: true };
    flights = [...flights, flight];
    voice.say("update", { state: patch }, (answer) => {
      if (answer.type !== "error") return;
      if (isPassing(answer.error)) {
        flight.isSaid = false;
        again();
        again = env.after(answer.error.retryAfter ?? AGAIN, pace.ask);
        return;
      }
      flights = flights.filter((one) => one !== flight);
      voice.refused(answer.error);
      refresh();
    });
  };

  const sayTyping = (next: boolean): void => {
    typingEnds();
    isTyping = next;
    if (voice.isIn() && !voice.isAlone()) voice.say("typing", { typing: next });
    if (next) typingEnds = env.after(TYPING, () => sayTyping(env.now() - keyAt < TYPING));
    voice.changed();
  };

  const typed = (): void => {
    typingEnds();
    if (isTyping) voice.changed();
    isTyping = false;
  };

  const stop = (): void => {
    pace.stop();
    again();
  };

  return {
    state: () => shown,
    cursor: () => cursor,
    isTyping: () => isTyping,
    update(patch) {
      flights = [...flights, { patch: jsonObject(patch), isSaid: false }];
      refresh();
      pace.ask();
    },
    point(next) {
      if (same(cursor, next)) return;
      cursor = next;
      hasMoved = true;
      voice.changed("frame");
      pace.ask();
    },
    type(next = true) {
      keyAt = env.now();
      if (next !== isTyping) sayTyping(next);
    },
    typed,
    introduce() {
      const patch = joined([{ patch: base, isSaid: true }, ...flights]);
      flights = [{ patch, isSaid: true }];
      return patch;
    },
    confirm(state) {
      if (state === base) return;
      base = state;
      // What is there now has arrived, and so has everything that was said before it.
      const arrived = flights.findLastIndex(({ patch, isSaid }) => isSaid && same(merge(base, patch), base));
      flights = flights.slice(arrived + 1);
      refresh();
    },
    speak() {
      if (hasMoved || flights.some((flight) => !flight.isSaid)) pace.ask();
    },
    lost() {
      flights = [{ patch: joined(flights), isSaid: false }];
      hasMoved ||= cursor !== null;
      stop();
    },
    clear() {
      stop();
      typed();
      base = shown = NOTHING;
      flights = [];
      cursor = null;
      hasMoved = false;
    },
  };
}
