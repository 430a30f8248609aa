// What the end of a connection means: whether to come back, and when.
import type { ClosedReason } from "../api.ts";

const REASONS: ReadonlyMap<number, ClosedReason> = /* @__PURE__ */ new Map([
  [4010, "expired"],
  [4409, "superseded"],
  [4501, "unauthorized"],
  [4503, "kicked"],
]);

/** Why not to come back; nothing if to. Codes say so, known or not: those from 4500 on mean "don't". */
export function endOf(code: number): ClosedReason | undefined {
  return REASONS.get(code) ?? (code >= 4500 ? "refused" : undefined);
}

/** Half of the first wait: tries are counted from 1 on. */
const STEP = 500;
const LONGEST_WAIT = 30_000;

/**
 * How long to wait before a try: anything up to 1, 2, 4, 8, 16, 30 s. All of it is chance, since those who were dropped
 * together must not come back together.
 */
export function backoff(attempt: number, random: () => number): number {
  return random() * Math.min(STEP * 2 ** attempt, LONGEST_WAIT);
}
