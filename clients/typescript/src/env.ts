// What is outside, as browsers have it; and what Node and workers have of that.
import type { Env, OpenTransport, PageEvent, Release, TransportKind } from "./api.ts";
import { openLater } from "./link/later.ts";
import { openSocket } from "./link/socket.ts";

/** What tells of a page. Whether somebody uses it is only asked by what is loaded for pages that last. */
const PAGE_EVENTS = ["online", "offline", "visibilitychange", "pagehide", "pageshow"];

/** About the longest time that a timer takes: beyond 2³¹ milliseconds it would fire at once. */
const LONGEST = 2e9;

function after(milliseconds: number, callback: () => void): Release {
  const timer = setTimeout(callback, Math.min(milliseconds, LONGEST));
  return () => clearTimeout(timer);
}

function uniqueId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}

/** What is outside here and now, unless `own` says otherwise. */
export function createEnv(own: Partial<Env> = {}): Env {
  // In a worker or in Node most of this is missing.
  const { document, navigator, window, WebSocket }: Partial<typeof globalThis> = globalThis;

  const subscribe = (listener: (event: PageEvent) => void): Release => {
    const off = new AbortController();
    const heard = (event: Event): void => {
      const { type } = event;
      if (type === "online" || type === "offline") listener(type);
      else if (type === "visibilitychange") listener(document?.hidden ? "hidden" : "visible");
      else if ("persisted" in event && event.persisted) listener(type === "pagehide" ? "kept" : "back");
    };
    for (const type of PAGE_EVENTS) {
      window?.addEventListener(type, heard, { signal: off.signal, capture: true });
    }
    return () => off.abort();
  };

  const frame = (callback: () => void): Release => {
    if (!window?.requestAnimationFrame) return after(16, callback);
    const release = (): void => {
      late();
      cancelAnimationFrame(request);
    };
    const take = (): void => {
      release();
      callback();
    };
    // A hidden page draws no frames, also none that was asked for before.
    const late = after(document?.hidden ? 16 : 100, take);
    const request = requestAnimationFrame(take);
    return release;
  };

  /** A lock that is held until the tab goes tells a duplicated tab, which has a copy of the storage, from a reload. */
  const claim = (name: string, signal: AbortSignal): Promise<boolean> =>
    new Promise((resolve) => {
      const hold = (lock: Lock | null): unknown => {
        resolve(lock !== null);
        return lock && new Promise((release) => signal.addEventListener("abort", release));
      };
      const free = (): void => resolve(true);
      if (navigator?.locks) navigator.locks.request(name, { ifAvailable: true }, hold).catch(free);
      else free();
    });

  const transports = new Map<TransportKind, OpenTransport>([
    ["ws", openSocket],
    ["sse", openLater],
  ]);
  // A WebSocket that is not there is not tried.
  if (!WebSocket) transports.delete("ws");
  return {
    now: Date.now,
    after,
    frame,
    random: Math.random,
    uniqueId,
    page: {
      online: () => navigator?.onLine !== false,
      visible: () => !document?.hidden,
      subscribe,
    },
    storage: sessionStore(),
    claim,
    fetch: (input, init) => fetch(input, init),
    transports,
    ...own,
  };
}

function sessionStore(): Env["storage"] {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null; // Storage that is switched off is no reason to stay away.
  }
}
