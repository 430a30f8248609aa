// What people see of each other on the page, in a real browser, through a real server, over either transport.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { networkTo } from "../e2e/proxy.ts";
import { type RealServer, realServer } from "../e2e/server.ts";
import {
  feedOf,
  isLive,
  membersIn,
  noticesIn,
  peopleIn,
  personIn,
  point,
  saidIn,
  say,
  seeCount,
  TRANSPORTS,
  type Visitors,
  visitors,
  watchForGaps,
} from "./visitors.ts";

let crowd: Visitors;
beforeAll(async () => {
  crowd = await visitors();
});
afterAll(() => crowd?.close());

describe.each(TRANSPORTS)("over %s", (transport) => {
  let server: RealServer;
  let rooms = 0;
  let room: string;
  beforeAll(async () => {
    server = await realServer("--going-away-grace-ms", "1500");
    await server.start();
  });
  afterAll(() => server?.stop());
  afterEach(() => crowd.goodbye());

  const visit = (user: string, where = room): Promise<Page> =>
    crowd.visit(server.url, user, { room: where, transport });
  const meet = async (): Promise<[Page, Page]> => {
    rooms += 1;
    room = `journey-${rooms}`;
    const pages = [await visit("Ann"), await visit("Bob")] as const;
    await Promise.all(pages.map((page) => seeCount(page, 2)));
    return [...pages];
  };

  test("two people see each other come, type, say something, and leave", async () => {
    const [ann, bob] = await meet();
    expect(await ann.title()).toBe(`2 in ${room} · Presence`);
    expect(await noticesIn(ann)).toContain("Bob came in");
    await ann
      .locator("header")
      .getByText(/^\d+ ms$/u)
      .waitFor();
    await bob.getByLabel("Write a message").pressSequentially("Hello");
    await ann.getByText("is typing…").waitFor();
    await bob.keyboard.press("Enter");
    await bob.getByText("· Stored").waitFor();
    await expect.poll(() => saidIn(ann)).toEqual(["Hello"]);
    await expect.poll(() => ann.getByText("is typing…").count()).toBe(0);
    await bob.context().close();
    await seeCount(ann, 1);
    await expect.poll(() => noticesIn(ann)).toContain("Bob left");
  });

  test("cursors move, with names, and go with the pointer", async () => {
    const [ann, bob] = await meet();
    const cursor = bob.locator("[data-presence=cursor]");
    const arrow = cursor.locator("[data-presence=arrow]");
    const stage = await bob.getByRole("region", { name: "Shared space" }).boundingBox();
    for (const [x, y] of [
      [0.25, 0.5],
      [0.75, 0.2],
    ] as const) {
      await point(ann, x, y);
      await expect
        .poll(async () => {
          const at = await arrow.boundingBox();
          if (!at || !stage) return null;
          return [at.x - stage.x - stage.width * x, at.y - stage.y - stage.height * y].every((d) => Math.abs(d) < 3);
        })
        .toBe(true);
    }
    expect(await cursor.textContent()).toBe("Ann");
    await ann.getByLabel("Write a message").hover();
    await expect.poll(() => cursor.count()).toBe(0);
  });

  test("a reload is seen by nobody, and finds what was said", async () => {
    const [ann, bob] = await meet();
    await say(bob, "Before");
    await bob.getByText("· Stored").waitFor();
    const fewest = await watchForGaps(ann);
    await bob.reload();
    await isLive(bob);
    await seeCount(bob, 2);
    await expect.poll(() => saidIn(bob)).toEqual(["Before"]);
    // A third one comes and goes: when that is told, the leave of the reload would have been.
    const eve = await visit("Eve");
    await seeCount(ann, 3);
    await eve.context().close();
    await expect.poll(() => noticesIn(ann)).toContain("Eve left");
    expect((await noticesIn(ann)).filter((notice) => notice.startsWith("Bob"))).toEqual(["Bob came in"]);
    expect(await fewest()).toBe(2);
    expect(await peopleIn(ann).count()).toBe(2);
  });

  test("an invitation comes live, and is accepted and declined live", async () => {
    const [ann, bob] = await meet();
    const elsewhere = await visit("Cleo", "elsewhere");
    await ann.getByRole("button", { name: "Become a member" }).click();
    await expect.poll(() => membersIn(ann).count()).toBe(1);
    await ann.getByRole("button", { name: "Invite Bob" }).click();
    await ann.getByLabel("Invite", { exact: true }).fill("Cleo");
    await ann.keyboard.press("Enter");
    await expect.poll(() => membersIn(ann).filter({ hasText: "invited" }).count()).toBe(2);

    await bob.getByRole("region", { name: "Invitations" }).getByText("Ann invites you").waitFor();
    await bob.getByRole("button", { name: "Decline" }).click();
    await expect.poll(() => bob.getByText("Ann invites you").count()).toBe(0);

    await elsewhere.getByRole("button", { name: "Accept and enter" }).click();
    await seeCount(ann, 3);
    await expect
      .poll(() => membersIn(ann).filter({ hasText: "Cleo" }).getByRole("img", { name: "online" }).count())
      .toBe(1);
    await expect.poll(() => membersIn(elsewhere).count()).toBe(2);
    expect(new URL(elsewhere.url()).searchParams.get("room")).toBe(room);
    // Back is where she came from.
    await elsewhere.goBack();
    await expect.poll(() => elsewhere.title()).toBe("1 in elsewhere · Presence");
  });

  test("a name changes live, everywhere", async () => {
    const [ann, bob] = await meet();
    await bob.getByLabel("Name").fill("Bo");
    await bob.getByRole("button", { name: "Rename" }).click();
    await bob.getByRole("alert").filter({ hasText: "at least 3 characters" }).waitFor();
    await bob.getByLabel("Name").fill("Roberta");
    await bob.keyboard.press("Enter");
    await personIn(ann, "Roberta").waitFor();
    await point(bob, 0.5, 0.5);
    await expect.poll(() => ann.locator("[data-presence=cursor-name]").textContent()).toBe("Roberta");
    await expect.poll(() => bob.getByLabel("Name").inputValue()).toBe("Roberta");
    await bob.reload();
    await personIn(bob, "Roberta").waitFor();
  });

  test("names and messages are text, whatever they say", async () => {
    await meet();
    const hostile = `<img src=x onerror="document.title='taken'">`;
    const mallory = await visit(hostile);
    await say(mallory, hostile);
    const ann = await visit("Ann");
    await personIn(ann, hostile).waitFor();
    await expect.poll(() => saidIn(ann)).toContain(hostile);
    expect(await ann.locator("img").count()).toBe(0);
    expect(await ann.title()).toContain(room);
  });
});

