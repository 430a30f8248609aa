// What tabs need of the browser to share: names that one tab holds at a time, and a channel between them.
import type { Release } from "../api.ts";

/**
 * Waits until nobody else holds a name, and holds it until `signal` is aborted or the tab goes away, however it goes.
 * `steal` does not wait. `lost`: somebody has stolen it, or it can not be had here at all.
 */
export type Hold = (
  name: string,
  how: { readonly signal: AbortSignal; readonly steal?: boolean; readonly held: () => void; readonly lost: () => void },
) => void;

/** What goes between the tabs of one browser, in order. Who says something does not hear it. */
export interface Channel {
  readonly say: (word: unknown) => void;
  readonly close: Release;
}

/** What is outside of the tabs of one browser. */
export interface Outside {
  readonly hold: Hold;
  readonly open: (name: string, heard: (word: unknown) => void) => Channel;
}

const hold: Hold = (name, { signal, steal = false, held, lost }) => {
  const keep = (): Promise<void> =>
    new Promise((release) => {
      if (signal.aborted) return release();
      signal.addEventListener("abort", () => release());
      held();
    });
  // One that steals does not wait, so there is nothing to abort.
  navigator.locks.request(name, steal ? { steal } : { signal }, keep).catch(() => signal.aborted || lost());
};

function open(name: string, heard: (word: unknown) => void): Channel {
  const channel = new BroadcastChannel(name);
  channel.onmessage = (event: MessageEvent<unknown>) => heard(event.data);
  return {
    say: (word) => channel.postMessage(word),
    close: () => channel.close(),
  };
}

/** What browsers have of it; `null` where it is missing, as Web Locks are on pages that came over plain HTTP. */
export function browser(): Outside | null {
  const has = typeof navigator !== "undefined" && navigator.locks && typeof BroadcastChannel !== "undefined";
  return has ? { hold, open } : null;
}
