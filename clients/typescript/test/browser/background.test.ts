// A tab in the background for five minutes stays present, whatever the browser does to its timers.
//
// The tab is hidden for real: another tab of the same window is in front, and nobody tells the page otherwise, as the
// tools of tests like to do. So the browser lets its timers run once a second, and later, if it finds nothing that it
// excepts (it does find an open WebSocket), once a minute. That begins after five minutes; `IntensiveWakeUpThrottling`
// brings it forward, and the server's heartbeat and patience are a twentieth of what they usually are: fifteen seconds
// have as many heartbeats as five minutes do.
// With BACKGROUND_MINUTES=6 it takes that many real minutes, and everything is as usual.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, expect, test } from "vitest";
import { realServer } from "../e2e/server.ts";
import {
  addressOf,
  CHROMIUM,
  isLive,
  noticesIn,
  personIn,
  seeCount,
  TRANSPORTS,
  visitors,
  watchForGaps,
} from "./visitors.ts";

const minutes = Number(process.env["BACKGROUND_MINUTES"] ?? 0);
const HIDDEN_FOR = minutes > 0 ? minutes * 60_000 : 20_000;
const SERVER =
  minutes > 0
    ? []
    : ["--heartbeat-ms", "1250", "--heartbeat-timeout-ms", "500", "--grace-ms", "750", "--going-away-grace-ms", "150"];
const BROWSER = minutes > 0 ? [] : ["--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/1"];

const ends: (() => unknown)[] = [];
afterAll(async () => {
  for (const end of ends.reverse()) await end();
});

/** A browser with a window of tabs, to which nothing is done that makes tests easier. */
async function plainBrowser(): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), "presence-browser-"));
  ends.push(() => rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }));
  const flags = ["--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking", ...BROWSER];
  const own = [...flags, "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"];
  // A group of its own: what it has started would go on writing into its folder for a while.
  const child = spawn(CHROMIUM, own, { detached: true });
  const gone = new Promise((done) => child.once("close", done));
  ends.push(() => {
    if (child.pid) process.kill(-child.pid, "SIGKILL");
    return gone;
  });
  const endpoint = await new Promise<string>((done, fail) => {
    let said = "";
    child.stderr.on("data", (text) => {
      said += text;
      const found = /listening on (ws:\S+)/u.exec(said)?.[1];
      if (found) done(found);
    });
    child.once("exit", () => fail(new Error(said)));
  });
  return chromium.connectOverCDP(endpoint, { noDefaults: true });
}

/** Counts how often a timer of the page runs that wants to run ten times a second. */
async function countTicks(page: Page): Promise<() => Promise<number>> {
  await page.evaluate(() => {
    const tick = (): void => {
      document.body.dataset["ticks"] = String(Number(document.body.dataset["ticks"] ?? 0) + 1);
      setTimeout(tick, 100);
    };
    tick();
  });
  return async () => Number(await page.locator("body").getAttribute("data-ticks"));
}

test(
  "a tab in the background stays present",
  async () => {
    const server = await realServer(...SERVER);
    await server.start();
    ends.push(server.stop);
    const crowd = await visitors();
    ends.push(crowd.close);
    const bob = await crowd.visit(server.url, "Bob");
    const browser = await plainBrowser();
    ends.push(() => browser.close());
    const [context] = browser.contexts();
    if (!context) throw new Error("there is no window");

    const tabs = await Promise.all(
      TRANSPORTS.map(async (transport) => {
        const page = await context.newPage();
        await page.goto(addressOf(server.url, `Over ${transport}`, { transport }));
        await isLive(page);
        const states = await recordStates(page);
        return { page, states, ticks: await countTicks(page) };
      }),
    );
    await seeCount(bob, 3);
    const fewest = await watchForGaps(bob);
    await (await context.newPage()).bringToFront();
    for (const { page } of tabs) await expect.poll(() => page.evaluate(() => document.visibilityState)).toBe("hidden");
    for (const transport of TRANSPORTS)
      await personIn(bob, `Over ${transport}`).getByRole("img", { name: "away" }).waitFor();
    const before = await Promise.all(tabs.map(({ ticks }) => ticks()));
    // This is what is tested: that time passes.
    await new Promise((done) => setTimeout(done, HIDDEN_FOR));

    expect(await fewest()).toBe(3);
    expect((await noticesIn(bob)).filter((notice) => notice.includes("left"))).toEqual([]);
    for (const [at, { page, states, ticks }] of tabs.entries()) {
      const ran = (await ticks()) - (before[at] ?? 0);
      expect(ran).toBeLessThan(HIDDEN_FOR / 1_000 + 5);
      expect(await states()).toEqual(["live"]);
      await page.bringToFront();
      await personIn(bob, `Over ${TRANSPORTS[at]}`).getByRole("img", { name: "online" }).waitFor();
    }
    await crowd.goodbye();
  },
  HIDDEN_FOR + 60_000,
);

/** All states that the connection has had from now on. */
async function recordStates(page: Page): Promise<() => Promise<string[]>> {
  const indicator = page.locator("header [data-presence=connection]");
  await indicator.evaluate((element) => {
    const note = (): void => {
      const seen = (element.getAttribute("data-seen") ?? "").split(" ").filter(Boolean);
      const now = element.getAttribute("data-status") ?? "";
      if (seen.at(-1) !== now) element.setAttribute("data-seen", [...seen, now].join(" "));
    };
    note();
    new MutationObserver(note).observe(element, { attributeFilter: ["data-status"] });
  });
  return async () => ((await indicator.getAttribute("data-seen")) ?? "").split(" ");
}
