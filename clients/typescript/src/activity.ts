// Whether anybody is at this page: hidden, or long without a key or a pointer, it is idle. It is never a leave.
import type { Env, PageEvent, Release } from "./api.ts";

export interface Activity {
  readonly isActive: () => boolean;
  readonly stop: () => void;
}

/** Calls `changed` whenever somebody comes to the page or leaves it alone. `idleAfter` 0: only hiding counts. */
export function createActivity(env: Env, idleAfter: number, changed: (active: boolean) => void): Activity {
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
    if (idleAfter > 0) timer = env.after(idleAfter, rest);
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
