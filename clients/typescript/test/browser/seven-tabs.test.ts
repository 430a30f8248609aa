// Seven tabs of one user in a real browser, which allows six connections to a server over HTTP/1.1.
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { build } from "vite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Client, createClient, type LeaveCause, type Room } from "../../src/index.ts";
import { freePort, type RealServer, realServer, until } from "../e2e/server.ts";

const root = join(import.meta.dirname, "..", "..");
const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const TABS = 7;

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
    room.on("leave", ({ user, cause }) => left.push([user.id, cause]));
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

  /** The tab that has the connection. */
  const leader = async (tabs: readonly Page[]): Promise<Page | undefined> => {
    for (const tab of tabs) if (await tab.evaluate(() => window.tab.leads())) return tab;
    return undefined;
  };

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

  test.each(["sse", "ws"])(
    "share one connection over %s, whichever of them closes or freezes",
    async (transport) => {
      const tabs: Page[] = [];
      for (let count = 0; count < TABS; count += 1) tabs.push(await open(transport));
      await allLive(tabs);
      expect(await connections()).toBe(1);
      expect(room.others.map((user) => [user.id, user.connectionCount])).toEqual([["ann", 1]]);

      // Everybody hears everything, once.
      await room.send("from bob");
      await tabs[3]?.evaluate(() => window.tab.send("from the fourth"));
      await expect
        .poll(() => got(tabs))
        .toEqual(tabs.map((_, at) => ["from bob", ...(at === 3 ? [] : ["from the fourth"])]));

      // The one that leads is closed: the others go on, and bob sees nothing of it.
      await tabs.shift()?.close();
      await room.send("after the first has gone");
      const heard = (at: number): unknown[] => [
        "from bob",
        ...(at === 2 ? [] : ["from the fourth"]),
        "after the first has gone",
      ];
      await expect.poll(() => got(tabs), { timeout: 5_000 }).toEqual(tabs.map((_, at) => heard(at)));
      await allLive(tabs);
      expect(await connections()).toBe(1);
      await grace();
      expect(left).toEqual([]);

      // The one that leads is frozen (by a debugger: what a browser freezes is its own decision), and follows when it thaws.
      const asleep = await leader(tabs);
      if (!asleep) throw new Error("nobody leads");
      const devtools = await context.newCDPSession(asleep);
      await devtools.send("Debugger.enable");
      await devtools.send("Debugger.pause");
      const awake = tabs.filter((tab) => tab !== asleep);
      await expect.poll(() => leader(awake), { timeout: 15_000 }).toBeDefined();
      await room.send("while one sleeps");
      const last = async (some: readonly Page[]): Promise<readonly unknown[]> =>
        (await got(some)).map((all) => all.at(-1));
      await expect.poll(() => last(awake), { timeout: 5_000 }).toEqual(awake.map(() => "while one sleeps"));
      await devtools.send("Debugger.resume");
      await expect
        .poll(() => got(tabs), { timeout: 5_000 })
        .toEqual(tabs.map((_, at) => [...heard(at), "while one sleeps"]));
      await allLive(tabs);
      expect(await connections()).toBe(1);
      await grace();
      expect(left).toEqual([]);

      // The last one has gone when all have.
      for (const page of tabs) expect(await page.evaluate(() => window.tab.drifts)).toEqual([]);
      await Promise.all(tabs.map((page) => page.close()));
      await until("ann has left", () => left.length > 0);
      expect(left.map(([id]) => id)).toEqual(["ann"]);
    },
    90_000,
  );
});
