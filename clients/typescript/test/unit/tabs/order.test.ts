// Any order of tabs that open, close, freeze and thaw ends with one connection, and each message in each tab once.
import fc from "fast-check";
import { expect, it } from "vitest";
import { type OpenTab, scene } from "./scene.ts";

type Kind =
  | "open"
  | "close"
  | "freeze"
  | "thaw"
  | "disconnect"
  | "connect"
  | "send"
  | "post"
  | "pass"
  | "drop"
  | "mute";

const action = fc.record({
  kind: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom<Kind>("open", "send", "post", "pass") },
    { weight: 2, arbitrary: fc.constantFrom<Kind>("close", "freeze", "thaw") },
    { weight: 1, arbitrary: fc.constantFrom<Kind>("disconnect", "connect", "drop", "mute") },
  ),
  which: fc.nat(6),
  time: fc.constantFrom(0, 1, 50, 1_000, 5_000, 20_000, 90_000),
});

/** A tab, and what was in the room when it was first live. */
interface Watched {
  readonly tab: OpenTab;
  since: number | null;
  isOff: boolean;
  readonly sent: string[];
}

it("ends with one connection, and each message in each tab once", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 40, size: "max" }),
      fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      async (actions, chance) => {
        const { world, browser, model, wires, open } = scene();
        world.random = () => chance.next().value;
        let tabs: Watched[] = [];
        const note = (): void => {
          for (const one of tabs) if (one.tab.room.snapshot.status.kind === "live") one.since ??= model.stream().length;
        };
        let count = 0;
        const name = (): string => `m-${++count}`;
        for (const { kind, which, time } of actions) {
          const one = tabs[which % Math.max(tabs.length, 1)];
          if (kind === "open" && tabs.length < 7) tabs.push({ tab: open(), since: null, isOff: false, sent: [] });
          else if (kind === "post") model.post("bob", name(), count);
          else if (kind === "pass") await world.pass(time);
          else if (kind === "drop") model.drop();
          else if (kind === "mute") model.dropBeforeAck();
          else if (kind === "thaw") one?.tab.thaw();
          else if (one && !one.tab.isFrozen()) {
            if (kind === "freeze") one.tab.freeze();
            if (kind === "disconnect" || kind === "connect") {
              one.tab.client[kind]();
              one.isOff = kind === "disconnect";
            }
            if (kind === "close") {
              one.tab.close();
              tabs = tabs.filter((other) => other !== one);
            }
            if (kind === "send" && !one.isOff) {
              one.sent.push(name());
              void one.tab.room.send(count, { id: `m-${count}` });
            }
          }
          await world.pass();
          note();
        }
        // Those that are frozen hold nobody up.
        await world.pass(120_000);
        for (const { tab, isOff } of tabs)
          if (!tab.isFrozen() && !isOff) expect(tab.client.connection.snapshot.status).toBe("live");
        for (const { tab, isOff } of tabs) {
          tab.thaw();
          if (isOff) tab.client.connect();
        }
        await world.pass(120_000);
        expect(wires()).toHaveLength(tabs.length > 0 ? 1 : 0);
        const order = model.stream().map((one) => one.id);
        for (const { tab, since, sent } of tabs) {
          expect(tab.client.connection.snapshot.status).toBe("live");
          expect(tab.room.snapshot.status.kind).toBe("live");
          expect(tab.client.connection.snapshot.pending).toBe(0);
          const got = tab.got.map((one) => one.id);
          expect(got).toEqual(order.filter((id) => got.includes(id)));
          const missing = order.slice(since ?? order.length).filter((id) => !got.includes(id) && !sent.includes(id));
          expect(missing).toEqual([]);
          expect(order.filter((id) => sent.includes(id))).toEqual(sent);
          tab.client.disconnect({ permanent: true });
        }
        await world.pass(10_000);
        expect(browser.held()).toEqual([]);
        expect(world.timers()).toBe(0);
      },
    ),
    {
      numRuns: Number(process.env["FC_RUNS"] ?? 150),
      ...(process.env["FC_SEED"] && { seed: Number(process.env["FC_SEED"]) }),
    },
  );
}, 120_000);
