// What the end of a connection means: whether to come back, when, and with what.
import type { ClosedReason } from "../api.ts";

/** What to do after a close code. */
export type Ending =
  | { readonly kind: "return"; readonly slower: boolean }
  /** Come back with another token, if there is a way to get one. */
  | { readonly kind: "token"; readonly reason: "expired" | "refused"; readonly otherwise: ClosedReason }
  | { readonly kind: "stay"; readonly reason: ClosedReason };

/** Codes say what to do, known or not: those from 4500 on mean "don't come back". */
export function endingOf(code: number): Ending {
  switch (code) {
    case 4008:
      return { kind: "return", slower: true };
    case 4010:
      return { kind: "token", reason: "expired", otherwise: "expired" };
    case 4409:
      return { kind: "stay", reason: "superseded" };
    case 4501:
      return { kind: "token", reason: "refused", otherwise: "unauthorized" };
    case 4503:
      return { kind: "stay", reason: "kicked" };
    default:
      return code >= 4500 && code < 5000 ? { kind: "stay", reason: "refused" } : { kind: "return", slower: false };
  }
}

const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;

/**
 * How long to wait before a try: anything up to 1, 2, 4, 8, 16, 30 s. All of it is chance, since those who were dropped
 * together must not come back together.
 */
export function backoff(attempt: number, random: () => number): number {
  return random() * Math.min(FIRST_WAIT * 2 ** Math.max(attempt - 1, 0), LONGEST_WAIT);
}
