// What a connection needs that lasts: whether anybody is at the page is told, and what rooms show is compared with the
// server, and mended. Loaded when a page has been open for a while or is hidden, and when something does not fit.
import { watchActivity } from "./activity.ts";
import type { Drift, Release } from "./api.ts";
import type { Hub } from "./hub.ts";
import { backoff } from "./link/endings.ts";
import { digestOf } from "./room/digest.ts";
import type { Resident } from "./room/room.ts";

/** How often a client compares its rooms with the server. */
const CHECK_EVERY = 60_000;

/** How long an answer to a question about a room may take. */
const ANSWER_TIME = 5_000;

/** What a snapshot says of why it was sent, if something was wrong. */
const DRIFTS: ReadonlyMap<string, Drift["kind"]> = new Map([
  ["gap", "gap"],
  ["epoch", "epoch"],
  ["drift", "digest"],
]);

/** A question about a room that has not been answered. */
interface Question {
  readonly stop: Release;
  readonly tries: number;
  /** What is shown is known to be wrong, and was reported. */
  isReported: boolean;
}

export interface Upkeep {
  /** The connection is open. */
  readonly opened: () => void;
  /** It is not open any more. */
  readonly lost: () => void;
  /** Asks for what is missing in a room, unless that was asked `most` times already; `null`: whether something is. */
  readonly mend: (resident: Resident, kind: Drift["kind"] | null, most: number) => void;
  /** A snapshot has come for this reason. */
  readonly replaced: (resident: Resident, reason: string) => void;
  /** By its version the room is as the server has it. */
  readonly settled: (resident: Resident, digest: string) => void;
  /** Nothing of this room is waited for any more. */
  readonly forget: (room: string) => void;
}

export function create(hub: Hub): Upkeep {
  const { env, options, say, residents } = hub;
  const questions = new Map<string, Question>();
  let drifts = 0;
  let stopWatching: Release = () => {};
  let stopChecking: Release = () => {};

  const checkLater = (): void => {
    // Not all clients at once.
    stopChecking = env.after((options.checkEvery ?? CHECK_EVERY) * (0.75 + env.random() / 2), () => {
      for (const resident of residents.values()) upkeep.mend(resident, null, 1);
      checkLater();
    });
  };

  const report = (room: string, kind: Drift["kind"]): void => {
    drifts += 1;
    hub.emit("drift", { room, kind, count: drifts });
  };

  const ask = (resident: Resident, kind: Drift["kind"] | null): void => {
    const { room, roster, isIn } = resident;
    const before = questions.get(room.id);
    const since = roster.since();
    // A window comes whole each time: there is nothing to miss.
    if (!since || !hub.isOpen() || resident.asking) return;
    before?.stop();
    const { tries = 1, isReported = false } = before ?? {};
    if (kind && !isReported && isIn()) report(room.id, kind);
    resident.say("sync", { ...since, digest: digestOf(roster.users()) });
    // Again, and ever more slowly, until it is answered.
    const stop = env.after(ANSWER_TIME + backoff(tries, env.random), () => ask(resident, kind));
    questions.set(room.id, { stop, tries: tries + 1, isReported: isReported || kind !== null });
  };

  const upkeep: Upkeep = {
    opened() {
      stopWatching = watchActivity(env, options, (active) => say({ type: "presence:activity", active }));
      checkLater();
    },
    lost() {
      stopWatching();
      stopChecking();
      for (const room of [...questions.keys()]) upkeep.forget(room);
    },
    mend(resident, kind, most) {
      const { tries = 0 } = questions.get(resident.room.id) ?? {};
      if (tries < most && (kind || resident.isIn())) ask(resident, kind);
    },
    replaced({ room }, reason) {
      const kind = DRIFTS.get(reason);
      const question = questions.get(room.id);
      if (!kind || question?.isReported) return;
      report(room.id, kind);
      if (question) question.isReported = true;
    },
    settled(resident, digest) {
      if (resident.asking || digestOf(resident.roster.users()) === digest) upkeep.forget(resident.room.id);
      else upkeep.mend(resident, "digest", 2);
    },
    forget(room) {
      questions.get(room)?.stop();
      questions.delete(room);
    },
  };
  if (hub.isOpen()) upkeep.opened();
  return upkeep;
}
