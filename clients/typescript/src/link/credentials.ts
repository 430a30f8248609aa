// The token: asked for when it is needed, kept while it is good, and renewed before it ends.
import type { ClientOptions, Env, Release, TokenRequest } from "../api.ts";
import { PresenceError } from "../errors.ts";
import { claimsOf } from "./claims.ts";

/** How long before its end a token is not worth connecting with, and how soon a renewal that failed is tried again. */
const SPARE = 10_000;

export interface Credentials {
  /** Whether another token can be had. */
  readonly canRenew: boolean;
  /** A good token; `null` if nobody proves anything. */
  readonly get: (reason: TokenRequest["reason"], signal: AbortSignal) => Promise<string | null>;
  /** The server's time is known now: how far its clock is from this machine's. */
  readonly setClock: (serverTime: number) => void;
  /** Gives a new token to `use` before the one that is in use ends. */
  readonly renewInTime: (use: (token: string) => void, failed: (error: PresenceError) => void) => Release;
}

/** When a token ends, in Unix milliseconds; never if it does not say. Nothing is proven by reading it. */
function endOf(token: string): number {
  const { exp } = claimsOf(token);
  return typeof exp === "number" ? exp * 1000 : Number.POSITIVE_INFINITY;
}

export function createCredentials({ token: given, getToken }: ClientOptions, env: Env): Credentials {
  let token = given ?? null;
  let ahead = 0;

  const left = (): number => (token === null ? 0 : endOf(token) - env.now() - ahead);

  const ask = async (reason: TokenRequest["reason"], signal: AbortSignal): Promise<string> => {
    try {
      const next: unknown = await getToken?.({ reason, signal });
      if (typeof next !== "string" || !next) throw new TypeError("not a token");
      token = next;
      return next;
    } catch (cause) {
      throw new PresenceError("token", "no token", { cause });
    }
  };

  return {
    canRenew: getToken !== undefined,
    async get(reason, signal) {
      const isGood = (reason === "connect" || reason === "request") && left() > SPARE;
      return !getToken || isGood ? token : ask(reason, signal);
    },
    setClock(serverTime) {
      ahead = serverTime - env.now();
    },
    renewInTime(use, failed) {
      const abort = new AbortController();
      const { signal } = abort;
      let cancel: Release = () => {};
      const renew = async (): Promise<void> => {
        try {
          const next = await ask("renew", signal);
          if (signal.aborted) return;
          use(next);
          wait();
        } catch (error) {
          if (signal.aborted) return;
          if (error instanceof PresenceError) failed(error);
          cancel = env.after(SPARE, renew);
        }
      };
      const wait = (): void => {
        const time = left();
        // Without an end there is nothing to be in time for.
        if (time < Number.POSITIVE_INFINITY) cancel = env.after(Math.max(time - 60_000, time * 0.8, 1_000), renew);
      };
      if (getToken) wait();
      return () => {
        abort.abort();
        cancel();
      };
    },
  };
}
