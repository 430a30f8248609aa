// Whether anybody is at this page: hidden, or long without a key or a pointer, it is idle. It is never a leave.
import type { ClientOptions, Env, Release } from "./api.ts";

/** After how long without a key or a pointer a page is idle. */
const IDLE_AFTER = 5 * 60_000;

/** What says that somebody uses a page, and how often that counts, in milliseconds. */
const USE = ["pointerdown", "pointermove", "keydown", "wheel"];
const USED_EVERY = 1_000;

/** Tells whenever nobody is at the page any more, and when somebody is again. `idleAfter` 0: only hiding counts. */
export function watchActivity(
  env: Env,
  { env: { page } = {}, idleAfter = IDLE_AFTER }: ClientOptions,
  tell: (active: boolean) => void,
): Release {
  const off = new AbortController();
  let wasActive = true;
  let usedAt = 0;
  let timer: Release = () => {};
  const look = (isUsed: boolean): void => {
    const isActive = isUsed && env.page.visible();
    if (isActive !== wasActive) tell(isActive);
    wasActive = isActive;
  };
  const use = (): void => {
    usedAt = env.now();
    timer();
    if (idleAfter > 0) timer = env.after(idleAfter, () => look(false));
    look(true);
  };
  const used = (): void => {
    if (env.now() - usedAt >= USED_EVERY) use();
  };
  const forget = env.page.subscribe((event) => {
    if (event === "visible") use();
    if (event === "used") used();
    if (event === "hidden") look(false);
  });
  // A page that a test has made tells of its use by itself.
  for (const type of page ? [] : USE) {
    globalThis.window?.addEventListener(type, used, { signal: off.signal, passive: true, capture: true });
  }
  use();
  return () => {
    timer();
    forget();
    off.abort();
  };
}
