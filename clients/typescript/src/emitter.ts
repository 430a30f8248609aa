// Handlers by the type of event, and listeners of something that changes.
import type { Release } from "./api.ts";

/** Who wants to hear of which events. */
export interface Emitter<Events> {
  readonly on: <Type extends keyof Events>(type: Type, handler: (event: Events[Type]) => void) => Release;
  readonly emit: <Type extends keyof Events>(type: Type, event: Events[Type]) => void;
  /** Whether anybody wants to hear of these. */
  readonly hears: (type: keyof Events) => boolean;
}

/** Calls a function of the application. What it throws is its own affair, and must not stop anything here. */
export type Guard = (call: () => void) => void;

/** Events of several types. Handlers are called in the order in which they came. */
export function createEmitter<Events>(guard: Guard): Emitter<Events> {
  const handlers = new Map<keyof Events, Set<(event: never) => void>>();
  return {
    on(type, handler) {
      // A handler that is given twice is called twice, and each has its own end.
      const own = (event: Parameters<typeof handler>[0]): void => handler(event);
      const set = handlers.get(type) ?? new Set();
      handlers.set(type, set.add(own));
      return () => {
        set.delete(own);
      };
    },
    emit<Type extends keyof Events>(type: Type, event: Events[Type]) {
      for (const handler of [...(handlers.get(type) ?? [])])
        guard(() => (handler as (event: Events[Type]) => void)(event));
    },
    hears: (type) => (handlers.get(type)?.size ?? 0) > 0,
  };
}

/** Who wants to hear that something has changed. */
export interface Listeners {
  readonly subscribe: (listener: () => void) => Release;
  readonly notify: () => void;
}

export function createListeners(guard: Guard): Listeners {
  const listeners = new Set<() => void>();
  return {
    subscribe(listener) {
      const own = (): void => listener();
      listeners.add(own);
      return () => {
        listeners.delete(own);
      };
    },
    notify() {
      for (const listener of [...listeners]) guard(listener);
    },
  };
}
