// The whole client: rooms, messages and people, over WebSocket or Server-Sent Events.
import type { Client, ClientOptions, OpenTransport, TransportKind } from "./api.ts";
import { createClientOf } from "./core.ts";
import { createDirectory } from "./directory.ts";
import type { Features } from "./features.ts";
import { openSocket } from "./link/socket.ts";
import { openStream } from "./link/stream.ts";
import { createMessages } from "./messages/messages.ts";
import { request } from "./request.ts";
import { FEATURE_SHAPES } from "./wire/shapes.ts";

/** Makes a client. It does nothing until something is asked of it, so it may be made anywhere, on a server too. */
export function createClient(options: ClientOptions): Client {
  const transports = new Map<TransportKind, OpenTransport>([
    ["ws", openSocket],
    ["sse", openStream],
  ]);
  const features: Features = {
    transports,
    shapes: FEATURE_SHAPES,
    messages: createMessages,
    directory: createDirectory,
    request,
  };
  return createClientOf(features, options);
}
