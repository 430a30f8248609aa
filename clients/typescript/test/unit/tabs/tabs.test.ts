// Tabs that share a connection: who leads, what each of them hears, and that nobody else notices.
import { describe, expect, it } from "vitest";
import type { ClientOptions } from "../../../src/index.ts";
import { shareTabs } from "../../../src/tabs.ts";
import { connected, type Wire } from "../world.ts";
import { scene } from "./scene.ts";

const sent = (wire: Wire, type: string): readonly object[] => wire.sent.filter((message) => message["type"] === type);

describe("tabs that share", () => {
  it("have one connection, and are all live", async () => {
    const { world, model, open } = scene();
    const tabs = [open(), open(), open()];
    await world.pass(100);
    expect(world.wires).toHaveLength(1);
    model.join("bob");
    await world.pass(100);
    for (const { client, room } of tabs) {
      expect(client.connection.snapshot.status).toBe("live");
      expect(room.others.map((user) => user.id)).toEqual(["bob"]);
    }
  });

  it("hear each message once, each other's too", async () => {
    const { world, model, open } = scene();
    const tabs = [open(), open(), open()];
    await world.pass(100);
    model.post("bob", "m-1", 1);
    const [first, second, third] = tabs;
    await Promise.all([second?.room.send(2), world.pass(100)]);
    await Promise.all([first?.room.send(3), world.pass(100)]);
    model.post("bob", "m-4", 4);
    await world.pass(100);
    expect(first?.got.map((one) => one.data)).toEqual([1, 2, 4]);
    expect(second?.got.map((one) => one.data)).toEqual([1, 3, 4]);
    expect(third?.got.map((one) => one.data)).toEqual([1, 2, 3, 4]);
    expect(third?.got.map((one) => one.own)).toEqual([false, true, true, false]);
    for (const { room } of tabs) expect(room.snapshot.messages.map((one) => one.data)).toEqual([1, 2, 3, 4]);
  });

  it("are the same session, of which the last used tab's state counts", async () => {
    const { world, wires, open } = scene();
    const [first, second] = [open(), open()];
    await world.pass(100);
    first.room.update({ page: 1 });
    await world.pass(100);
    second.room.update({ page: 2 });
    await world.pass(100);
    expect(first.room.me.state).toEqual({ page: 2 });
    expect(first.client.identity?.sessionId).toBe(second.client.identity?.sessionId);
    expect(wires()).toHaveLength(1);
  });

  it("see no drift when another one enters", async () => {
    const { world, open } = scene();
    const first = open();
    const drifts: unknown[] = [];
    first.client.on("drift", (drift) => drifts.push(drift));
    await world.pass(100);
    const second = open();
    second.room.update({ page: 2 });
    await world.pass(120_000);
    expect(first.room.me.state).toEqual({ page: 2 });
    expect(drifts).toEqual([]);
  });

  it("get what nobody has taken also when they come later", async () => {
    const { world, model, open } = scene();
    const first = open();
    await world.pass(100);
    first.room.leave();
    first.client.room("other");
    await world.pass(2_000);
    model.post("bob", "m-1", 1);
    const second = open();
    await world.pass(100);
    expect(second.got.map((one) => one.data)).toEqual([1]);
  });

  it("take over when the one that leads is closed, without a leave", async () => {
    const { world, model, wires, open } = scene();
    const [first, second, third] = [open(), open(), open()];
    await world.pass(100);
    first.close();
    await world.pass(100);
    expect(wires()).toHaveLength(1);
    expect(new Set(world.wires.map((wire) => wire.dial.query.get("session_id")))).toEqual(new Set(["sse tab-1"]));
    expect(world.wires.flatMap((wire) => sent(wire, "presence:leave"))).toEqual([]);
    model.post("bob", "m-1", 1);
    await Promise.all([second.room.send(2), world.pass(100)]);
    for (const { client, got } of [second, third]) {
      expect(client.connection.snapshot.status).toBe("live");
      expect(got[0]?.data).toBe(1);
    }
  });

  it("take over when the one that leads is frozen, and it follows when it thaws", async () => {
    const { world, wires, model, open } = scene();
    const [first, second, third] = [open(), open(), open()];
    await world.pass(100);
    first.freeze();
    await world.pass(10_000);
    model.post("bob", "m-1", 1);
    await world.pass(100);
    expect(second.got).toHaveLength(1);
    first.thaw();
    await world.pass(1_000);
    expect(wires()).toHaveLength(1);
    for (const { client, got } of [first, second, third]) {
      expect(client.connection.snapshot.status).toBe("live");
      expect(got.map((one) => one.data)).toEqual([1]);
    }
  });

  it("leave nothing to a tab that is alive but silent", async () => {
    const { world, open } = scene();
    open();
    open();
    await world.pass(600_000);
    expect(world.wires).toHaveLength(1);
  });

  it("leave a room with the last tab that is in it, a moment after it has gone", async () => {
    const { world, wires, open } = scene();
    const [first, second] = [open(), open()];
    second.client.room("mine");
    await world.pass(100);
    const [wire] = wires();
    if (!wire) throw new Error("nobody has connected");
    second.close();
    await world.pass(2_000);
    expect(sent(wire, "presence:leave")).toEqual([]);
    await world.pass(2_000);
    expect(sent(wire, "presence:leave")).toMatchObject([{ room: "mine" }]);
    first.client.disconnect();
    await world.pass(100);
    expect(sent(wire, "presence:leave")).toMatchObject([{ room: "mine" }, { room: "r" }]);
    expect(wire.closedWith).toBe(1000);
  });

  it("are in use while one of them is, and answer a ping once", async () => {
    const { world, wires, open } = scene();
    const [first, second] = [open(), open()];
    await world.pass(100);
    const [wire] = wires();
    if (!wire) throw new Error("nobody has connected");
    first.look("hidden");
    await world.pass(100);
    expect(sent(wire, "presence:activity")).toEqual([]);
    second.look("hidden");
    await world.pass(100);
    first.look("visible");
    await world.pass(100);
    expect(sent(wire, "presence:activity")).toMatchObject([{ active: false }, { active: true }]);
    const before = sent(wire, "pong").length;
    await world.pass(25_000);
    expect(sent(wire, "pong")).toHaveLength(before + 1);
  });

  it("ask one thing of a room at a time, of which a server answers only the last", async () => {
    const { world, model, wires, open } = scene();
    const tabs = [open(), open(), open()];
    const { onSent } = world;
    let joins: (() => void)[] = [];
    world.onSent = (wire, message) => {
      if (message["type"] === "presence:join") joins.push(() => onSent(wire, message));
      else onSent(wire, message);
    };
    for (let count = 0; count < tabs.length; count += 1) {
      await world.pass(100);
      expect(joins).toHaveLength(1);
      const [join] = joins;
      joins = [];
      join?.();
    }
    await world.pass(100);
    for (const { room } of tabs) expect(room.snapshot.status.kind).toBe("live");
    expect(wires()).toHaveLength(1);
    expect(model.users().size).toBe(1);
  });

  it("hear what concerns them, and nothing else", async () => {
    const { world, wires, open } = scene();
    const [first, second] = [open(), open()];
    const events: unknown[] = [];
    for (const [at, { client }] of [first, second].entries()) {
      client.on("accepted", ({ userId }) => events.push([at, "accepted", userId]));
      client.on("unknown", ({ type }) => events.push([at, type ?? null]));
      client.on("error", ({ code }) => events.push([at, code]));
    }
    second.client.room("mine");
    await world.pass(100);
    const say = wires()[0]?.say;
    say?.({ type: "invitation_accepted", thread_id: "x", room: "x", user_id: "bob", user_name: "Bob", timestamp: 1 });
    say?.({ type: "error", code: "busy", message: "", room: "mine" });
    say?.({ type: "news" });
    await world.pass(100);
    expect(events.sort()).toEqual([
      [0, "accepted", "bob"],
      [0, "news"],
      [1, "accepted", "bob"],
      [1, "busy"],
      [1, "news"],
    ]);
  });

  it("each have the answers to their own questions, and whom they watch", async () => {
    const { world, wires, open } = scene();
    const [first, second] = [open(), open()];
    const heard: unknown[] = [];
    const ends = [first, second].map(({ client }, at) =>
      client.watch(["bob"], ({ status }) => heard.push([at, status])),
    );
    await world.pass(100);
    const [wire] = wires();
    wire?.say({ type: "user_status", users: [{ id: "bob", status: "away", last_online: 1 }] });
    await world.pass(100);
    expect(heard).toEqual([
      [0, "away"],
      [1, "away"],
    ]);
    ends[0]?.();
    await world.pass(100);
    expect(wire && sent(wire, "unwatch")).toEqual([]);
    ends[1]?.();
    await world.pass(100);
    expect(wire && sent(wire, "unwatch")).toMatchObject([{ users: ["bob"] }]);
    const answer = second.client.listUsers("r");
    await world.pass(100);
    const ref = wire?.sent.at(-1)?.["ref"];
    wire?.say({ type: "online_users", users: [], more: false, ref });
    await world.pass(100);
    expect(await answer).toEqual([]);
  });

  it("do not share with another user, nor with other rights", async () => {
    const { world, open } = scene();
    world.onDial = (wire) => wire.say(connected());
    const token = (claims: object): string => `e30.${btoa(JSON.stringify(claims))}.c2ln`;
    open({ user: { id: "bob" } });
    open();
    open({ token: token({ sub: "ann", rooms: ["a"] }) } as Partial<ClientOptions>);
    open({ token: token({ sub: "ann", rooms: ["b"] }) } as Partial<ClientOptions>);
    open({ token: "opaque" } as Partial<ClientOptions>);
    await world.pass(100);
    expect(world.wires).toHaveLength(5);
  });

  it("connect by themselves where nothing can be shared", async () => {
    const { world, open } = scene();
    world.onDial = (wire) => wire.say(connected());
    const { client } = open({ tabs: shareTabs({ outside: null }) });
    const refused = open({ tabs: shareTabs({ outside: { hold: (_, { lost }) => queueMicrotask(lost), open: fail } }) });
    function fail(): never {
      throw new Error("there are no channels");
    }
    await world.pass(100);
    expect(client.connection.snapshot.status).toBe("syncing");
    expect(refused.client.connection.snapshot.status).toBe("syncing");
    expect(world.wires.map((wire) => wire.dial.query.get("session_id"))).toEqual(["tab-1", "tab-2"]);
  });

  it("share sockets only if they are told to", async () => {
    const { world, browser, open } = scene();
    world.onDial = (wire) => wire.say(connected());
    open({ transport: "ws" });
    open({ transport: "ws" });
    await world.pass(100);
    expect(world.wires).toHaveLength(2);
    const { outside } = browser.open();
    open({ transport: "ws", tabs: shareTabs({ transports: ["ws"], outside }) });
    open({ transport: "ws", tabs: shareTabs({ transports: ["ws"], outside }) });
    await world.pass(100);
    expect(world.wires).toHaveLength(3);
  });

  it("leave no name and no timer behind", async () => {
    const { world, browser, open } = scene();
    const tabs = [open(), open()];
    await world.pass(100);
    for (const { client } of tabs) client.disconnect({ permanent: true });
    await world.pass(10_000);
    expect(browser.held()).toEqual([]);
    expect(world.timers()).toBe(0);
  });
});
