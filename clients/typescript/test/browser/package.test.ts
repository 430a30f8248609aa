// The package as it is published, in a page without a bundler: what it loads, when, and that all of it fits together.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { build } from "vite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { freePort, type RealServer, realServer } from "../e2e/server.ts";
import { SECRET, token } from "../e2e/token.ts";
import { CHROMIUM, TRANSPORTS } from "./visitors.ts";

const root = join(import.meta.dirname, "..", "..");

const PAGE = `<!doctype html><title>The package</title><script type="module">
import { createClient } from "./index.js";
const { server, transport, tokens, ...user } = Object.fromEntries(new URL(location.href).searchParams);
const left = tokens?.split(" ") ?? [];
const client = createClient({ url: server, user, transport, ...(tokens && { getToken: () => left.shift() }) });
const room = client.room("r");
const got = [];
const errors = [];
client.on("error", (error) => errors.push(error.message));
Object.assign(window, { client, room, got, errors, left });
</script>`;

describe.skipIf(!existsSync(CHROMIUM))("the package", () => {
  let dist: string;
  let files: Server;
  let pages: string;
  let browser: Browser;
  let context: BrowserContext;
  let server: RealServer;

  beforeAll(async () => {
    dist = mkdtempSync(join(tmpdir(), "presence-client-"));
    await build({ root, configFile: join(root, "vite.config.ts"), logLevel: "silent", build: { outDir: dist } });
    const port = await freePort();
    pages = `http://127.0.0.1:${port}/`;
    files = createServer(({ url = "" }, answer) => {
      const { pathname } = new URL(url, pages);
      const isScript = pathname.endsWith(".js");
      answer.setHeader("content-type", isScript ? "text/javascript" : "text/html");
      answer.end(isScript ? readFileSync(join(dist, pathname)) : PAGE);
    });
    await new Promise<void>((done) => files.listen(port, "127.0.0.1", done));
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
    server = await realServer();
    await server.start();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    files?.close();
    rmSync(dist, { recursive: true, force: true });
  });

  beforeEach(async () => {
    context = await browser.newContext();
  });

  afterEach(() => context.close());

  const open = async (
    id: string,
    transport: string,
    more: { readonly server?: string; readonly tokens?: string } = {},
  ): Promise<{ page: Page; loaded: () => string[] }> => {
    const page = await context.newPage();
    const loaded: string[] = [];
    page.on("request", (request) => {
      const [, name] = /^.*\/(\w+)\.js$/u.exec(request.url()) ?? [];
      if (name) loaded.push(name);
    });
    await page.goto(`${pages}?${new URLSearchParams({ server: server.url, transport, id, name: id, ...more })}`);
    await expect.poll(() => page.evaluate("room.snapshot.status.kind")).toBe("live");
    return { page, loaded: () => [...loaded].sort() };
  };

  test.each(TRANSPORTS)("loads over %s what it needs, when it needs it", async (transport) => {
    const first = transport === "ws" ? ["index"] : ["events", "index", "request", "stream"];
    const [ann, bob] = [await open("ann", transport), await open("bob", transport)];
    await expect.poll(() => ann.page.evaluate("room.others.length")).toBe(1);
    await ann.page.evaluate(`room.update({ tool: "pen" }), room.cursor({ x: 1, y: 2 })`);
    await expect.poll(() => bob.page.evaluate("room.others[0].sessions[0].state.tool")).toBe("pen");
    await expect.poll(() => bob.page.evaluate("room.snapshot.cursors[0]?.cursor.y")).toBe(2);
    expect([ann.loaded(), bob.loaded()]).toEqual([first, first]);

    const sent = bob.page.evaluate(`room.send("hello").then(({ delivery }) => delivery.state)`);
    await expect.poll(() => ann.page.evaluate("room.snapshot.messages.map(({ data }) => data)")).toEqual(["hello"]);
    expect(await sent).toBe("stored");
    const talk = ["message", "post", "shapes"];
    expect([ann.loaded(), bob.loaded()]).toEqual([[...first, ...talk].sort(), [...first, ...talk].sort()]);

    await ann.page.evaluate(`client.watch(["bob"], ({ status }) => got.push(status))`);
    await expect.poll(() => ann.page.evaluate("got")).toEqual(["online"]);
    expect(ann.loaded()).toEqual([...first, ...talk, "directory"].sort());

    await ann.page.evaluate(`
      Object.defineProperty(document, "hidden", { value: true });
      document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    `);
    await expect.poll(() => bob.page.evaluate("room.others[0].status")).toBe("away");
    expect(ann.loaded()).toEqual([...first, ...talk, "directory", "upkeep"].sort());
    expect(await ann.page.evaluate("errors")).toEqual([]);
  });

  test.each(["react.js", "parts.js"])("says in %s that it is for pages", (file) => {
    expect(readFileSync(join(dist, file), "utf8")).toMatch(/^"use client";/u);
  });

  test("asks for tokens in time", async () => {
    const guarded = await realServer("--token-secret", SECRET, "--allowed-origins", new URL(pages).origin);
    await guarded.start();
    try {
      const tokens = [token("ann", 14), token("ann", 600)].join(" ");
      const { page, loaded } = await open("ann", "ws", { server: guarded.url, tokens });
      expect(loaded()).toEqual(["claims", "credentials", "index"]);
      await expect.poll(() => page.evaluate("left.length")).toBe(0);
      await page.evaluate(`room.send("still here")`);
      expect(await page.evaluate("errors")).toEqual([]);
      expect(await page.evaluate("client.connection.snapshot.status")).toBe("live");
    } finally {
      await guarded.stop();
    }
  });

  test("shows who is there also when the rest of it does not load", async () => {
    const bob = await open("bob", "ws");
    const ann = await open("ann", "ws");
    await ann.page.route("**/post.js", (route) => route.abort());
    await bob.page.evaluate(`room.send("hello")`);
    await expect.poll(() => ann.page.evaluate("errors")).toContain("not loaded");
    await bob.page.evaluate("room.update({ n: 1 })");
    await expect.poll(() => ann.page.evaluate("room.others[0].sessions[0].state.n")).toBe(1);
    expect(await ann.page.evaluate("client.connection.snapshot.status")).toBe("live");
    await ann.page.unroute("**/post.js");
    await expect.poll(() => ann.page.evaluate("room.snapshot.messages.length"), { timeout: 30_000 }).toBe(1);
  });
});
