// What becomes of rooms and messages when the network or the server fails, through a real server, over either transport.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Client, type ClientOptions, createClient, type TransportKind } from "../../src/index.ts";
import { type Network, networkTo } from "./proxy.ts";
import { type RealServer, realServer, until } from "./server.ts";
import { SECRET, token } from "./token.ts";

const clients: Client[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect({ permanent: true });
});

function connect(url: string, id: string, transport: TransportKind, more: Partial<ClientOptions> = {}): Client {
  const client = createClient({ url, user: { id, name: id.toUpperCase() }, transport, ...more } as ClientOptions);
  clients.push(client);
  return client;
}

const TRANSPORTS: readonly TransportKind[] = ["ws", "sse"];

describe.each(TRANSPORTS)("a bad network, over %s", (transport) => {
  let server: RealServer;
  let network: Network;
  beforeAll(async () => {
    server = await realServer();
    await server.start();
    network = await networkTo(server.url);
  });
  afterAll(async () => {
    await network.close();
    await server.stop();
  });

  it("shows nobody leaving when a connection is lost and comes back", async () => {
    const [ann, bob] = [connect(network.url, "ann", transport), connect(server.url, "bob", transport)];
    const [here, there] = [ann.room("lost", { state: { tool: "pen" } }), bob.room("lost")];
    await until("they see each other", () => here.others.length === 1 && there.others.length === 1);
    const told: string[] = [];
    there.on("join", ({ user }) => told.push(`+${user.id}`));
    there.on("leave", ({ user }) => told.push(`-${user.id}`));
    here.on("restored", ({ state }) => told.push(`restored ${JSON.stringify(state)}`));
    for (let round = 0; round < 3; round += 1) {
      network.cut();
      await until("it is noticed", () => ann.connection.snapshot.status !== "live");
      expect(here.snapshot.stale).toBe(true);
      expect(here.others.map((user) => user.id)).toEqual(["bob"]);
      await until("it is back", () => ann.connection.snapshot.status === "live");
    }
    here.update({ tool: "brush" });
    await until("they are in step", () => there.others[0]?.sessions[0]?.state["tool"] === "brush");
    expect(new Set(told)).toEqual(new Set(['restored {"tool":"pen"}']));
    expect(there.others[0]?.connectionCount).toBe(1);
  });

  it("sends what was said meanwhile once and in order, and gets what was missed", async () => {
    const [ann, bob] = [connect(network.url, "ann", transport), connect(server.url, "bob", transport)];
    const [here, there] = [ann.room("queue"), bob.room("queue")];
    await until("they see each other", () => here.others.length === 1 && there.others.length === 1);
    const got: unknown[] = [];
    there.on("message", ({ data }) => got.push(data));
    const first = here.send(0);
    network.fail();
    const later = [1, 2, 3, 4, 5].map((n) => here.send(n));
    await there.send("from bob 1");
    await there.send("from bob 2");
    expect(ann.connection.snapshot.pending).toBeGreaterThanOrEqual(5);
    network.heal();
    const stored = await Promise.all([first, ...later]);
    await until("bob has all", () => got.length === 6);
    expect(got).toEqual([0, 1, 2, 3, 4, 5]);
    expect(new Set(stored.map((message) => message.delivery.seq)).size).toBe(6);
    await until("ann has all", () => here.snapshot.messages.length === 8);
    expect(here.snapshot.messages.filter((message) => !message.own).map((message) => message.data)).toEqual([
      "from bob 1",
      "from bob 2",
    ]);
    expect(ann.connection.snapshot.pending).toBe(0);
  });

  it("leaves at once when told to", async () => {
    const [ann, bob] = [connect(network.url, "ann", transport), connect(server.url, "bob", transport)];
    const [here, there] = [ann.room("bye"), bob.room("bye")];
    await until("they see each other", () => here.others.length === 1 && there.others.length === 1);
    ann.disconnect({ permanent: true });
    await until("ann has left", () => there.others.length === 0, 2_000);
  });

  it("gives way to a newer connection of the same session, and stays away", async () => {
    const one = connect(server.url, "ann", transport, { sessionId: "same" });
    one.room("taken");
    await until("one is in", () => one.connection.snapshot.status === "live");
    const other = connect(server.url, "ann", transport, { sessionId: "same" });
    other.room("taken");
    await until("the other is in", () => other.connection.snapshot.status === "live");
    await until("one has given way", () => one.connection.snapshot.status === "closed");
    expect(one.connection.snapshot).toMatchObject({ reason: "superseded" });
  });
});