describe.each(TRANSPORTS)("accidents, over %s", (transport) => {
  afterEach(() => crowd.goodbye());

  test("what is said offline goes out once and in order, after coming back", async () => {
    const server = await realServer();
    await server.start();
    const network = await networkTo(server.url);
    try {
      const ann = await crowd.visit(network.url, "Ann", { transport, outage: true });
      const bob = await crowd.visit(server.url, "Bob", { transport });
      await seeCount(ann, 2);
      const fewest = await watchForGaps(bob);
      network.fail();
      await ann.context().setOffline(true);
      await ann.getByRole("region", { name: "Connection" }).getByText("No network").waitFor();
      for (const text of ["one", "two", "three"]) await say(ann, text);
      await expect.poll(() => ann.getByText("Sending…").count()).toBe(3);
      await ann.getByText("3 messages are waiting").first().waitFor();
      await say(bob, "meanwhile");
      expect(await peopleIn(ann).count()).toBe(2);

      network.heal();
      await ann.context().setOffline(false);
      await expect.poll(() => saidIn(bob)).toEqual(["meanwhile", "one", "two", "three"]);
      await expect.poll(() => saidIn(ann)).toEqual(["meanwhile", "one", "two", "three"]);
      await expect.poll(() => feedOf(ann).getByText("· Stored").count()).toBe(3);
      await expect.poll(() => ann.locator("[data-presence=offline]").count()).toBe(0);
      expect(await fewest()).toBe(2);
      expect((await noticesIn(bob)).filter((notice) => notice.includes("left"))).toEqual([]);
    } finally {
      await network.close();
      await server.stop();
    }
  });

  test("a restart of the server is seen by nobody", async () => {
    const folder = mkdtempSync(join(tmpdir(), "presence-"));
    const server = await realServer("--data-dir", folder);
    await server.start();
    try {
      const pages = [
        await crowd.visit(server.url, "Ann", { transport, outage: true }),
        await crowd.visit(server.url, "Bob", { transport, outage: true }),
      ] as const;
      const [ann, bob] = pages;
      await Promise.all(pages.map((page) => seeCount(page, 2)));
      await say(bob, "Before");
      await bob.getByText("· Stored").waitFor();
      const before = await Promise.all(pages.map(noticesIn));
      const gaps = await Promise.all(pages.map(watchForGaps));
      await server.stop();
      await Promise.all(pages.map((page) => page.locator("header [data-stale=true]").waitFor()));
      await say(ann, "While it was away");
      await server.start();
      await Promise.all(pages.map(isLive));
      await expect.poll(() => saidIn(bob)).toEqual(["Before", "While it was away"]);
      expect(await Promise.all(gaps.map((fewest) => fewest()))).toEqual([2, 2]);
      expect(await Promise.all(pages.map(noticesIn))).toEqual(before);
    } finally {
      await server.stop();
      rmSync(folder, { recursive: true });
    }
  });
});

