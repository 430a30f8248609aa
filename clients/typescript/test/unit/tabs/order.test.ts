// Any order of tabs that open, close, freeze and thaw ends with one stream, and each message in each tab once.
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

/** A tab, and how many messages there were when it was first live. */
interface Watched {
  readonly tab: OpenTab;
  since: number | null;
  isOff: boolean;
  readonly sent: string[];
}

it("ends with one stream, a session for each tab, and each message in each tab once", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 40, size: "max" }),
      // Chance as a list: one that is infinite is drawn, printed and shrunk without end.
      fc.array(fc.integer({ min: 0, max: 999 }), { minLength: 1, maxLength: 20 }),
      async (actions, chances) => {
        const { world, browser, server, open } = scene();
        let turn = 0;
        world.random = () => (chances[turn++ % chances.length] ?? 0) / 1_000;
        let tabs: Watched[] = [];
        const note = (): void => {
          for (const one of tabs)
            if (one.tab.client.connection.snapshot.status === "live") one.since ??= server.stored.length;
        };
        let count = 0;
        const name = (): string => `m-${++count}`;
        for (const { kind, which, time } of actions) {
          const one = tabs[which % Math.max(tabs.length, 1)];
          if (kind === "open" && tabs.length < 7) tabs.push({ tab: open(), since: null, isOff: false, sent: [] });
          else if (kind === "post") server.post(name(), count);
          else if (kind === "pass") await world.pass(time);
          else if (kind === "drop") server.drop();
          else if (kind === "mute") server.isMute = !server.isMute;
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
        server.isMute = false;
        // Those that are frozen hold nobody up.
        await world.pass(120_000);
        for (const { tab, isOff } of tabs)
          if (!tab.isFrozen() && !isOff) expect(tab.client.connection.snapshot.status).toBe("live");
        for (const { tab, isOff } of tabs) {
          tab.thaw();
          if (isOff) tab.client.connect();
        }
        await world.pass(120_000);
        expect(server.streams()).toHaveLength(tabs.length > 0 ? 1 : 0);
        expect(server.connections.size).toBe(tabs.length);
        const order = server.stored.map((one) => one.id);
        for (const { tab, since, sent } of tabs) {
          expect(tab.client.connection.snapshot).toMatchObject({ status: "live", pending: 0 });
          expect(tab.room.snapshot.status.kind).toBe("live");
          expect(tab.room.me.user?.connectionCount).toBe(tabs.length);
          const got = tab.got.map((one) => one.id);
          expect(got).toEqual(order.filter((id) => got.includes(id)));
          const missing = order.slice(since ?? order.length).filter((id) => !got.includes(id) && !sent.includes(id));
          expect(missing).toEqual([]);
          expect(order.filter((id) => sent.includes(id))).toEqual(sent);
        }
        for (const { tab } of tabs) tab.client.disconnect({ permanent: true });
        await world.pass(40_000);
        expect(browser.held()).toEqual([]);
        expect(world.timers()).toBe(0);
      },
    ),
    {
      numRuns: Number(process.env["FC_RUNS"] ?? 60),
      // A failure is told before the test's time is over, however long it could be made shorter.
      interruptAfterTimeLimit: 100_000,
      ...(process.env["FC_SEED"] && { seed: Number(process.env["FC_SEED"]) }),
    },
  );
}, 120_000);
