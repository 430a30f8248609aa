// Tokens that are asked for: when they are needed, kept while they are good, and renewed before they end.
import type { ClientOptions, Env, Release, TokenRequest } from "../api.ts";
import { PresenceError } from "../errors.ts";
import type { Hub } from "../hub.ts";
import { claimsOf } from "./claims.ts";

/** How long before its end a token is not worth connecting with, and how soon a renewal that failed is tried again. */
const SPARE = 10_000;

export interface Credentials {
  /** A good token. */
  readonly get: (reason: TokenRequest["reason"], signal: AbortSignal) => Promise<string>;
  /** Connected: from now on the server, and `use`, get a new token before the one that is in use ends. */
  readonly renewInTime: (hub: Pick<Hub, "say" | "emit">, serverTime: number, use: (token: string) => void) => Release;
}

/** When a token ends, in Unix milliseconds; never if it does not say. Nothing is proven by reading it. */
function endOf(token: string): number {
  const { exp } = claimsOf(token);
  return typeof exp === "number" ? exp * 1000 : Number.POSITIVE_INFINITY;
}

export function create(getToken: NonNullable<ClientOptions["getToken"]>, env: Env): Credentials {
  let token = "";
  /** How far the server's clock is from this machine's. */
  let ahead = 0;

  const left = (): number => (token ? endOf(token) - env.now() - ahead : 0);

  const ask = async (reason: TokenRequest["reason"], signal: AbortSignal): Promise<string> => {
    try {
      const next: unknown = await getToken({ reason, signal });
      if (typeof next !== "string" || !next) throw new TypeError("not a token");
      token = next;
      return next;
    } catch (cause) {
      throw new PresenceError("token", "no token", { cause });
    }
  };

  return {
    async get(reason, signal) {
      const isGood = (reason === "connect" || reason === "request") && left() > SPARE;
      return isGood ? token : ask(reason, signal);
    },
    renewInTime({ say, emit }, serverTime, use) {
      ahead = serverTime - env.now();
      const abort = new AbortController();
      const { signal } = abort;
      let cancel: Release = () => {};
      const renew = async (): Promise<void> => {
        try {
          const next = await ask("renew", signal);
          if (signal.aborted) return;
          use(next);
          say({ type: "auth", token: next }, (answer) => answer.type === "error" && emit("error", answer.error));
          wait();
        } catch (error) {
          if (signal.aborted) return;
          if (error instanceof PresenceError) emit("error", error);
          cancel = env.after(SPARE, renew);
        }
      };
      const wait = (): void => {
        const time = left();
        // Without an end there is nothing to be in time for.
        if (time < Number.POSITIVE_INFINITY) cancel = env.after(Math.max(time - 60_000, time * 0.8, 1_000), renew);
      };
      wait();
      return () => {
        abort.abort();
        cancel();
      };
    },
  };
}
