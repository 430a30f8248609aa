// What each of seven tabs runs: a client that shares its connection, and what a test wants to know of it.
import { createClient, type TransportKind } from "../../src/index.ts";
import { shareTabs } from "../../src/tabs.ts";

declare global {
  interface Window {
    readonly tab: {
      readonly status: () => string;
      readonly names: () => readonly string[];
      /** The messages that have come, in order. */
      readonly got: readonly unknown[];
      readonly drifts: readonly unknown[];
      readonly send: (data: string) => Promise<unknown>;
    };
  }
}

const query = new URLSearchParams(location.search);
const transport: TransportKind = query.get("transport") === "ws" ? "ws" : "sse";
const client = createClient({
  url: query.get("server") ?? "/",
  user: { id: "ann", name: "Ann" },
  transport,
  tabs: shareTabs({ transports: ["ws", "sse"] }),
});
const room = client.room("doc");
const got: unknown[] = [];
const drifts: unknown[] = [];
room.on("message", (message) => got.push(message.data));
client.on("drift", (drift) => drifts.push(drift));
const tab: Window["tab"] = {
  status: () => `${client.connection.snapshot.status}, ${room.snapshot.status.kind}`,
  names: () => room.users.map((user) => user.name),
  got,
  drifts,
  send: (data) => room.send(data),
};
Object.assign(window, { tab });
