// @vitest-environment happy-dom
// What axe finds on a page of all parts: nothing. Colours need a browser, and are looked at there.
import axe from "axe-core";
import { expect, test, vi } from "vitest";
import { createFake, PartsPage, play, scenes } from "../../browser/parts-page.tsx";
import { happen, render } from "./render.tsx";

test.each(scenes)("axe finds nothing: %s", async (scene) => {
  document.title = "Parts";
  document.documentElement.lang = "en";
  vi.useFakeTimers();
  const fake = createFake();
  const page = render(fake.client, <PartsPage fake={fake} />);
  happen(() => play(fake, scene));
  // What waits before it shows, shows; from here on nothing moves.
  happen(() => vi.advanceTimersByTime(5_000));
  expect(page.element.querySelector("[data-presence=offline]") !== null).toBe(
    scene === "waiting" || scene === "closed",
  );
  vi.useRealTimers();
  const { violations, passes } = await axe.run(document, { rules: { "color-contrast": { enabled: false } } });
  expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
  expect(passes.length).toBeGreaterThan(10);
  page.unmount();
});
