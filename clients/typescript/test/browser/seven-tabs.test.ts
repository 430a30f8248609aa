// Seven tabs of one user in a real browser, which allows six connections to a server over HTTP/1.1.
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { build } from "vite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Client, createClient, type LeaveCause, type Room, type Session } from "../../src/index.ts";
import { freePort, type RealServer, realServer, until } from "../e2e/server.ts";

const root = join(import.meta.dirname, "..", "..");
const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const TABS = 7;

/** A browser may cut the stream of a tab that is closed, which is waited for longer than an end in good order: 15 s. */
const CUT = 20_000;

async function bundle(): Promise<string> {
  const entry = join(root, "test/browser/seven-tabs-main.ts");
  const built = await build({
    root,
    configFile: false,
    logLevel: "silent",
    build: { write: false, lib: { entry, formats: ["iife"], name: "page", fileName: "page" } },
  });
  for (const one of Array.isArray(built) ? built : [built])
    for (const file of "output" in one ? one.output : []) if (file.type === "chunk") return file.code;
  throw new Error("nothing was built");
}

/** Serves one page, whatever is asked for. */
async function pageServer(body: string): Promise<{ readonly url: string; readonly server: Server }> {
  const port = await freePort();
  const server = createServer((_, answer) => answer.setHeader("content-type", "text/html").end(body));
  await new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
  return { url: `http://127.0.0.1:${port}/`, server };
}

