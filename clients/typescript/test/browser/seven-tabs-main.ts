// What each of seven tabs runs: a client that shares its connection, and what a test wants to know of it.
import { createClient, type OpenTransport, type TransportKind } from "../../src/index.ts";
import { shareTabs } from "../../src/tabs.ts";

declare global {
  interface Window {
    readonly tab: {
      readonly status: () => string;
      /** Whether the connection is in this tab. */
      readonly leads: () => boolean;
      readonly names: () => readonly string[];
      /** The messages that have come, in order. */
      readonly got: readonly unknown[];
      readonly drifts: readonly unknown[];
      readonly send: (data: string) => Promise<unknown>;
    };
  }
}

/** The connections of this tab's own that are open. */
const wires = new Set<object>();

const counted =
  (open: OpenTransport): OpenTransport =>
  (dial, events) => {
    const wire = {};
    wires.add(wire);
    const closed: typeof events.closed = (...end) => {
      wires.delete(wire);
      events.closed(...end);
    };
    const inner = open(dial, { ...events, closed });
    const close: typeof inner.close = (code) => {
      wires.delete(wire);
      inner.close(code);
    };
    return { ...inner, close };
  };

const query = new URLSearchParams(location.search);
const transport: TransportKind = query.get("transport") === "ws" ? "ws" : "sse";
const share = shareTabs({ transports: ["ws", "sse"] });
const client = createClient({
  url: query.get("server") ?? "/",
  user: { id: "ann", name: "Ann" },
  transport,
  tabs: (env) =>
    share({ ...env, transports: new Map([...env.transports].map(([kind, open]) => [kind, counted(open)])) }),
});
const room = client.room(query.get("room") ?? "doc");
const got: unknown[] = [];
const drifts: unknown[] = [];
room.on("message", (message) => got.push(message.data));
client.on("drift", (drift) => drifts.push(drift));
const tab: Window["tab"] = {
  status: () => `${client.connection.snapshot.status}, ${room.snapshot.status.kind}`,
  leads: () => wires.size > 0,
  names: () => room.users.map((user) => user.name),
  got,
  drifts,
  send: (data) => room.send(data),
};
Object.assign(window, { tab });
