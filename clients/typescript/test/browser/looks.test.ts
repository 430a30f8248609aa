// The page as it looks: axe finds nothing in any of its states, in light and dark, on a desk and in a hand; and pictures of
// it for the documents, which are only made if UPDATE_SCREENSHOTS is set.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type axe from "axe-core";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type RealServer, realServer } from "../e2e/server.ts";
import { feedOf, membersIn, personIn, point, say, seeCount, type Visit, type Visitors, visitors } from "./visitors.ts";

declare global {
  interface Window {
    readonly axe: typeof axe;
  }
}

const root = join(import.meta.dirname, "..", "..");
const AXE = readFileSync(join(root, "node_modules/axe-core/axe.min.js"), "utf8");
const PICTURES = join(root, "../../docs/images");

let crowd: Visitors;
let server: RealServer;
beforeAll(async () => {
  [crowd, server] = await Promise.all([visitors(), realServer("--typing-ms", "600000")]);
  await server.start();
});
afterAll(async () => {
  await crowd?.close();
  await server?.stop();
});
afterEach(() => crowd.goodbye());

/** What axe finds: all that is wrong, however little, and what it is not sure of. */
async function faultsOf(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { violations, incomplete, passes } = await window.axe.run(document);
    if (!passes.some(({ id }) => id === "color-contrast")) return ["axe did not look at colours"];
    // Others may point at this text, so whether it can be read is not for axe to say.
    const isUnderCursors = ({ target }: axe.NodeResult): boolean =>
      document.querySelector(target.join(" "))?.closest(".hint") != null;
    return [
      ...violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`)),
      ...incomplete.flatMap(({ id, nodes }) =>
        nodes.filter((node) => !isUnderCursors(node)).map(({ html }) => `${id}, perhaps: ${html}`),
      ),
    ];
  });
}

const LOOKS: readonly (readonly [string, NonNullable<Visit["context"]>])[] = [
  ["light", { colorScheme: "light" }],
  ["dark", { colorScheme: "dark" }],
  ["in a hand", { colorScheme: "light", viewport: { width: 390, height: 844 } }],
];

describe.each(LOOKS)("%s", (name, look) => {
  // Without motion nothing is half transparent while axe looks.
  const context = { ...look, reducedMotion: "reduce" } as const;

  test("axe finds nothing in a company, with an invitation", async () => {
    const room = `company-${name.replaceAll(" ", "-")}`;
    const guest = `Guest ${name}`;
    const ann = await crowd.visit(server.url, "Ann", { room, context });
    expect(await faultsOf(ann)).toEqual([]);
    const bob = await crowd.visit(server.url, guest, { room, context });
    await seeCount(ann, 2);
    await ann.getByRole("button", { name: "Become a member" }).click();
    await ann.getByRole("button", { name: `Invite ${guest}` }).click();
    await bob.getByText("Ann invites you").waitFor();
    await say(bob, "Hello");
    await say(ann, "Hello yourself");
    await point(bob, 0.1, 0.1);
    await bob.getByLabel("Write a message").fill("…");
    await ann.getByText("is typing…").waitFor();
    expect(await faultsOf(ann)).toEqual([]);
    expect(await faultsOf(bob)).toEqual([]);
  });

  test("axe finds nothing in a crowd", async () => {
    const ann = await crowd.visit(server.url, "Ann", { room: "crowd", view: "crowd", context });
    await personIn(ann, "Ann").waitFor();
    expect(await faultsOf(ann)).toEqual([]);
  });

  test("axe finds nothing while there is no connection", async () => {
    const ann = await crowd.visit(server.url, "Ann", {
      room: `alone-${name.replaceAll(" ", "-")}`,
      context,
      outage: true,
    });
    await say(ann, "Hello");
    await feedOf(ann).getByText("· Stored").waitFor();
    await ann.context().setOffline(true);
    await ann.getByRole("region", { name: "Connection" }).waitFor();
    await say(ann, "Are you there?");
    await ann.getByText("Sending…").waitFor();
    expect(await faultsOf(ann)).toEqual([]);
  });
});

test("all of the page is reached by keys, in the order in which it is read", async () => {
  const ann = await crowd.visit(server.url, "Ann", { room: "keys" });
  const reached: string[] = [];
  for (let key = 0; key < 8; key += 1) {
    await ann.keyboard.press("Tab");
    reached.push(await ann.evaluate(() => document.activeElement?.id || document.activeElement?.textContent || ""));
  }
  expect(reached.slice(0, 5)).toEqual(["room", "Open a second tab", "As a crowd", "Become a member", "name"]);
});

const pictures = process.env["UPDATE_SCREENSHOTS"] ? describe : describe.skip;

pictures("pictures", () => {
  test.each(["light", "dark"] as const)("of a company, %s", async (colorScheme) => {
    const room = colorScheme === "light" ? "atlas" : "charts";
    const context = { colorScheme, viewport: { width: 1200, height: 700 }, reducedMotion: "reduce" } as const;
    const visit = (user: string): Promise<Page> => crowd.visit(server.url, user, { room, context });
    const ada = await visit("Ada Lovelace");
    const grace = await visit("Grace Hopper");
    await grace.getByRole("button", { name: "Become a member" }).click();
    await expect.poll(() => membersIn(grace).count()).toBe(1);
    for (const guest of ["Ada Lovelace", "Emmy Noether"]) {
      await grace.getByLabel("Invite", { exact: true }).fill(guest);
      await grace.keyboard.press("Enter");
      await membersIn(grace).filter({ hasText: guest }).waitFor();
    }
    await ada.getByRole("button", { name: "Accept and enter" }).click();
    const katherine = await visit("Katherine Johnson");
    await seeCount(grace, 3);
    await say(ada, "The second table has a column too many.");
    await say(grace, "Found it. I am at the bottom of the page.");
    await point(ada, 0.28, 0.34);
    await point(katherine, 0.62, 0.6);
    await katherine.getByLabel("Write a message").fill("That");
    await personIn(grace, "Ada Lovelace").waitFor();
    await grace.getByText("is typing…").waitFor();
    await expect.poll(() => grace.locator("[data-presence=cursor]").count()).toBe(2);
    await feedOf(grace).getByText("· Stored").waitFor();
    await membersIn(grace).filter({ hasText: "Ada Lovelace" }).getByRole("img", { name: "online" }).waitFor();
    mkdirSync(PICTURES, { recursive: true });
    await grace.screenshot({ path: join(PICTURES, `page-${colorScheme}.png`) });
  });
});
