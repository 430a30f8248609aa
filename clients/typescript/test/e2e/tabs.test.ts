// Tabs that share an event stream of a real server. What a browser has of locks and channels is played here.
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { type Client, createClient, type Room } from "../../src/index.ts";
import { type Channel, type Hold, type Outside, shareTabs } from "../../src/tabs.ts";
import { type RealServer, realServer, until } from "./server.ts";

/** Names that one tab holds at a time, and channels, within this process: each a browser of its own. */
function outside(): Outside {
  const browser = crypto.randomUUID();
  const queues = new Map<string, (() => void)[]>();
  const hold: Hold = (name, { signal, held }) => {
    const queue = queues.get(name) ?? [];
    queues.set(name, queue);
    queue.push(held);
    if (queue[0] === held) queueMicrotask(() => signal.aborted || held());
    signal.addEventListener("abort", () => {
      const place = queue.indexOf(held);
      queue.splice(place, place < 0 ? 0 : 1);
      const [next] = queue;
      if (place === 0 && next) queueMicrotask(() => queue[0] === next && next());
    });
  };
  const open = (name: string, heard: (word: unknown) => void): Channel => {
    const channel = new BroadcastChannel(`${browser} ${name}`);
    channel.onmessage = (event): void => heard(Reflect.get(event, "data"));
    return { say: (word) => channel.postMessage(word), close: () => channel.close() };
  };
  return { hold, open };
}

let server: RealServer;
const clients: Client[] = [];

beforeAll(async () => {
  server = await realServer();
  await server.start();
});
afterAll(() => server.stop());
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect({ permanent: true });
});

/** A tab, how many streams it has opened, and what cuts all that it has open. */
interface OpenTab {
  readonly client: Client;
  readonly room: Room;
  readonly streams: () => number;
  readonly cut: () => void;
}

function openTab(around: Outside, room: string, sessionId: string): OpenTab {
  const life = new AbortController();
  let streams = 0;
  const get: typeof fetch = (url, init = {}) => {
    if (String(url).includes("/sse/shared?")) streams += 1;
    const signal = AbortSignal.any([life.signal, ...(init.signal ? [init.signal] : [])]);
    return fetch(url, { ...init, signal });
  };
  const tabs = shareTabs({ outside: around });
  const user = { id: "ann", name: "Ann" };
  const client = createClient({ url: server.url, user, sessionId, transport: "sse", tabs, env: { fetch: get } });
  clients.push(client);
  return { client, room: client.room(room), streams: () => streams, cut: () => life.abort() };
}

function watch(room: string): { readonly room: Room; readonly left: string[] } {
  const client = createClient({ url: server.url, user: { id: "bob", name: "Bob" }, transport: "ws" });
  clients.push(client);
  const watched = client.room(room);
  const left: string[] = [];
  watched.on("leave", ({ user }) => left.push(user.id));
  return { room: watched, left };
}

it("are a session each, and hear and say what is theirs", async () => {
  const bob = watch("tabs-1");
  const around = outside();
  const tabs = [1, 2, 3].map((number) => openTab(around, "tabs-1", `tab-${number}`));
  await until("all are there", () => bob.room.others[0]?.connectionCount === 3);
  await until("all are live", () => tabs.every(({ client }) => client.connection.snapshot.status === "live"));
  expect(tabs.map((tab) => tab.streams()).sort()).toEqual([0, 0, 1]);
  for (const [at, { room }] of tabs.entries()) room.update({ at });
  const states = (): unknown[] => (bob.room.others[0]?.sessions ?? []).map((one) => [one.sessionId, one.state["at"]]);
  await until("all have said so", () => states().every((one) => Array.isArray(one) && one[1] !== undefined));
  expect(states().sort()).toEqual([1, 2, 3].map((number) => [`tab-${number}`, number - 1]));
  const got: unknown[] = [];
  tabs[2]?.room.on("message", (message) => got.push(message.data));
  await tabs[0]?.room.send("hello");
  await bob.room.send("hello, you");
  await until("both have come", () => got.length === 2);
  expect(got).toEqual(["hello", "hello, you"]);

  // One goes, which the one that leads sees, and the others stay.
  tabs.at(-1)?.client.disconnect({ permanent: true });
  await until("one has gone", () => bob.room.others[0]?.connectionCount === 2);
  expect(bob.left).toEqual([]);
});

it("go over to the stream of another one, and nobody sees them leave", async () => {
  const bob = watch("tabs-2");
  const around = outside();
  const tabs = [1, 2, 3].map((number) => openTab(around, "tabs-2", `tab-${number}`));
  await until("all are there", () => bob.room.others[0]?.connectionCount === 3);
  const leader = tabs.find((tab) => tab.streams() > 0);
  const others = tabs.filter((tab) => tab !== leader);
  const counts: number[] = [];
  bob.room.on("update", ({ user }) => counts.push(user.connectionCount));
  leader?.client.disconnect({ permanent: true });
  await until("another one leads", () => others.some((tab) => tab.streams() > 0));
  await until("one has gone", () => bob.room.others[0]?.connectionCount === 2);
  await until("all are live", () => others.every(({ client }) => client.connection.snapshot.status === "live"));

  // The network cuts the stream for all of them.
  others.find((tab) => tab.streams() > 0)?.cut();
  await until("the next one leads", () => others.every((tab) => tab.streams() > 0));
  const survivor = others.find(({ client }) => client.connection.snapshot.status === "live");
  await survivor?.room.send("still here");
  expect(bob.left).toEqual([]);
  expect(counts.filter((count) => count < 2)).toEqual([]);
});

it("watch a window of the same room each", async () => {
  const bob = watch("tabs-3");
  const around = outside();
  const tabs = [1, 2, 3].map((number) => openTab(around, "tabs-3", `tab-${number}`));
  await until("all are there", () => bob.room.others[0]?.connectionCount === 3);
  const views = await Promise.all(tabs.map(({ room }, at) => room.window({ from: at * 20, count: 20 })));
  expect(views.map(({ from, total, sessions }) => [from, total, sessions])).toEqual([
    [0, 2, 4],
    [20, 2, 4],
    [40, 2, 4],
  ]);
  expect(views.map(({ users }) => users.length)).toEqual([2, 0, 0]);
  views[2]?.move({ from: 0, count: 20 });
  await until("one has moved", () => views[2]?.users.length === 2);
  expect(views.map(({ from }) => from)).toEqual([0, 20, 0]);
});