describe.skipIf(!existsSync(executablePath))("seven tabs", () => {
  let browser: Browser;
  let pages: Awaited<ReturnType<typeof pageServer>>;
  let server: RealServer;
  let context: BrowserContext;
  let bob: Client;
  let room: Room;
  /** A room of its own for each test. */
  let name: string;
  let rooms = 0;
  /** Who has left, as bob hears it. */
  let left: [string, LeaveCause][];
  /** How many sessions ann has had, as bob sees it, once they were all there. */
  let counts: number[];

  beforeAll(async () => {
    const script = (await bundle()).replaceAll("</script", "<\\/script");
    pages = await pageServer(`<!doctype html><title>A tab</title><script>${script}</script>`);
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
    server = await realServer();
    await server.start();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    pages?.server.close();
  });

  beforeEach(async () => {
    context = await browser.newContext();
    bob = person("bob");
    name = `doc-${++rooms}`;
    room = bob.room(name);
    left = [];
    counts = [];
    room.on("leave", ({ user, cause }) => left.push([user.id, cause]));
    room.on("update", ({ user: { id, connectionCount: count } }) => {
      if (id === "ann" && count !== counts.at(-1) && (count === TABS || counts.length > 0)) counts.push(count);
    });
    await until("bob is in the room", () => room.snapshot.status.kind === "live");
  });

  afterEach(async () => {
    bob.disconnect({ permanent: true });
    await context.close();
  });

  const person = (id: string): Client =>
    createClient({ url: server.url, user: { id, name: id }, transport: "sse", sessionId: `${id}-1` });

  const open = async (transport: string): Promise<Page> => {
    const page = await context.newPage();
    const query = new URLSearchParams({ server: server.url, transport, room: name });
    await page.goto(`${pages.url}?${query}`);
    return page;
  };

  const allLive = async (tabs: readonly Page[]): Promise<void> => {
    for (const page of tabs)
      await expect.poll(() => page.evaluate(() => window.tab.status()), { timeout: 10_000 }).toBe("live, live");
  };

  const got = (tabs: readonly Page[]): Promise<readonly unknown[][]> =>
    Promise.all(tabs.map((page) => page.evaluate(() => [...window.tab.got])));

  /** The tabs that have a stream. */
  const leaders = async (tabs: readonly Page[]): Promise<readonly Page[]> => {
    const leads = await Promise.all(tabs.map((tab) => tab.evaluate(() => window.tab.leads())));
    return tabs.filter((_, at) => leads[at]);
  };

  const leader = async (tabs: readonly Page[]): Promise<Page | undefined> => (await leaders(tabs))[0];

  /** How many connections ann has: all but bob's. */
  const connections = async (): Promise<number> => {
    const stats: unknown = await (await fetch(`${server.url}/v1/stats`)).json();
    return Number(Object.entries(stats ?? {}).find(([name]) => name === "connections")?.[1]) - 1;
  };

  /** Waits until the server has made up its mind about whoever is gone now. */
  const grace = async (): Promise<void> => {
    const cid = person("cid");
    cid.room(name);
    await until("cid is there", () => room.users.some((user) => user.id === "cid"));
    // Ended as a tab that is closed ends it.
    cid.disable();
    const gone = (): boolean => left.some(([id]) => id === "cid");
    await until("cid has left", gone);
    left = left.filter(([id]) => id !== "cid");
    cid.disconnect({ permanent: true });
  };

  /** What the server says of the room. */
  const truth = async (): Promise<{ readonly totalConnections: number }> =>
    (await fetch(`${server.url}/v1/rooms/${name}/presence`)).json();

  test("over WebSocket each has a connection of its own", async () => {
    const tabs = [await open("ws"), await open("ws")];
    await allLive(tabs);
    await expect.poll(() => room.others[0]?.connectionCount).toBe(2);
    for (const tab of tabs) expect(await tab.evaluate(() => window.tab.leads())).toBe(false);
  });

  test("over event streams share one, each a session of its own, whichever of them closes or freezes", async () => {
    let tabs: Page[] = [];
    for (let count = 0; count < TABS; count += 1) tabs.push(await open("sse"));
    await allLive(tabs);
    expect(await connections()).toBe(TABS);
    expect(await leaders(tabs)).toHaveLength(1);
    await expect.poll(() => room.others.map((user) => [user.id, user.connectionCount])).toEqual([["ann", TABS]]);

    // Each has a state and a cursor of its own, and everybody sees all of them.
    const ids = await Promise.all(tabs.map((tab) => tab.evaluate(() => window.tab.sessionId())));
    expect(new Set(ids).size).toBe(TABS);
    for (const [at, tab] of tabs.entries())
      await tab.evaluate((at) => {
        window.tab.update(at);
        window.tab.point(at);
      }, at);
    const states = ids.map((id, at) => [id, at]).sort();
    const statesOf = (sessions: readonly Session[]): unknown[] =>
      sessions.map(({ sessionId, state }) => [sessionId, state["number"]]).sort();
    for (const tab of tabs)
      await expect.poll(async () => statesOf(await tab.evaluate(() => window.tab.sessions()))).toEqual(states);
    await expect.poll(() => room.snapshot.cursors.map((one) => [one.sessionId, one.cursor.x]).sort()).toEqual(states);
    await expect.poll(() => tabs[3]?.evaluate(() => window.tab.cursors())).toHaveLength(TABS - 1);

    // Everybody hears everything, once.
    await room.send("from bob");
    await tabs[3]?.evaluate(() => window.tab.send("from the fourth"));
    await expect
      .poll(() => got(tabs))
      .toEqual(tabs.map((_, at) => ["from bob", ...(at === 3 ? [] : ["from the fourth"])]));

    // The one that leads is closed: the others go on, and bob sees nobody come or go but that one session.
    const closed = await leader(tabs);
    const fourth = tabs[3];
    tabs = tabs.filter((tab) => tab !== closed);
    await closed?.close();
    await expect.poll(() => leaders(tabs), { timeout: 5_000 }).toHaveLength(1);
    await allLive(tabs);
    await room.send("after the first has gone");
    const heard = (tab: Page): unknown[] => [
      "from bob",
      ...(tab === fourth ? [] : ["from the fourth"]),
      "after the first has gone",
    ];
    await expect.poll(() => got(tabs), { timeout: 5_000 }).toEqual(tabs.map(heard));
    expect(await connections()).toBe(TABS - 1);
    await expect.poll(() => room.others[0]?.connectionCount, { timeout: CUT }).toBe(TABS - 1);
    expect(counts).toEqual([TABS, TABS - 1]);
    expect(left).toEqual([]);

    // Another one is closed, and it alone goes.
    const other = tabs.find((tab) => tab !== fourth);
    const follower = (await leaders(tabs)).includes(other as Page) ? tabs.at(-1) : other;
    tabs = tabs.filter((tab) => tab !== follower);
    await follower?.close();
    await expect.poll(() => room.others[0]?.connectionCount, { timeout: CUT }).toBe(TABS - 2);
    expect((await truth()).totalConnections).toBe(TABS - 2 + 1);

    // The one that leads is frozen (by a debugger: what a browser freezes is its own decision), and follows when it thaws.
    const asleep = await leader(tabs);
    if (!asleep) throw new Error("nobody leads");
    const devtools = await context.newCDPSession(asleep);
    await devtools.send("Debugger.enable");
    await devtools.send("Debugger.pause");
    const awake = tabs.filter((tab) => tab !== asleep);
    await expect.poll(() => leaders(awake), { timeout: 15_000 }).toHaveLength(1);
    await allLive(awake);
    await room.send("while one sleeps");
    const last = async (some: readonly Page[]): Promise<readonly unknown[]> =>
      (await got(some)).map((all) => all.at(-1));
    await expect.poll(() => last(awake), { timeout: 5_000 }).toEqual(awake.map(() => "while one sleeps"));
    await devtools.send("Debugger.resume");
    await expect
      .poll(() => got(tabs), { timeout: 5_000 })
      .toEqual(tabs.map((tab) => [...heard(tab), "while one sleeps"]));
    await allLive(tabs);
    await grace();
    expect(await connections()).toBe(TABS - 2);
    expect(room.others.map((user) => user.connectionCount)).toEqual([TABS - 2]);
    expect(left).toEqual([]);

    // The last one has gone when all have.
    for (const page of tabs) expect(await page.evaluate(() => window.tab.drifts)).toEqual([]);
    await Promise.all(tabs.map((page) => page.close()));
    await until("ann has left", () => left.length > 0, CUT);
    expect(left.map(([id]) => id)).toEqual(["ann"]);
  }, 120_000);
});
