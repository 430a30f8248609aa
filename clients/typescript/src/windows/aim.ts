// Where a window is to be, and what the server knows of that: one question at a time, of which only the newest waits.
import type { JsonObject, Release, Rows } from "../api.ts";
import type { PresenceError } from "../errors.ts";
import type { Hub } from "../hub.ts";
import { isPassing } from "../room/mine.ts";
import type { Resident } from "../room/room.ts";

export interface Aim {
  /** It is to be there, which is said with the next {@link speak}. */
  readonly at: (rows: Rows) => void;
  /** What to enter with: whoever comes back says anew what they watch. */
  readonly asking: () => JsonObject;
  /** Says where it is to be, unless it is there, or something is on its way. */
  readonly speak: () => void;
  /** The server shows these rows. True if that is what it was told last, and the answer to it. */
  readonly heard: (rows: Rows, isAnswer: boolean) => boolean;
  /** Whether these are the rows where it is to be. */
  readonly isMet: (shown: Rows) => boolean;
  readonly stop: () => void;
}

/** Windows are widened to multiples of so many rows. */
const STEP = 20;

/** When to move again what the server has no time for, if it does not say. */
const AGAIN = 1_000;

/** Whether this is what is shown to those who ask for these rows. */
function isOf({ from, count }: Rows, rows: Rows): boolean {
  const start = rows.from - (rows.from % STEP);
  return from === start && count === Math.ceil((rows.from + rows.count) / STEP) * STEP - start;
}

/** Rows, as they are said to the server. */
type Place = { readonly from: number; readonly count: number };

/** `shown` are the rows that there are now; `refused` hears why others can not be had. */
export function createAim(
  hub: Hub,
  resident: Resident,
  shown: () => Rows,
  refused: (reason: PresenceError) => void,
): Aim {
  /** Where it is to be, what of that the server was told last, and what it has taken last. */
  let wanted: Place = { from: 0, count: 0 };
  let said = wanted;
  let taken = wanted;
  let isWaiting = false;
  let again: Release = () => {};

  const ask = (): Place => {
    again();
    isWaiting = true;
    said = wanted;
    return said;
  };

  const speak = (): void => {
    if (isWaiting || wanted === said || isOf(shown(), wanted) || !resident.isIn()) return;
    resident.say("window", ask(), (answer) => (answer.type === "error" ? failed(answer.error) : hub.received(answer)));
  };

  const retry = (): void => {
    isWaiting = false;
    said = taken;
    speak();
  };

  const asking = (): JsonObject => ({ window: ask() });

  const failed = (reason: PresenceError): void => {
    // Nobody watches any more.
    if (resident.asking !== asking) return;
    if (isPassing(reason)) {
      again = hub.env.after(reason.retryAfter ?? AGAIN, retry);
      return;
    }
    // With what was refused there would be no coming back, either.
    if (wanted === said) wanted = taken;
    refused(reason);
    retry();
  };

  return {
    at({ from, count }) {
      wanted = { from, count };
    },
    asking,
    speak,
    heard(rows, isAnswer) {
      if (!isAnswer && !isOf(rows, said)) return false;
      isWaiting = false;
      taken = said;
      return true;
    },
    isMet: (rows) => taken === wanted || isOf(rows, wanted),
    stop: () => again(),
  };
}
