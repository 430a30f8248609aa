// Tabs that share a stream: who leads, that each is a session of its own, and that nobody else notices.
import { describe, expect, it } from "vitest";
import type { ClientOptions } from "../../../src/index.ts";
import { shareTabs } from "../../../src/tabs.ts";
import { type OpenTab, scene } from "./scene.ts";

/** A client that says no more of itself than its token. */
const withToken = (token: string): Partial<ClientOptions> => ({ token }) as Partial<ClientOptions>;

const statusOf = ({ client }: OpenTab): string => client.connection.snapshot.status;

describe("tabs that share", () => {
  it("have one stream, and each a session of its own", async () => {
    const { world, server, open } = scene();
    const tabs = [open(), open(), open()];
    await world.pass(100);
    expect(tabs.map(statusOf)).toEqual(["live", "live", "live"]);
    expect(server.streams()).toHaveLength(1);
    expect(server.sessions().map((one) => one.id)).toEqual(["tab-1", "tab-2", "tab-3"]);
    for (const [at, { client, room }] of tabs.entries()) {
      expect(client.identity?.sessionId).toBe(`tab-${at + 1}`);
      expect(room.me.user?.connectionCount).toBe(3);
      room.update({ page: at });
    }
    await world.pass(100);
    for (const [at, { room }] of tabs.entries()) {
      expect(room.me.state).toEqual({ page: at });
      expect(room.me.user?.sessions.map((one) => one.state["page"])).toEqual([0, 1, 2]);
    }
  });

  it("hear each message once, each other's too", async () => {
    const { world, server, open } = scene();
    const tabs = [open(), open(), open()];
    await world.pass(100);
    const [first, second, third] = tabs;
    server.post("m-1", 1);
    await Promise.all([second?.room.send(2), world.pass(100)]);
    await Promise.all([first?.room.send(3), world.pass(100)]);
    server.post("m-4", 4);
    await world.pass(100);
    expect(first?.got.map((one) => one.data)).toEqual([1, 2, 4]);
    expect(second?.got.map((one) => one.data)).toEqual([1, 3, 4]);
    expect(third?.got.map((one) => one.data)).toEqual([1, 2, 3, 4]);
  });

  it("go over to another tab's stream when the one that leads is closed, and none of them is missed", async () => {
    const { world, server, open } = scene();
    const [first, second, third] = [open(), open(), open()];
    await world.pass(100);
    first.close();
    await world.pass(2_500);
    expect(server.streams()).toHaveLength(1);
    server.post("m-1", 1);
    await Promise.all([second.room.send(2), world.pass(20_000)]);
    expect([second, third].map(statusOf)).toEqual(["live", "live"]);
    expect(third.got.map((one) => one.data)).toEqual([1, 2]);
    expect(server.left).toEqual(["tab-1"]);
    expect(third.room.me.user?.connectionCount).toBe(2);
  });

  it("go over to another tab's stream when the client of the one that leads is done", async () => {
    const { world, server, open } = scene();
    const [first, second, third] = [open(), open(), open()];
    await world.pass(100);
    first.client.disconnect({ permanent: true });
    await world.pass(20_000);
    expect([second, third].map(statusOf)).toEqual(["live", "live"]);
    expect(server.streams()).toHaveLength(1);
    expect(server.left).toEqual(["tab-1"]);
  });

  it("go over when the one that leads is frozen, and it follows when it thaws", async () => {
    const { world, server, open } = scene();
    const tabs = [open(), open(), open()] as const;
    await world.pass(100);
    tabs[0].freeze();
    await world.pass(10_000);
    server.post("m-1", 1);
    await world.pass(100);
    expect(tabs[1].got).toHaveLength(1);
    tabs[0].thaw();
    await world.pass(5_000);
    expect(server.streams()).toHaveLength(1);
    expect(tabs.map(statusOf)).toEqual(["live", "live", "live"]);
    expect(tabs.map(({ got }) => got.map((one) => one.data))).toEqual([[1], [1], [1]]);
    expect(server.left).toEqual([]);
  });

  it("leave nothing to a tab that is alive but silent", async () => {
    const { world, server, open } = scene();
    open();
    open();
    await world.pass(600_000);
    expect(server.requests.filter((one) => one === "GET /sse/shared")).toHaveLength(1);
  });

  it("end the connection of a tab that is closed, and of no other", async () => {
    const { world, server, open } = scene();
    const [first, second] = [open(), open()];
    await world.pass(100);
    second.close();
    await world.pass(2_000);
    expect([...server.connections.values()].map((one) => one.session.id)).toEqual(["tab-1"]);
    expect(server.left).toEqual([]);
    await world.pass(2_000);
    expect(server.left).toEqual(["tab-2"]);
    expect(statusOf(first)).toBe("live");
    expect(first.room.me.user?.connectionCount).toBe(1);
  });

  it("end the connection of a tab that was closed while it opened", async () => {
    const { world, server, open } = scene();
    open();
    await world.pass(100);
    server.isMute = true;
    const second = open();
    await world.pass(100);
    expect(server.connections.size).toBe(2);
    second.close();
    await world.pass(11_000);
    expect(server.connections.size).toBe(1);
  });

  it("ask for one connection after another, so that none that is late takes the session from a newer one", async () => {
    const { world, server, open } = scene();
    const first = open();
    await world.pass(100);
    const arrive = server.delay("POST /sse/shared/…");
    const second = open();
    await world.pass(100);
    first.freeze();
    // It has a stream of its own now, before what it said to the other one has arrived.
    await world.pass(10_000);
    expect(server.streams()).toHaveLength(2);
    arrive();
    await world.pass(100);
    expect(second.client.connection.snapshot).toMatchObject({ status: "live" });
    first.thaw();
    await world.pass(5_000);
    expect([first, second].map(statusOf)).toEqual(["live", "live"]);
  });

  it("are told one by one why they end", async () => {
    const { world, server, open } = scene();
    const [first, second, third] = [open(), open(), open()];
    await world.pass(100);
    server.say("tab-2", { type: "close", code: 4503, reason: "kicked" });
    await world.pass(100);
    expect(second.client.connection.snapshot).toMatchObject({ status: "closed", reason: "kicked" });
    expect([first, third].map(statusOf)).toEqual(["live", "live"]);
    expect(server.requests.filter((one) => one === "GET /sse/shared")).toHaveLength(1);
  });

  it("come back when the server tells them to, and not before", async () => {
    const { world, server, open } = scene();
    const tabs = [open(), open()];
    await world.pass(100);
    for (const session of ["tab-1", "tab-2"]) {
      server.say(session, { type: "server_draining", retry_after_ms: 5_000 });
      server.say(session, { type: "close", code: 1012, reason: "the server stops" });
    }
    await world.pass(4_000);
    expect(tabs.map(statusOf)).toEqual(["waiting", "waiting"]);
    await world.pass(2_000);
    expect(tabs.map(statusOf)).toEqual(["live", "live"]);
  });

  it("bring each its own token, and hear of it if it is refused", async () => {
    const { world, server, open } = scene();
    const token = `e30.${btoa(JSON.stringify({ sub: "ann" }))}.c2ln`;
    const first = open(withToken(token));
    await world.pass(100);
    const error = { code: "unauthorized", message: "this token is not good" };
    server.refuse.set("POST /sse/shared/…", () => new Response(JSON.stringify({ error }), { status: 401 }));
    const second = open(withToken(token));
    await world.pass(100);
    expect(second.client.connection.snapshot).toMatchObject({ status: "closed", reason: "unauthorized" });
    expect(statusOf(first)).toBe("live");
  });

  it("do not share with another user, nor as nobody", async () => {
    const { world, server, open } = scene();
    open({ user: { id: "bob" } });
    open();
    open(withToken("opaque"));
    await world.pass(100);
    expect(server.requests.filter((one) => one === "GET /sse/shared")).toHaveLength(2);
    expect(server.requests.filter((one) => one === "GET /sse")).toHaveLength(1);
  });

  it("connect by themselves where nothing can be shared", async () => {
    const { world, server, open } = scene();
    open({ tabs: shareTabs({ outside: null }) });
    open({ tabs: shareTabs({ outside: { hold: (_, { lost }) => queueMicrotask(lost), open: fail } }) });
    function fail(): never {
      throw new Error("there are no channels");
    }
    await world.pass(100);
    expect(server.requests).toEqual(["GET /sse", "GET /sse"]);
  });

  it("connect by themselves to a server that knows no shared streams", async () => {
    const { world, browser, server, open } = scene();
    server.refuse.set("GET /sse/shared", () => new Response(null, { status: 405 }));
    server.refuse.set("GET /sse", () => new Response("", { status: 503 }));
    const tabs = [open(), open()];
    await world.pass(100);
    expect(server.requests.filter((one) => one === "GET /sse")).toHaveLength(2);
    for (const { client } of tabs) client.disconnect({ permanent: true });
    await world.pass(100);
    expect(browser.held()).toEqual([]);
  });

  it("leave sockets as they are", async () => {
    const { world, server, open } = scene();
    open({ transport: "ws" });
    open({ transport: "ws" });
    await world.pass(100);
    expect(world.wires.map((wire) => wire.dial.query.get("session_id"))).toEqual(["tab-1", "tab-2"]);
    expect(server.requests).toEqual([]);
  });

  it("leave no name and no timer behind", async () => {
    const { world, browser, server, open } = scene();
    const tabs = [open(), open()];
    await world.pass(100);
    for (const { client } of tabs) client.disconnect({ permanent: true });
    await world.pass(40_000);
    expect(browser.held()).toEqual([]);
    expect(server.streams()).toEqual([]);
    expect(world.timers()).toBe(0);
  });
});
