// Handlers by the type of event.
import type { Release } from "./api.ts";

/** Who wants to hear of which events. */
export interface Emitter<Events> {
  readonly on: <Type extends keyof Events>(type: Type, handler: (event: Events[Type]) => void) => Release;
  readonly emit: <Type extends keyof Events>(type: Type, event: Events[Type]) => void;
  /** Whether anybody wants to hear of these. */
  readonly hears: (type: keyof Events) => boolean;
}

/** Something that changes, and who wants to hear of it. */
export interface Changing {
  readonly change: undefined;
}

/** Calls a function of the application. What it throws is its own affair, and must not stop anything here. */
export type Guard = (call: () => void) => void;

/** Events of several types. Handlers are called in the order in which they came. */
export function createEmitter<Events>(guard: Guard): Emitter<Events> {
  // Each has its own end, also if a handler is given twice.
  const handlers = new Set<readonly [type: keyof Events, handler: (event: never) => void]>();
  return {
    on(type, handler) {
      const own = [type, handler] as const;
      handlers.add(own);
      return () => {
        handlers.delete(own);
      };
    },
    emit<Type extends keyof Events>(type: Type, event: Events[Type]) {
      for (const [wanted, handler] of [...handlers]) {
        if (wanted === type) guard(() => (handler as (event: Events[Type]) => void)(event));
      }
    },
    hears: (type) => [...handlers].some(([wanted]) => wanted === type),
  };
}
