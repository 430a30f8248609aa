// Loads parts of the client that not every page needs.
import type { Env } from "./api.ts";
import { PresenceError } from "./errors.ts";
import { backoff } from "./link/endings.ts";

/** Loads a part; again and again if it does not come, as often as `tries` says. The page's own server may be away, too. */
export async function load<Part>(
  { after, random }: Env,
  get: () => Promise<Part>,
  tries: number = Number.POSITIVE_INFINITY,
): Promise<Part> {
  for (let failed = 1; ; failed += 1) {
    try {
      return await get();
    } catch (cause) {
      if (failed >= tries) throw new PresenceError("connection", "a part of the client did not load", { cause });
      await new Promise<void>((done) => after(backoff(failed, random), done));
    }
  }
}
