// The token: asked for when it is needed, kept while it is good, and renewed before it ends.
import type { ClientOptions, Env, Release, TokenRequest } from "../api.ts";
import { PresenceError } from "../errors.ts";
import { claimsOf, field } from "../wire/fields.ts";

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

/** When a token ends, in Unix milliseconds; `null` if it does not say. */
function endOf(token: string): number | null {
  const claims = claimsOf(token);
  const end = claims && field(claims, "exp");
  return typeof end === "number" ? end * 1000 : null;
}

export function createCredentials(options: ClientOptions, env: Env): Credentials {
  const { getToken } = options;
  let token: string | null = options.token ?? null;
  let ahead = 0;

  const left = (): number => {
    const end = token === null ? null : endOf(token);
    return end === null ? Number.POSITIVE_INFINITY : end - (env.now() + ahead);
  };

  const ask = async (reason: TokenRequest["reason"], signal: AbortSignal): Promise<string> => {
    try {
      const given: unknown = await getToken?.({ reason, signal });
      if (typeof given !== "string" || given === "") throw new TypeError("getToken gave no token");
      token = given;
      return given;
    } catch (cause) {
      throw new PresenceError("token", "no token could be had", { cause });
    }
  };

  return {
    canRenew: getToken !== undefined,
    async get(reason, signal) {
      const asked = reason === "expired" || reason === "refused" || reason === "renew";
      if (!getToken || (token !== null && !asked && left() > SPARE)) return token;
      return ask(reason, signal);
    },
    setClock(serverTime) {
      ahead = serverTime - env.now();
    },
    renewInTime(use, failed) {
      const abort = new AbortController();
      let cancel: Release = () => {};
      const renew = async (): Promise<void> => {
        try {
          const next = await ask("renew", abort.signal);
          if (!abort.signal.aborted) use(next);
          wait(0.8);
        } catch (error) {
          if (abort.signal.aborted) return;
          if (error instanceof PresenceError) failed(error);
          cancel = env.after(SPARE, () => void renew());
        }
      };
      const wait = (share: number): void => {
        const time = left();
        // Without an end there is nothing to be in time for.
        if (abort.signal.aborted || time === Number.POSITIVE_INFINITY) return;
        cancel = env.after(Math.max(time - 60_000, time * share, 1_000), () => void renew());
      };
      if (getToken) wait(0.8);
      return () => {
        abort.abort();
        cancel();
      };
    },
  };
}
