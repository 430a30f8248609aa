// The way to a server over WebSocket.
import type { Dial, JsonObject, Transport, TransportEvents } from "../api.ts";

/** Opens a WebSocket. The token goes into the first message: URLs end up in the logs of proxies. */
export function openSocket({ base, query, hello }: Dial, { message, closed }: TransportEvents): Transport {
  const socket = new WebSocket(`${base.replace("http", "ws")}/ws?${query}`, ["presence.v1"]);
  const send = (said: JsonObject): void => {
    if (socket.readyState === 1) socket.send(JSON.stringify(said));
  };
  socket.onopen = () => hello && send(hello);
  socket.onmessage = ({ data }) => typeof data === "string" && message(data);
  socket.onclose = ({ code, reason }) => closed(code, reason);
  return {
    send,
    // The connection itself is told by a message.
    renew() {},
    close(code) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(code);
    },
  };
}
