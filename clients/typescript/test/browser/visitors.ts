// People at the page that the server carries along: each in a browser of their own, as far as storage and connections go.
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Locator,
  type Page,
} from "playwright-core";
import { expect } from "vitest";
import type { TransportKind } from "../../src/index.ts";

export const TRANSPORTS: readonly TransportKind[] = ["ws", "sse"];

export const CHROMIUM: string = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** What browsers say of a server that is not there, whatever the page does about it. */
const OUTAGE = /net::ERR_|^WebSocket connection to /u;

export interface Visit {
  readonly room?: string;
  readonly transport?: TransportKind;
  /** How rooms are shown: as crowds, of which only a part is read. */
  readonly view?: "crowd";
  /** Whether the server will be away for a while, which a browser complains of by itself. */
  readonly outage?: boolean;
  readonly context?: BrowserContextOptions;
  /** What is done with the tab before the page is opened. */
  readonly prepare?: (page: Page) => Promise<void>;
}

export interface Visitors {
  /** Opens the page as that user. */
  readonly visit: (url: string, user: string, visit?: Visit) => Promise<Page>;
  /** Everybody goes, and nobody's page may have complained. */
  readonly goodbye: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function visitors(): Promise<Visitors> {
  const browser: Browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  const contexts: BrowserContext[] = [];
  let complaints: string[] = [];
  return {
    async visit(url, user, { outage = false, context: options = {}, prepare, ...where } = {}) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
      contexts.push(context);
      const page = await context.newPage();
      page.on("pageerror", (error) => complaints.push(`${user}: ${error}`));
      page.on("console", (message) => {
        if (!(outage && OUTAGE.test(message.text()))) complaints.push(`${user}: ${message.text()}`);
      });
      await prepare?.(page);
      await page.goto(addressOf(url, user, where));
      await isLive(page);
      return page;
    },
    async goodbye() {
      const said = complaints;
      // Of what they complain while they are torn down nobody hears.
      complaints = [];
      await Promise.all(contexts.splice(0).map((context) => context.close()));
      expect(said).toEqual([]);
    },
    close: () => browser.close(),
  };
}

type Where = Pick<Visit, "room" | "transport" | "view">;

export function addressOf(url: string, user: string, { room = "lobby", ...more }: Where = {}): string {
  const query = new URLSearchParams({ user, room, ...more });
  return `${url}/?${query}`;
}

export async function isLive(page: Page): Promise<void> {
  await page.locator("header [data-presence=connection][data-status=live]").waitFor();
}

// What is on the page.

export function peopleIn(page: Page): Locator {
  return page.getByRole("list", { name: "People here now" }).getByRole("listitem");
}

export function personIn(page: Page, name: string): Locator {
  return peopleIn(page).filter({ has: page.getByText(name, { exact: true }) });
}

export function feedOf(page: Page): Locator {
  return page.getByRole("log", { name: "Messages" });
}

export function membersIn(page: Page): Locator {
  return page.getByRole("list", { name: "Members of this room" }).getByRole("listitem");
}

/** What the others' messages say, and this one's own, in their order. */
export function saidIn(page: Page): Promise<string[]> {
  return feedOf(page).locator(".message > p").allTextContents();
}

/** Who came and who left, as the page has told. */
export function noticesIn(page: Page): Promise<string[]> {
  return feedOf(page).locator(".notice").allTextContents();
}

export function seeCount(page: Page, count: number): Promise<void> {
  return expect.poll(() => peopleIn(page).count(), { message: `${count} are here` }).toBe(count);
}

// What people do.

export async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Write a message").fill(text);
  await page.getByRole("button", { name: "Send", exact: true }).last().click();
}

/** Points at a place of the shared space, in fractions of it. */
export async function point(page: Page, x: number, y: number): Promise<void> {
  const box = await page.getByRole("region", { name: "Shared space" }).boundingBox();
  if (!box) throw new Error("there is no shared space");
  await page.mouse.move(box.x + box.width * x, box.y + box.height * y);
}

/** From now on, keeps in mind the smallest number of people that the page has shown. */
export async function watchForGaps(page: Page): Promise<() => Promise<number>> {
  const roster = page.getByRole("list", { name: "People here now" });
  await roster.evaluate((list) => {
    const note = (): void => {
      const fewest = Math.min(Number(list.dataset["fewest"] ?? Number.POSITIVE_INFINITY), list.childElementCount);
      list.dataset["fewest"] = String(fewest);
    };
    note();
    new MutationObserver(note).observe(list, { childList: true });
  });
  return async () => Number(await roster.getAttribute("data-fewest"));
}
