// All parts with their stylesheet in a real browser: what axe finds, keys, motion, and pictures if they are asked for.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type axe from "axe-core";
import { type Browser, chromium, type Page } from "playwright-core";
import { build } from "vite";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Scene, scenes } from "../browser/parts-page.tsx";

declare global {
  interface Window {
    readonly axe: typeof axe;
  }
}

const root = join(import.meta.dirname, "..", "..");
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
/** A folder for pictures of the page; none are made without one. */
const pictures = process.env.PICTURES;
const text = (...path: string[]): string => readFileSync(join(root, ...path), "utf8");

async function bundle(): Promise<string> {
  const built = await build({
    root,
    configFile: false,
    logLevel: "silent",
    oxc: { jsx: { runtime: "automatic", development: false } },
    define: { "process.env.NODE_ENV": JSON.stringify("production") },
    build: {
      write: false,
      lib: { entry: join(root, "test/browser/parts-main.tsx"), formats: ["iife"], name: "page", fileName: "page" },
    },
  });
  const outputs = Array.isArray(built) ? built : [built];
  for (const one of outputs) {
    if (!("output" in one)) continue;
    for (const file of one.output) if (file.type === "chunk") return file.code;
  }
  throw new Error("nothing was built");
}

describe.skipIf(!existsSync(executablePath))("the parts in a browser", () => {
  let browser: Browser;
  let script: string;
  let html: string;
  /** What a page has said on its console. */
  let complaints: string[] = [];

  beforeAll(async () => {
    script = await bundle();
    const styles = text("src/react/parts/parts.css") + text("test/browser/parts-page.css");
    html = `<!doctype html><html lang="en"><title>Parts</title><meta name="viewport" content="width=device-width">
      <style>${styles}</style><body></body></html>`;
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  });

  afterEach(() => {
    const said = complaints;
    complaints = [];
    expect(said).toEqual([]);
  });

  afterAll(async () => {
    await browser?.close();
  });

  async function open(options: Parameters<Browser["newPage"]>[0], scene: Scene): Promise<Page> {
    const page = await browser.newPage({ viewport: { width: 960, height: 640 }, deviceScaleFactor: 2, ...options });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => complaints.push(message.text()));
    await page.setContent(html);
    await page.addScriptTag({ content: script });
    await page.evaluate((one) => window.parts.play(one), scene);
    const banner = page.locator("[data-presence=offline]");
    await banner.waitFor({ state: scene === "waiting" || scene === "closed" ? "visible" : "detached" });
    return page;
  }

  test.each(
    scenes.flatMap((scene) => (["light", "dark"] as const).map((colorScheme) => [scene, colorScheme] as const)),
  )("axe finds nothing: %s, %s", async (scene, colorScheme) => {
    // Without motion nothing is half transparent while axe looks.
    const page = await open({ colorScheme, reducedMotion: "reduce" }, scene);
    await page.addScriptTag({ content: text("node_modules/axe-core/axe.min.js") });
    const { violations, incomplete, passes } = await page.evaluate(() => window.axe.run(document));
    const told = [...violations, ...incomplete].flatMap(({ id, nodes }) =>
      nodes.map(({ html, any }) => `${id}: ${html} ${any.map((check) => check.message).join()}`),
    );
    // Of what is under cursors it can not be sure.
    expect(told.filter((one) => !one.includes("Point somewhere."))).toEqual([]);
    expect(passes.map(({ id }) => id)).toContain("color-contrast");
    if (pictures) {
      mkdirSync(pictures, { recursive: true });
      await page.screenshot({ path: join(pictures, `parts-${scene}-${colorScheme}.png`) });
    }
    await page.close();
  });

  test("keys reach the button, and press it", async () => {
    const page = await open({}, "waiting");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    const retry = page.locator("header [data-presence=retry]");
    expect(await retry.evaluate((button) => button === document.activeElement)).toBe(true);
    expect(await page.evaluate(() => window.parts.said.at(-1))).toBe("retry");
    await page.close();
  });

  test("cursors glide, unless motion is not wanted", async () => {
    const glide = async (reducedMotion: "reduce" | "no-preference"): Promise<string> => {
      const page = await open({ reducedMotion }, "live");
      const cursor = page.locator("[data-presence=cursor]").first();
      const duration = await cursor.evaluate((element) => getComputedStyle(element).transitionDuration);
      await page.close();
      return duration;
    };
    expect(await glide("no-preference")).toBe("0.09s");
    expect(await glide("reduce")).toBe("0s");
  });

  test("a cursor is where it points, as a fraction of the area", async () => {
    const page = await open({ reducedMotion: "reduce" }, "live");
    await page.evaluate(() => window.parts.move(0.5));
    const arrow = page.locator("[data-presence=arrow]").first();
    const places = await page.locator("[data-presence=cursors]").evaluate((area) => {
      const { left, top, width, height } = area.getBoundingClientRect();
      return { x: left + width / 2, y: top + height * 0.2 };
    });
    await expect.poll(async () => Math.abs(((await arrow.boundingBox())?.x ?? 0) - places.x)).toBeLessThan(1);
    expect(Math.abs(((await arrow.boundingBox())?.y ?? 0) - places.y)).toBeLessThan(1);
    await page.close();
  });
});
