// What this session says of itself in a room: state, cursor and typing; shown at once, sent when it may be.
import type { Cursor, Env, JsonObject, Release } from "../api.ts";
import type { PresenceError } from "../errors.ts";
import { fromEntries, jsonObject, same } from "../wire/fields.ts";
import type { ServerMessage } from "../wire/messages.ts";
import { createPace } from "./pace.ts";
import { merge } from "./roster.ts";

/** How long a key counts as typing; the server counts a little longer. */
const TYPING = 3_000;

/** When to try again what the server has no time for, if it does not say. */
const AGAIN = 1_000;

/** What a room lends to its own part. */
export interface Voice {
  /** Whether the room is entered, so that something may be said. */
  readonly isIn: () => boolean;
  /** Whether there is nobody else to look. */
  readonly isAlone: () => boolean;
  readonly tick: () => number;
  readonly say: (type: string, fields: JsonObject, answered?: (message: ServerMessage) => void) => void;
  readonly changed: (when?: "frame") => void;
  readonly refused: (error: PresenceError) => void;
}

export interface Mine {
  readonly state: () => JsonObject;
  readonly cursor: () => Cursor | null;
  readonly isTyping: () => boolean;
  readonly update: (patch: JsonObject) => void;
  readonly point: (cursor: Cursor | null) => void;
  readonly type: (typing: boolean) => void;
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

/** Whether what was refused may be taken later. */
export function isPassing(error: PresenceError): boolean {
  return error.code === "rate_limited" || error.code === "busy" || error.code === "unavailable";
}

export function createMine(env: Env, voice: Voice): Mine {
  /** As the server has it. */
  let base: JsonObject = fromEntries([]);
  /** Said and not confirmed, in order. */
  let flights: readonly { readonly patch: JsonObject }[] = [];
  /** Not said yet: `null` removes a field. */
  let unsaid = new Map<string, JsonObject[string]>();
  let shown = base;
  let cursor: Cursor | null = null;
  let moved = false;
  let typing: "no" | "yes" | "renewed" = "no";
  let typingEnds: Release = () => {};
  let again: Release = () => {};

  const said = (): JsonObject => flights.reduce((state, flight) => merge(state, flight.patch), base);

  const refresh = (): void => {
    const next = merge(said(), fromEntries(unsaid));
    if (same(next, shown)) return;
    shown = next;
    voice.changed();
  };

  const turn = (): void => {
    if (!voice.isIn()) return;
    if (moved && !voice.isAlone()) {
      moved = false;
      voice.say("cursor", { cursor });
    }
    const known = said();
    const news = [...unsaid].filter(([name, value]) => !same(value, known[name] ?? null));
    unsaid.clear();
    if (news.length > 0) fly(fromEntries(news));
  };
  const pace = createPace(env, voice.tick, turn);

  const fly = (patch: JsonObject): void => {
    const flight = { patch };
    flights = [...flights, flight];
    voice.say("update", { state: patch }, (answer) => {
      if (answer.type !== "error") return;
      flights = flights.filter((one) => one !== flight);
      if (isPassing(answer.error)) {
        unsaid = new Map([...Object.entries(patch), ...unsaid]);
        again();
        again = env.after(answer.error.retryAfter ?? AGAIN, pace.ask);
      } else {
        voice.refused(answer.error);
      }
      refresh();
    });
  };

  const type = (next: boolean): void => {
    if (next && typing !== "no") {
      typing = "renewed";
      return;
    }
    if (next === (typing !== "no")) return;
    typingEnds();
    typing = next ? "yes" : "no";
    if (voice.isIn() && !voice.isAlone()) voice.say("typing", { typing: next });
    if (next) typingEnds = env.after(TYPING, renewOrEnd);
    voice.changed();
  };

  const renewOrEnd = (): void => {
    const renewed = typing === "renewed";
    if (renewed) typing = "no";
    type(renewed);
  };

  return {
    state: () => shown,
    cursor: () => cursor,
    isTyping: () => typing !== "no",
    update(patch) {
      for (const [name, value] of Object.entries(jsonObject(patch, "state"))) unsaid.set(name, value);
      refresh();
      pace.ask();
    },
    point(next) {
      if (same(cursor, next)) return;
      cursor = next;
      moved = true;
      voice.changed("frame");
      pace.ask();
    },
    type,
    typed() {
      typingEnds();
      if (typing !== "no") voice.changed();
      typing = "no";
    },
    introduce() {
      const removed = [...unsaid, ...flights.flatMap((flight) => Object.entries(flight.patch))];
      const nulls = removed.filter(([name, value]) => value === null && !Object.hasOwn(shown, name));
      const patch = fromEntries([...nulls, ...Object.entries(shown)]);
      flights = [{ patch }];
      unsaid.clear();
      return patch;
    },
    confirm(state) {
      if (state === base) return;
      base = state;
      // What is there now has arrived, and so has everything that was said before it.
      const arrived = flights.findLastIndex((flight) => same(merge(base, flight.patch), base));
      flights = flights.slice(arrived + 1);
      refresh();
    },
    speak() {
      if (moved || unsaid.size > 0) pace.ask();
    },
    lost() {
      unsaid = new Map([...flights.flatMap((flight) => Object.entries(flight.patch)), ...unsaid]);
      flights = [];
      moved ||= cursor !== null;
      pace.stop();
      again();
    },
    clear() {
      typingEnds();
      pace.stop();
      again();
      base = shown = fromEntries([]);
      flights = [];
      unsaid.clear();
      cursor = null;
      moved = false;
      typing = "no";
    },
  };
}
