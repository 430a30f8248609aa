// A room as a crowd on the page: everybody can be scrolled to, and only what is near is read.
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Client, createClient } from "../../src/index.ts";
import { type RealServer, realServer } from "../e2e/server.ts";
import { peopleIn, personIn, saidIn, say, TRANSPORTS, type Visitors, visitors } from "./visitors.ts";

const CROWD = 150;

let crowd: Visitors;
let server: RealServer;
const members: Client[] = [];

beforeAll(async () => {
  // So large that only a window is let in.
  [crowd, server] = await Promise.all([visitors(), realServer("--exact-users-max", "100")]);
  await server.start();
  const enter = async (at: number): Promise<void> => {
    const name = `Member ${String(at).padStart(3, "0")}`;
    const client = createClient({ url: server.url, user: { id: name.replace(" ", "-"), name }, transport: "ws" });
    const room = client.room("hall", { enter: false });
    members.push(client);
    await room.window({ from: 0, count: 1 });
  };
  await Promise.all(Array.from({ length: CROWD }, (_, at) => enter(at)));
});
afterAll(async () => {
  for (const client of members) client.disconnect({ permanent: true });
  await crowd?.close();
  await server?.kill();
});
afterEach(() => crowd.goodbye());

const scroll = (page: Page, row: number): Promise<void> =>
  page.getByRole("region", { name: "Everybody" }).evaluate((list, top) => list.scrollTo({ top }), row * 44);

describe.each(TRANSPORTS)("over %s", (transport) => {
  test("a crowd scrolls from the first to the last, and says how many are there", async () => {
    const ann = await crowd.visit(server.url, "Aaron", { room: "hall", transport, view: "crowd" });
    await personIn(ann, "Member 000").waitFor();
    const total = members.length + 1;
    await expect.poll(() => ann.title()).toBe(`${total} in hall · Presence`);
    expect(await peopleIn(ann).count()).toBe(60);
    expect(await personIn(ann, "Aaron").getByText("you").count()).toBe(1);
    for (let row = 0; row <= total; row += 3) await scroll(ann, row);
    await personIn(ann, `Member ${CROWD - 1}`).waitFor();
    expect(await personIn(ann, `Member ${CROWD - 1}`).getAttribute("aria-posinset")).toBe(String(total));
    expect(await personIn(ann, "Member 000").count()).toBe(0);
    await scroll(ann, 0);
    await personIn(ann, "Member 000").waitFor();

    const bea = await crowd.visit(server.url, "Bea", { room: "hall", transport, view: "crowd" });
    await personIn(ann, "Bea").waitFor();
    await expect.poll(() => ann.title()).toBe(`${total + 1} in hall · Presence`);
    await say(bea, `Hello over ${transport}`);
    await expect.poll(() => saidIn(ann)).toContain(`Hello over ${transport}`);
    await bea.context().close();
    await expect.poll(() => ann.title(), { timeout: 30_000 }).toBe(`${total} in hall · Presence`);
    await expect.poll(() => personIn(ann, "Bea").count()).toBe(0);
  });

  test("a room is shown as a crowd and as a whole, by the links", async () => {
    const ann = await crowd.visit(server.url, "Ann", { room: `small-${transport}`, transport });
    await personIn(ann, "Ann").waitFor();
    await ann.getByRole("link", { name: "As a crowd" }).click();
    await ann.getByText("rows 1 to 1 are read").waitFor();
    await personIn(ann, "Ann").waitFor();
    await ann.getByRole("link", { name: "Read the whole room" }).click();
    await ann.getByRole("region", { name: "Shared space" }).waitFor();
    await personIn(ann, "Ann").waitFor();
    expect(new URL(ann.url()).searchParams.get("user")).toBe("Ann");
  });
});
