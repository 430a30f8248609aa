// What is outside, as browsers have it; and what Node and workers have of that.
import type { Env, Page, PageEvent } from "./api.ts";

/** How often a key or a pointer is worth telling, in milliseconds. */
const USED_EVERY = 5_000;

/** Longest time that a timer takes: beyond, it would fire at once. */
const LONGEST = 2_147_483_647;

function after(milliseconds: number, callback: () => void): () => void {
  const timer = setTimeout(callback, Math.min(Math.max(milliseconds, 0), LONGEST));
  return () => clearTimeout(timer);
}

function frame(callback: () => void): () => void {
  // A hidden page draws no frames.
  if (typeof requestAnimationFrame === "undefined" || document.hidden) return after(16, callback);
  const request = requestAnimationFrame(callback);
  return () => cancelAnimationFrame(request);
}

function uniqueId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const page: Page = {
  online: () => typeof navigator === "undefined" || navigator.onLine !== false,
  visible: () => typeof document === "undefined" || !document.hidden,
  subscribe(listener) {
    if (typeof document === "undefined") return () => {};
    const off = new AbortController();
    let used = Number.NEGATIVE_INFINITY;
    const listen = (target: EventTarget, type: string, tell: (event: Event) => PageEvent | null): void => {
      const options = { signal: off.signal, passive: true, capture: true };
      const heard = (event: Event): void => {
        const told = tell(event);
        if (told) listener(told);
      };
      target.addEventListener(type, heard, options);
    };
    const touched = (event: Event): PageEvent | null => {
      if (event.timeStamp - used < USED_EVERY) return null;
      used = event.timeStamp;
      return "used";
    };
    listen(window, "online", () => "online");
    listen(window, "offline", () => "offline");
    listen(document, "visibilitychange", () => (document.hidden ? "hidden" : "visible"));
    listen(window, "pagehide", (event) => (isKept(event) ? "kept" : null));
    listen(window, "pageshow", (event) => (isKept(event) ? "back" : null));
    for (const type of ["pointerdown", "pointermove", "keydown", "wheel"]) listen(window, type, touched);
    return () => off.abort();
  },
};

function isKept(event: Event): boolean {
  return event instanceof PageTransitionEvent && event.persisted;
}

function sessionStore(): Env["storage"] {
  try {
    return typeof sessionStorage === "undefined" ? null : sessionStorage;
  } catch {
    return null; // Storage that is switched off is no reason to stay away.
  }
}

/** A lock that is held until the tab goes tells a duplicated tab, which has a copy of the storage, from a reload. */
function claim(name: string, signal: AbortSignal): Promise<boolean> {
  if (typeof navigator === "undefined" || !navigator.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    const hold = (lock: Lock | null): Promise<void> | undefined => {
      resolve(lock !== null);
      return lock === null ? undefined : new Promise((release) => signal.addEventListener("abort", () => release()));
    };
    navigator.locks.request(name, { ifAvailable: true }, hold).catch(() => resolve(true));
  });
}

/** What is outside here and now, unless `own` says otherwise. */
export function createEnv(own: Partial<Env>, transports: Env["transports"]): Env {
  // A WebSocket that is not there is not tried.
  const ways = [...transports].filter(([kind]) => kind !== "ws" || typeof WebSocket !== "undefined");
  return {
    now: Date.now,
    after,
    frame,
    random: Math.random,
    uniqueId,
    page,
    storage: sessionStore(),
    claim,
    fetch: (input, init) => fetch(input, init),
    transports: new Map(ways),
    ...own,
  };
}
