// The smallest client: rooms over WebSocket, for whoever counts bytes. The interface is that of the whole one; messages,
// people elsewhere and requests are refused as `unavailable`.
export type * from "./api.ts";
export { type ErrorCode, PresenceError } from "./errors.ts";

import type { Client, ClientOptions } from "./api.ts";
import { createClientOf } from "./core.ts";
import { NO_FEATURES } from "./features.ts";
import { openSocket } from "./link/socket.ts";

/** Makes a client that has rooms only. */
export function createClient(options: ClientOptions): Client {
  return createClientOf({ ...NO_FEATURES, transports: new Map([["ws", openSocket]]) }, options);
}