describe.each(TRANSPORTS)("a server that fails, over %s", (transport) => {
  const start = async (...flags: string[]): Promise<{ server: RealServer; end: () => Promise<void> }> => {
    const folder = mkdtempSync(join(tmpdir(), "presence-e2e-"));
    const server = await realServer(...flags.map((flag) => flag.replace("FOLDER", folder)));
    await server.start();
    const end = async (): Promise<void> => {
      await server.kill();
      rmSync(folder, { recursive: true, force: true });
    };
    return { server, end };
  };

  it.each([
    ["is replaced by the next, which takes over", "stop", ["--data-dir", "FOLDER"]],
    ["is killed, and keeps its messages", "kill", ["--data-dir", "FOLDER"]],
    ["is killed, and forgets everything", "kill", []],
  ] as const)("and %s", async (_, how, flags) => {
    const { server, end } = await start(...flags);
    try {
      const [ann, bob] = [connect(server.url, "ann", transport), connect(server.url, "bob", transport)];
      const [here, there] = [ann.room("restart", { state: { n: 1 } }), bob.room("restart")];
      await until("they see each other", () => here.others.length === 1 && there.others.length === 1);
      const got: unknown[] = [];
      const told: string[] = [];
      there.on("message", ({ data }) => got.push(data));
      there.on("leave", ({ user }) => told.push(`-${user.id}`));
      const { delivery } = await here.send("before");
      // What is only in memory may go with the server; anything safer has to outlive it, delivered yet or not.
      if (delivery.durability === "memory") await until("bob has the first", () => got.length === 1);
      await server[how]();
      const during = here.send("during");
      await server.start();
      await during;
      await here.send("after");
      await until("both are back", () => [ann, bob].every((one) => one.connection.snapshot.status === "live"), 20_000);
      await until("bob has all", () => got.length >= 3 && there.others.length === 1);
      expect(got).toEqual(["before", "during", "after"]);
      expect(there.others[0]?.sessions[0]?.state).toEqual({ n: 1 });
      if (how === "stop") expect(told).toEqual([]);
    } finally {
      await end();
    }
  });
});

describe.each(TRANSPORTS)("tokens, over %s", (transport) => {
  let server: RealServer;
  beforeAll(async () => {
    server = await realServer("--token-secret", SECRET);
    await server.start();
  });
  afterAll(() => server.stop());

  it("let in, are renewed without a loss, and say who it is", async () => {
    let asked = 0;
    const getToken = (): string => {
      asked += 1;
      return token("ann", asked === 1 ? 4 : 600);
    };
    const client = createClient({ url: server.url, getToken, transport });
    clients.push(client);
    const states: string[] = [];
    client.on("state", ({ status }) => states.push(status));
    const room = client.room("secret");
    await until("ann is in", () => client.connection.snapshot.status === "live");
    expect(room.me.id).toBe("ann");
    await new Promise((done) => setTimeout(done, 6_000));
    expect(states).toEqual(["connecting", "syncing", "live"]);
    expect(asked).toBe(2);
    await room.send("still here");
  });

  it("that are bad keep out, for good", async () => {
    const client = createClient({ url: server.url, token: "not.a.token", transport });
    clients.push(client);
    client.connect();
    await until("it is closed", () => client.connection.snapshot.status === "closed");
    expect(client.connection.snapshot).toMatchObject({ reason: "unauthorized" });
  });
});
