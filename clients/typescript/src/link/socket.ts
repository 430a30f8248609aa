// The way to a server over WebSocket.
import type { Dial, JsonObject, Transport, TransportEvents } from "../api.ts";

/** Opens a WebSocket. The token goes into the first message: URLs end up in the logs of proxies. */
export function openSocket(dial: Dial, events: TransportEvents): Transport {
  const socket = new WebSocket(`${dial.base.replace(/^http/u, "ws")}/ws?${dial.query}`, ["presence.v1"]);
  let waiting: JsonObject[] | null = dial.hello ? [dial.hello] : [];
  let over = false;
  const write = (message: JsonObject): void => {
    if (socket.readyState === 1) socket.send(JSON.stringify(message));
  };
  socket.onopen = () => {
    const first = waiting ?? [];
    waiting = null;
    first.forEach(write);
  };
  socket.onmessage = (event: MessageEvent<unknown>) => {
    if (!over && typeof event.data === "string") events.message(event.data);
  };
  socket.onclose = (event) => {
    if (!over) events.closed(event.code, event.reason);
    over = true;
  };
  return {
    send: (message) => (waiting ? waiting.push(message) : write(message)),
    // The connection itself is told by a message.
    renew: () => {},
    close(code) {
      over = true;
      socket.close(code);
    },
  };
}
