// The way over an event stream, which is only loaded where no WebSocket opens.
import type { Dial, Transport, TransportEvents } from "../api.ts";

/** Loads the way, and then takes it. If it does not load it has failed, and is tried again as any other that has. */
export function openLater(dial: Dial, events: TransportEvents): Transport {
  let transport: Transport | null = null;
  let isOver = false;
  import("./stream.ts").then(
    ({ openStream }) => {
      if (!isOver) transport = openStream(dial, events);
    },
    (cause: unknown) => isOver || events.closed(1006, String(cause)),
  );
  return {
    send: (message) => transport?.send(message),
    renew: (token) => transport?.renew(token),
    close(code) {
      isOver = true;
      transport?.close(code);
    },
  };
}
