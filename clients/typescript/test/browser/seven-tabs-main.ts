// What each of seven tabs runs: a client that shares its stream, and what a test wants to know of it.
import { createClient, type Session, type TransportKind } from "../../src/index.ts";
import { shareTabs } from "../../src/tabs.ts";

declare global {
  interface Window {
    readonly tab: {
      readonly status: () => string;
      readonly sessionId: () => string | undefined;
      /** Whether the stream is in this tab. */
      readonly leads: () => boolean;
      /** The sessions of this user, as this tab sees them. */
      readonly sessions: () => readonly Session[];
      readonly cursors: () => readonly (readonly [string, number])[];
      /** The messages that have come, in order. */
      readonly got: readonly unknown[];
      readonly drifts: readonly unknown[];
      readonly send: (data: string) => Promise<unknown>;
      readonly update: (tab: number) => void;
      readonly point: (x: number) => void;
    };
  }
}

/** The streams of this tab's own that are open. */
const streams = new Set<object>();

const counted: typeof fetch = async (url, init) => {
  const answer = await fetch(url, init);
  if (!/\/sse(?:\/shared)?\?/u.test(String(url)) || init?.method === "POST") return answer;
  streams.add(answer);
  init?.signal?.addEventListener("abort", () => streams.delete(answer));
  return answer;
};

const query = new URLSearchParams(location.search);
const transport: TransportKind = query.get("transport") === "ws" ? "ws" : "sse";
const client = createClient({
  url: query.get("server") ?? "/",
  user: { id: "ann", name: "Ann" },
  transport,
  tabs: shareTabs(),
  env: { fetch: counted },
});
const room = client.room(query.get("room") ?? "doc");
const got: unknown[] = [];
const drifts: unknown[] = [];
room.on("message", (message) => got.push(message.data));
client.on("drift", (drift) => drifts.push(drift));
const tab: Window["tab"] = {
  status: () => `${client.connection.snapshot.status}, ${room.snapshot.status.kind}`,
  sessionId: () => client.identity?.sessionId,
  leads: () => streams.size > 0,
  sessions: () => room.me.user?.sessions ?? [],
  cursors: () => room.snapshot.cursors.map(({ sessionId, cursor }) => [sessionId, cursor.x]),
  got,
  drifts,
  send: (data) => room.send(data),
  update: (number) => room.update({ number }),
  point: (x) => room.cursor({ x, y: 0 }),
};
Object.assign(window, { tab });
