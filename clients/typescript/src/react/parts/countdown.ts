// How far away a moment is, in whole steps that go on by themselves.
import { useCallback, useSyncExternalStore } from "react";

/**
 * How many steps of so many milliseconds there are until a moment, a begun one included: less than 0 after it. It is
 * drawn again when that changes, and not in between. `null` without a moment.
 */
export function useSteps(at: number | null, step: number): number | null {
  const subscribe = useCallback(
    (listener: () => void) => {
      if (at === null) return () => {};
      let timer: ReturnType<typeof setTimeout>;
      const next = (): void => {
        const rest = (at - Date.now()) % step;
        timer = setTimeout(
          () => {
            listener();
            next();
          },
          rest > 0 ? rest : rest + step,
        );
      };
      next();
      return () => clearTimeout(timer);
    },
    [at, step],
  );
  return useSyncExternalStore(
    subscribe,
    () => (at === null ? null : Math.ceil((at - Date.now()) / step)),
    () => null,
  );
}
