// Windows of a crowd in a real server: rows, totals and moves, over both ways, and over a loss of connection.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Client, type ClientOptions, createClient, type Room, type TransportKind } from "../../src/index.ts";
import { type Network, networkTo } from "./proxy.ts";
import { type RealServer, realServer, until } from "./server.ts";

const CROWD = 90;
const ROWS = 20;

const clients: Client[] = [];
let server: RealServer;
let network: Network;

function connect(url: string, id: string, more: Partial<ClientOptions> = {}): Client {
  const client = createClient({ url, user: { id, name: id }, transport: "ws", ...more } as ClientOptions);
  clients.push(client);
  return client;
}

const place = (at: number): string => `u-${String(at).padStart(2, "0")}`;
const range = (from: number): string[] => Array.from({ length: ROWS }, (_, at) => place(from + at));
const ids = (users: readonly { readonly id: string }[]): string[] => users.map(({ id }) => id);

/** Those who are in the hall all the time, each by a window of their own, since it is too large to be read. */
const crowd: { readonly client: Client; readonly room: Room }[] = [];

beforeAll(async () => {
  server = await realServer("--exact-users-max", "50");
  await server.start();
  network = await networkTo(server.url);
  for (let at = 0; at < CROWD; at += 1) {
    const client = createClient({ url: server.url, user: { id: place(at), name: place(at) }, transport: "ws" });
    crowd.push({ client, room: client.room("hall", { enter: false }) });
  }
  await Promise.all(crowd.map(({ room }) => room.window({ from: 0, count: 1 })));
});
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect({ permanent: true });
});
afterAll(async () => {
  for (const { client } of crowd) client.disconnect({ permanent: true });
  await network.close();
  await server.kill();
});

describe.each<TransportKind>(["ws", "sse"])("a window, over %s", (transport) => {
  it("has rows and totals, is moved, and says what is different", async () => {
    const room = connect(server.url, `x-${transport}`, { transport }).room("hall", { enter: false });
    const view = await room.window({ from: 25, count: 10 });
    expect(view).toMatchObject({ from: 20, count: ROWS, mode: "exact" });
    expect(ids(view.users)).toEqual(range(20));
    const { total } = view;
    expect(total).toBeGreaterThan(CROWD);
    for (let from = 0; from <= 60; from += 1) view.move({ from, count: ROWS });
    await until("it is where it is to be", () => view.from === 60);
    expect(ids(view.users)).toEqual(range(60));
    crowd[70]?.room.update({ seat: transport });
    await until("the row is different", () => view.users[10]?.sessions[0]?.state["seat"] === transport);
    const other = connect(server.url, "y");
    await other.room("hall", { enter: false }).window({ from: 0, count: 1 });
    await until("the totals are different", () => view.total === total + 1);
    expect(ids(view.users)).toEqual(range(60));
    view.close();
    await until("it has left", () => room.snapshot.status.kind === "out");
  });

  it("comes back with its rows after a loss of connection, and nobody sees it leave", async () => {
    const there = connect(server.url, "z-there");
    const seen = await there.room("hall", { enter: false }).window({ from: 90, count: ROWS });
    const client = connect(network.url, "z-here", { transport });
    const room = client.room("hall", { enter: false });
    const view = await room.window({ from: 40, count: ROWS }, { state: { seat: 1 } });
    await until("it is seen", () => ids(seen.users).includes("z-here"));
    const lost: string[] = [];
    seen.subscribe(() => ids(seen.users).includes("z-here") || lost.push("left"));
    network.cut();
    await until("it is noticed", () => view.snapshot.stale);
    expect(ids(view.users)).toEqual(range(40));
    view.move({ from: 20, count: ROWS });
    await until("it is back", () => !view.snapshot.stale && view.from === 20);
    expect(ids(view.users)).toEqual(range(20));
    expect(lost).toEqual([]);
    expect(room.me.state).toEqual({ seat: 1 });
  });

  it("is let into a room that is too large to be read, and has messages as everybody", async () => {
    const room = connect(server.url, `m-${transport}`, { transport }).room("hall");
    await until("it is refused", () => room.snapshot.status.kind === "refused");
    expect(room.snapshot.status).toMatchObject({ error: { code: "too_large", field: "window" } });
    await room.window({ from: 0, count: ROWS });
    const got: unknown[] = [];
    room.on("message", ({ data }) => got.push(data));
    await crowd[3]?.room.send(`hello ${transport}`);
    await until("it has come", () => got.length > 0);
    expect(got).toEqual([`hello ${transport}`]);
  });

  it("is refused with a reason", async () => {
    const room = connect(server.url, `r-${transport}`, { transport }).room("hall", { enter: false });
    await expect(room.window({ from: 0, count: 100_000 })).rejects.toMatchObject({ code: "bad_message" });
    const view = await room.window({ from: 0, count: ROWS });
    view.move({ from: 0, count: 0 });
    await until("it is told", () => view.snapshot.error !== null);
    expect(view).toMatchObject({ from: 0, count: ROWS });
  });
});

it("stands for a room that is read as a whole, until it is closed", async () => {
  const [ann, bob] = [connect(server.url, "ann"), connect(server.url, "bob")];
  const room = ann.room("small");
  bob.room("small");
  await until("they see each other", () => room.others.length === 1);
  const view = await room.window({ from: 20, count: ROWS });
  expect(view).toMatchObject({ total: 2, sessions: 2, users: [] });
  expect(room.users).toEqual([]);
  view.close();
  await until("it is read again", () => room.others.length === 1);
});