test("a tab over an event stream and one over a WebSocket see each other", async () => {
  const server = await realServer();
  await server.start();
  try {
    const ann = await crowd.visit(server.url, "Ann", { transport: "sse" });
    const bob = await crowd.visit(server.url, "Bob", { transport: "ws" });
    await Promise.all([seeCount(ann, 2), seeCount(bob, 2)]);
    for (const [one, other] of [
      [ann, bob],
      [bob, ann],
    ] as const) {
      await point(one, 0.5, 0.5);
      await one.getByLabel("Write a message").pressSequentially("Hm");
      await other.getByText("is typing…").waitFor();
      await expect.poll(() => other.locator("[data-presence=cursor]").count()).toBe(1);
      await one.keyboard.press("Enter");
      await expect.poll(() => saidIn(other)).toContain("Hm");
    }
    await crowd.goodbye();
  } finally {
    await server.stop();
  }
});

test("a message that is refused can be sent again, or forgotten", async () => {
  const server = await realServer();
  await server.start();
  let refuses = true;
  try {
    const ann = await crowd.visit(server.url, "Ann", {
      transport: "ws",
      // The server has hardly a reason to refuse what this page sends, so somebody between them does.
      prepare: (page) =>
        page.routeWebSocket(/\/ws/u, (near) => {
          const far = near.connectToServer();
          near.onMessage((text) => {
            const said: { type?: string; ref?: string } = JSON.parse(String(text));
            if (!refuses || said.type !== "message") return far.send(text);
            const { ref } = said;
            near.send(JSON.stringify({ type: "error", code: "forbidden", message: "not in this room", ref }));
          });
        }),
    });
    for (const text of ["one", "two"]) await say(ann, text);
    const failed = feedOf(ann).getByText("Not sent: not in this room");
    await expect.poll(() => failed.count()).toBe(2);
    await ann.getByRole("button", { name: "Discard" }).first().click();
    await expect.poll(() => saidIn(ann)).toEqual(["two"]);
    refuses = false;
    await ann.getByRole("button", { name: "Send again" }).click();
    await ann.getByText("· Stored").waitFor();
    expect(await saidIn(ann)).toEqual(["two"]);
    await crowd.goodbye();
  } finally {
    await server.stop();
  }
});
