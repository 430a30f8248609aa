// Questions that the server answers one at a time: what asks for the same waits for its turn, in order.
import type { Env, JsonObject, Release } from "../api.ts";

export interface Lanes {
  /** Says something now, or when it is its turn. */
  readonly put: (message: JsonObject) => void;
  /** A question has its answer. */
  readonly answered: (ref: string) => void;
  readonly clear: () => void;
}

interface Lane {
  readonly waiting: JsonObject[];
  /** The `ref` of the question that is asked, and what ends the waiting for its answer. */
  asked: { readonly ref: unknown; readonly stop: Release } | null;
}

/**
 * What has to wait for whom: a connection asks for one sync at a time, and of several entries to a room at once only the
 * last is answered. What leaves a room must not overtake what enters it.
 */
function laneOf({ type, room }: JsonObject): unknown {
  if (type === "sync") return type;
  return type === "presence:join" || type === "presence:sync" || type === "presence:leave" ? `room ${room}` : null;
}

export function createLanes(env: Env, patience: number, send: (message: JsonObject) => void): Lanes {
  const lanes = new Map<unknown, Lane>();

  const go = (lane: Lane): void => {
    const next = lane.asked ? undefined : lane.waiting.shift();
    if (!next) return;
    if (next["type"] !== "presence:leave")
      lane.asked = { ref: next["ref"], stop: env.after(patience, () => free(lane)) };
    send(next);
    go(lane);
  };

  const free = (lane: Lane): void => {
    lane.asked?.stop();
    lane.asked = null;
    go(lane);
  };

  return {
    put(message) {
      const name = laneOf(message);
      if (name === null) return send(message);
      const lane = lanes.get(name) ?? { waiting: [], asked: null };
      lanes.set(name, lane);
      lane.waiting.push(message);
      go(lane);
    },
    answered(ref) {
      for (const lane of lanes.values()) if (lane.asked?.ref === ref) free(lane);
    },
    clear() {
      for (const lane of lanes.values()) lane.asked?.stop();
    },
  };
}
