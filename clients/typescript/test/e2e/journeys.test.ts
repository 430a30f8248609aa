// What two people see of each other, through a real server, over either transport.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Client, type ClientOptions, createClient, type TransportKind } from "../../src/index.ts";
import { type RealServer, realServer, until } from "./server.ts";

const clients: Client[] = [];
let rooms = 0;

afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect({ permanent: true });
});

describe.each<TransportKind>(["ws", "sse"])("over %s", (transport) => {
  let server: RealServer;
  beforeAll(async () => {
    server = await realServer();
    await server.start();
  });
  afterAll(() => server.stop());

  const connect = (id: string, more: Partial<ClientOptions> = {}): Client => {
    const options = { url: server.url, user: { id, name: id.toUpperCase() }, transport, ...more };
    const client = createClient(options as ClientOptions);
    clients.push(client);
    return client;
  };
  const roomName = (): string => {
    rooms += 1;
    return `e2e-${transport}-${rooms}`;
  };

  it("shows two people to each other, with state, cursor and typing", async () => {
    const name = roomName();
    const ann = connect("ann").room(name, { state: { tool: "pen" } });
    await until("ann is in", () => ann.snapshot.status.kind === "live");
    const bob = connect("bob").room(name);
    await until("they see each other", () => ann.others.length === 1 && bob.others.length === 1);
    expect(bob.others[0]?.name).toBe("ANN");
    expect(bob.others[0]?.sessions[0]?.state).toEqual({ tool: "pen" });
    ann.update({ tool: null, page: 7 });
    await until("state", () => bob.others[0]?.sessions[0]?.state["page"] === 7);
    expect(bob.others[0]?.sessions[0]?.state).toEqual({ page: 7 });
    ann.cursor({ x: 0.5, y: 0.25 });
    await until("cursor", () => bob.snapshot.cursors[0]?.cursor.x === 0.5);
    ann.typing();
    await until("typing", () => bob.snapshot.typing[0]?.id === "ann");
    ann.typing(false);
    await until("no typing", () => bob.snapshot.typing.length === 0);
    ann.leave();
    await until("ann has left", () => bob.others.length === 0);
  });

  it("stores messages in order and delivers each once", async () => {
    const name = roomName();
    const [a, b] = [connect("ann").room(name), connect("bob").room(name)];
    await until("both are in", () => a.others.length === 1 && b.others.length === 1);
    const got: unknown[] = [];
    b.on("message", (message) => got.push(message.data));
    const sent = await Promise.all([1, 2, 3].map((n) => a.send({ n })));
    expect(sent.map((message) => message.delivery.seq)).toEqual([1, 2, 3]);
    await until("all have come", () => got.length === 3);
    expect(got).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(a.snapshot.messages.map((message) => message.delivery.state)).toEqual(["stored", "stored", "stored"]);
  });
});
