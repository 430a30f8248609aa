// The way over an event stream, which is only loaded where no WebSocket opens.
import type { Dial, Transport, TransportEvents } from "../api.ts";

/** Loads the way, and then takes it. If it does not load it has failed, and is tried again as any other that has. */
export function openLater(dial: Dial, events: TransportEvents): Transport {
  const way = import("./stream.ts").then(({ create }) => create(dial, events));
  const tell = (what: (transport: Transport) => void): void => {
    way.then(what).catch(() => {});
  };
  way.catch((cause: unknown) => events.closed(1006, String(cause)));
  return {
    send: (message) => tell(({ send }) => send(message)),
    renew: (token) => tell(({ renew }) => renew(token)),
    close: (code) => tell(({ close }) => close(code)),
  };
}
