// Whether anybody is at this page: hidden, or long without a key or a pointer, it is idle. It is never a leave.
import type { Env, PageEvent, Release } from "./api.ts";

/** After how long without a key or a pointer a page is idle. */
const IDLE_AFTER = 5 * 60_000;

export interface Activity {
  readonly isActive: () => boolean;
  readonly stop: () => void;
}

/** Calls `changed` whenever somebody comes to the page or leaves it alone. `idleAfter` 0: only hiding counts. */
export function createActivity(env: Env, idleAfter: number | undefined, changed: (active: boolean) => void): Activity {
  const wait = idleAfter ?? IDLE_AFTER;
  let isIdle = false;
  let wasActive = env.page.visible();
  let timer: Release = () => {};

  const look = (): void => {
    const isActive = env.page.visible() && !isIdle;
    if (isActive === wasActive) return;
    wasActive = isActive;
    changed(isActive);
  };
  const use = (): void => {
    isIdle = false;
    timer();
    if (wait > 0) timer = env.after(wait, rest);
  };
  const rest = (): void => {
    isIdle = true;
    look();
  };
  const off = env.page.subscribe((event: PageEvent) => {
    if (event === "used" || event === "visible") use();
    if (event === "used" || event === "visible" || event === "hidden") look();
  });
  use();
  return {
    isActive: () => wasActive,
    stop() {
      timer();
      off();
    },
  };
}
