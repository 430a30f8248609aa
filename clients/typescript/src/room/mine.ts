// What this session says of itself in a room: state and cursor; shown at once, sent when it may be.
import type { Cursor, Json, JsonObject, Me, Release } from "../api.ts";
import type { PresenceError } from "../errors.ts";
import type { Hub } from "../hub.ts";
import { joined, json, merge, only, same } from "../wire/json.ts";
import type { Answered, ServerMessage } from "../wire/messages.ts";
import { createPace } from "./pace.ts";

/** When to try again what the server has no time for, if it does not say. */
const AGAIN = 1_000;

const NOTHING: JsonObject = /* @__PURE__ */ joined();

/** What a room lends to its own part. */
export interface Voice {
  /** Whether the room is entered, so that something may be said. */
  readonly isIn: () => boolean;
  /** The same, and there is somebody else to look. */
  readonly isSeen: () => boolean;
  readonly say: (type: string, fields: JsonObject, answered?: Answered) => void;
  readonly changed: (when?: "frame") => void;
  readonly refused: (error: PresenceError) => void;
}

/** What this session says of itself, as it was said last. */
export type Own = Pick<Me, "state" | "cursor">;

export interface Mine {
  readonly facts: () => Own;
  readonly update: (patch: JsonObject) => void;
  readonly point: (cursor: Cursor | null) => void;
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
export function isPassing({ code }: PresenceError): boolean {
  return code === "rate_limited" || code === "busy" || code === "unavailable";
}

const NOBODY: Own = { state: NOTHING, cursor: null };

export function createMine(hub: Hub, voice: Voice): Mine {
  const { env } = hub;
  /** As the server has it. */
  let base = NOTHING;
  /** What is to be different there, and what of that was said, but is not confirmed; `null` removes a field. */
  let wanted = NOTHING;
  let said = NOTHING;
  let own = NOBODY;
  let hasMoved = false;
  let again: Release = () => {};

  const show = (next: Partial<Own>, when?: "frame"): void => {
    own = { ...own, ...next };
    voice.changed(when);
  };

  const refresh = (): void => {
    const state = merge(base, wanted);
    if (!same(state, own.state)) show({ state });
  };

  const pace = createPace(hub, () => {
    if (hasMoved && voice.isSeen()) {
      hasMoved = false;
      voice.say("cursor", { cursor: own.cursor });
    }
    if (!voice.isIn()) return;
    const known = merge(base, said);
    const news = only(wanted, (name, value) => !same(value, known[name] ?? null));
    wanted = said = joined(said, news);
    if (Object.keys(news).length > 0) voice.say("update", { state: news }, (answer) => answered(news, answer));
  });

  const answered = (news: JsonObject, answer: ServerMessage): void => {
    if (answer.type !== "error") return;
    const { error } = answer;
    const isOther = (name: string, value: Json): boolean => !same(value, news[name]);
    said = only(said, isOther);
    if (!isPassing(error)) {
      wanted = only(wanted, isOther);
      voice.refused(error);
      refresh();
    }
    again();
    again = env.after(error.retryAfter ?? AGAIN, pace.ask);
  };

  const lost = (): void => {
    hasMoved = own.cursor !== null;
    said = NOTHING;
    pace.stop();
    again();
  };

  return {
    facts: () => own,
    update(patch) {
      wanted = joined(wanted, json(patch));
      refresh();
      pace.ask();
    },
    point(cursor) {
      if (same(own.cursor, cursor)) return;
      hasMoved = true;
      show({ cursor }, "frame");
      pace.ask();
    },
    introduce() {
      wanted = said = joined(base, wanted);
      return said;
    },
    confirm(state) {
      if (state === base) return;
      base = state;
      const isOpen = (name: string, value: Json): boolean => !same(value, base[name] ?? null);
      said = only(said, isOpen);
      // What is as wanted may not stay so, while something else is on its way.
      wanted = only(wanted, (name, value) => name in said || isOpen(name, value));
      refresh();
    },
    speak: pace.ask,
    lost,
    clear() {
      own = NOBODY;
      base = wanted = NOTHING;
      lost();
    },
  };
}
