// Whether anybody is at this page: hidden, or long without a key or a pointer, it is idle. It is never a leave.
import type { Env, Release } from "./api.ts";

/** After how long without a key or a pointer a page is idle. */
const IDLE_AFTER = 5 * 60_000;

/** Tells whenever nobody is at the page any more, and when somebody is again. `idleAfter` 0: only hiding counts. */
export function watchActivity(env: Env, idleAfter: number = IDLE_AFTER, tell: (active: boolean) => void): Release {
  let wasActive = true;
  let timer: Release = () => {};
  const look = (isUsed: boolean): void => {
    const isActive = isUsed && env.page.visible();
    if (isActive !== wasActive) tell(isActive);
    wasActive = isActive;
  };
  const use = (): void => {
    timer();
    if (idleAfter > 0) timer = env.after(idleAfter, () => look(false));
    look(true);
  };
  const off = env.page.subscribe((event) => {
    if (event === "used" || event === "visible") use();
    if (event === "hidden") look(false);
  });
  use();
  return () => {
    timer();
    off();
  };
}
