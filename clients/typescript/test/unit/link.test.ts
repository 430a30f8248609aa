// The connection: when it comes back, when it stays away, and what it tells of itself.
import { beforeEach, describe, expect, it } from "vitest";
import { type Client, type ClientOptions, type ConnectionSnapshot, createClient } from "../../src/index.ts";
import { asAnn, connected, createWorld, type World } from "./world.ts";

let world: World;
beforeEach(() => {
  world = createWorld();
  world.onDial = (wire) => wire.say(connected());
  const nothing = { messages: [], profiles: [], rosters: [], invitations: [], cursors: {}, more: false, timestamp: 1 };
  world.onSent = (wire, { type, ref }) => {
    if (type === "sync") wire.say({ type: "sync_result", ...nothing, ref });
  };
});

function start(more: Partial<ClientOptions> = {}): { client: Client; states: ConnectionSnapshot["status"][] } {
  const client = createClient({ ...asAnn, ...more, env: world.env } as ClientOptions);
  const states: ConnectionSnapshot["status"][] = [];
  client.on("state", (state) => states.push(state.status));
  client.on("error", () => {});
  client.connect();
  return { client, states };
}

describe("connecting", () => {
  it("goes from idle over connecting and syncing to live", async () => {
    const { client, states } = start();
    await world.pass();
    expect(states).toEqual(["connecting", "syncing", "live"]);
    expect(client.connection.snapshot).toMatchObject({
      status: "live",
      transport: "ws",
      quality: "good",
      stale: false,
    });
    expect(world.wire().dial.base).toBe("https://rt.example.org");
    expect([...world.wire().dial.query]).toEqual([
      ["session_id", "tab-1"],
      ["attempt", expect.stringMatching(/^\d+-1$/u)],
      ["user_id", "ann"],
      ["user_name", "Ann"],
    ]);
  });

  it("numbers its requests, so that the server knows which of them is the last", async () => {
    world.onDial = (wire) => (wire.kind === "ws" ? wire.close(1006) : wire.say(connected()));
    start();
    await world.pass();
    world.wire().close(1006);
    await world.pass(1_000);
    const attempts = world.wires.map(({ dial }) => (dial.query.get("attempt") ?? "").split("-"));
    expect(attempts.map(([, request]) => request)).toEqual(["1", "2", "3"]);
    expect(new Set(attempts.map(([page]) => page)).size).toBe(1);
    expect(Number(attempts[0]?.[0])).toBeLessThan(2 ** 32);
  });

  it("does nothing until something is asked of it", async () => {
    createClient({ ...asAnn, env: world.env }).room("r", { enter: false });
    await world.pass(100_000);
    expect(world.wires).toHaveLength(0);
    expect(world.timers()).toBe(0);
  });

  it("tries an event stream when no WebSocket opens, and stays with it", async () => {
    world.onDial = (wire) => (wire.kind === "ws" ? wire.close(1006) : wire.say(connected()));
    start();
    await world.pass();
    expect(world.wires.map((wire) => wire.kind)).toEqual(["ws", "sse"]);
    world.wire().close(1006);
    await world.pass(1_000);
    expect(world.wires.map((wire) => wire.kind)).toEqual(["ws", "sse", "sse"]);
  });

  it("tries a WebSocket again after a while, and after another network has come", async () => {
    let isBarred = true;
    world.onDial = (wire) => (isBarred && wire.kind === "ws" ? wire.close(1006) : wire.say(connected()));
    const { client } = start();
    const kinds = (): string => world.wires.map((wire) => wire.kind).join(" ");
    await world.pass();
    expect(kinds()).toBe("ws sse");
    for (let round = 0; round < 11; round += 1) {
      await world.pass(30_000);
      world.wire().say({ type: "ping", timestamp: 1 });
    }
    world.wire().close(1006);
    await world.pass(1_000);
    expect(kinds()).toBe("ws sse ws sse");
    isBarred = false;
    world.wire().close(1006);
    await world.pass(1_000);
    expect(kinds()).toBe("ws sse ws sse sse");
    world.page.tell("offline");
    world.page.tell("online");
    await world.pass(1_000);
    expect(kinds()).toBe("ws sse ws sse sse ws");
    expect(client.connection.snapshot).toMatchObject({ status: "live", transport: "ws" });
  });

  it("keeps to the transport that it is told to", async () => {
    world.onDial = (wire) => wire.close(1006);
    start({ transport: "sse" });
    await world.pass(60_000);
    expect(new Set(world.wires.map((wire) => wire.kind))).toEqual(new Set(["sse"]));
  });

  it("does not wait for a server that never answers", async () => {
    world.onDial = () => {};
    start({ transport: "ws" });
    await world.pass(15_000);
    expect(world.wire().closedWith).not.toBeNull();
  });
});

describe("coming back", () => {
  it("waits up to 1, 2, 4, 8, 16, 30, 30 seconds, all of it by chance", async () => {
    world.onDial = (wire) => wire.close(1006);
    world.random = () => 0.999;
    const { client } = start({ transport: "ws" });
    const waits: number[] = [];
    for (let round = 0; round < 7; round += 1) {
      await world.pass();
      const { snapshot } = client.connection;
      if (snapshot.status !== "waiting") throw new Error(snapshot.status);
      waits.push(Math.round(((snapshot.nextTryAt ?? 0) - world.env.now()) / 1000));
      await world.pass((snapshot.nextTryAt ?? 0) - world.env.now());
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 30, 30]);
  });

  it("comes when a draining server has said", async () => {
    const { client } = start();
    await world.pass();
    world.wire().say({ type: "server_draining", retry_after_ms: 7_000 });
    world.wire().close(1012);
    await world.pass(6_999);
    expect(world.wires).toHaveLength(1);
    expect(client.connection.snapshot).toMatchObject({ status: "waiting", stale: true, quality: "disconnected" });
    await world.pass(1);
    expect(client.connection.snapshot.status).toBe("live");
  });

  it("gives up after as many tries as it may", async () => {
    world.onDial = (wire) => wire.close(1006);
    const { client } = start({ retries: 3, transport: "ws" });
    await world.pass(100_000);
    expect(world.wires).toHaveLength(4);
    expect(client.connection.snapshot).toMatchObject({ status: "closed", reason: "gave_up" });
    client.connection.retryNow();
    await world.pass();
    expect(world.wires).toHaveLength(5);
  });

  it("drops a server that has gone silent", async () => {
    const { states } = start();
    await world.pass(30_000);
    world.wire().say({ type: "ping", timestamp: 1 });
    await world.pass(34_999);
    expect(states.at(-1)).toBe("live");
    await world.pass(1);
    expect(states.at(-1)).toBe("waiting");
  });

  it.each([4000, 4001, 4300, 1006, 1001])("comes back after %i", async (code) => {
    start();
    await world.pass();
    world.wire().close(code);
    await world.pass(1_000);
    expect(world.wires).toHaveLength(2);
  });

  it.each([
    [4409, "superseded"],
    [4500, "refused"],
    [4501, "unauthorized"],
    [4503, "kicked"],
    [4777, "refused"],
    [4010, "expired"],
  ])("stays away after %i: %s", async (code, reason) => {
    const { client } = start();
    await world.pass();
    world.wire().close(code);
    await world.pass(100_000);
    expect(world.wires).toHaveLength(1);
    expect(client.connection.snapshot).toMatchObject({ status: "closed", reason });
    expect(world.timers()).toBe(0);
  });

  it("takes the last event of a stream for its close code", async () => {
    const { client } = start({ transport: "sse" });
    await world.pass();
    world.wire().say({ type: "close", code: 4409, reason: "taken over" });
    await world.pass();
    expect(client.connection.snapshot).toMatchObject({ status: "closed", reason: "superseded" });
  });
});

describe("the page", () => {
  it("waits while there is no network, and comes back with it", async () => {
    const { client } = start();
    await world.pass();
    world.page.tell("offline");
    expect(client.connection.snapshot).toMatchObject({ status: "waiting", nextTryAt: null });
    await world.pass(600_000);
    expect(world.wires).toHaveLength(1);
    world.page.tell("online");
    await world.pass(1_000);
    expect(client.connection.snapshot.status).toBe("live");
  });

  it("tries at once when somebody looks, or asks for it", async () => {
    const { client } = start({ transport: "ws" });
    await world.pass();
    world.onDial = (wire) => wire.close(1006);
    world.wire().close(1006);
    await world.pass(20_000);
    const before = world.wires.length;
    world.page.tell("visible");
    await world.pass();
    client.connection.retryNow();
    await world.pass();
    expect(world.wires).toHaveLength(before + 2);
  });

  it("is away while hidden and back when seen, and never leaves for it", async () => {
    start();
    await world.pass();
    world.page.tell("hidden");
    await world.pass();
    world.page.tell("visible");
    expect(world.wire().sent).toEqual([
      { type: "presence:activity", active: false },
      { type: "presence:activity", active: true },
    ]);
  });

  it("is away from the beginning if nobody has looked at it yet", async () => {
    world.page.visible = false;
    start();
    await world.pass();
    expect(world.wire().sent).toEqual([{ type: "presence:activity", active: false }]);
  });

  it("is idle when nobody touches it for five minutes", async () => {
    start();
    await world.pass();
    for (let round = 0; round < 11; round += 1) {
      await world.pass(30_000);
      world.wire().say({ type: "ping", timestamp: 1 });
    }
    expect(world.wire().sent).toEqual([{ type: "presence:activity", active: false }]);
    world.page.tell("used");
    expect(world.wire().sent.at(-1)).toEqual({ type: "presence:activity", active: true });
  });

  it("closes for the page cache so that the server waits, and comes back out of it", async () => {
    const { client } = start();
    await world.pass();
    world.page.tell("kept");
    expect(world.wire().closedWith).not.toBe(1000);
    world.page.tell("back");
    await world.pass();
    expect(client.connection.snapshot.status).toBe("live");
    expect(world.wires).toHaveLength(2);
  });
});

describe("disconnecting", () => {
  it("says good-bye, and comes back only when it is told to", async () => {
    const { client } = start();
    const room = client.room("r");
    await world.pass();
    client.disconnect();
    expect(world.wire().sent.at(-1)).toEqual({ type: "presence:leave", room: "r" });
    expect(world.wire().closedWith).toBe(1000);
    world.page.tell("online");
    client.connection.retryNow();
    await world.pass(100_000);
    expect(world.wires).toHaveLength(1);
    client.connect();
    await world.pass();
    expect(world.wires).toHaveLength(2);
    room.leave();
  });

  it("is spent after a permanent one", async () => {
    const { client } = start();
    await world.pass();
    const sent = client.send("r", 1);
    client.disconnect({ permanent: true });
    await expect(sent).rejects.toMatchObject({ code: "cancelled" });
    client.connect();
    client.room("r");
    await world.pass(100_000);
    expect(world.wires).toHaveLength(1);
    expect(world.timers()).toBe(0);
  });

  it("does not connect while it is disabled, and does when it is enabled", async () => {
    const { client, states } = start();
    await world.pass();
    client.disable();
    client.room("r");
    client.connect();
    world.page.tell("offline");
    world.page.tell("online");
    await world.pass(100_000);
    expect(states.at(-1)).toBe("idle");
    client.enable();
    await world.pass();
    expect(world.wires).toHaveLength(2);
  });
});

describe("quality", () => {
  it("is poor when heartbeats are slow", async () => {
    const { client } = start();
    await world.pass();
    world.wire().say({ type: "ping", timestamp: 1, rtt_ms: 301 });
    expect(client.connection.snapshot).toMatchObject({ rtt: 301, quality: "poor" });
    world.wire().say({ type: "ping", timestamp: 1, rtt_ms: 20 });
    expect(client.connection.snapshot.quality).toBe("good");
    const { snapshot } = client.connection;
    world.wire().say({ type: "ping", timestamp: 1, rtt_ms: 20 });
    expect(client.connection.snapshot).toBe(snapshot);
  });
});

/** A token that ends so many seconds after the world begins. */
function token(name: string, seconds: number): string {
  const claims = { sub: "ann", exp: 1_700_000_000 + seconds, jti: name };
  return `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.sig`;
}

describe("tokens", () => {
  const { user: _, ...anonymous } = asAnn;

  it("go into the first message, not into the URL", async () => {
    start({ ...anonymous, token: token("t", 600) } as Partial<ClientOptions>);
    await world.pass();
    const { dial } = world.wire();
    expect(dial.hello).toEqual({ type: "auth", token: token("t", 600) });
    expect(String(dial.query)).not.toContain("e30");
  });

  it("are renewed before they end, on the connection that is there", async () => {
    const reasons: string[] = [];
    const getToken = ({ reason }: { reason: string }): string => {
      reasons.push(reason);
      return token(reason, reasons.length * 600);
    };
    start({ ...anonymous, getToken } as unknown as Partial<ClientOptions>);
    await world.pass();
    for (let round = 0; round < 18; round += 1) {
      world.wire().say({ type: "ping", timestamp: 1 });
      await world.pass(30_000);
    }
    expect(reasons).toEqual(["connect", "renew"]);
    expect(world.wires).toHaveLength(1);
    const renewal = world.wire().sent.find((message) => message["type"] === "auth");
    expect(renewal).toMatchObject({ token: token("renew", 1_200) });
  });

  it("are asked for anew after an end that says so, and only once if they do not help", async () => {
    const reasons: string[] = [];
    const getToken = ({ reason }: { reason: string }): Promise<string> => {
      reasons.push(reason);
      return Promise.resolve(token(reason, 600));
    };
    world.onDial = (wire) => wire.close(4501);
    const { client } = start({ ...anonymous, getToken, transport: "ws" } as unknown as Partial<ClientOptions>);
    await world.pass(100_000);
    expect(reasons).toEqual(["connect", "refused"]);
    expect(client.connection.snapshot).toMatchObject({ status: "closed", reason: "unauthorized" });
  });

  it("that can not be had are asked for again, later", async () => {
    let asked = 0;
    const getToken = (): string => {
      asked += 1;
      if (asked < 3) throw new Error("the backend is down");
      return token("t", 600);
    };
    const { client } = start({ ...anonymous, getToken } as unknown as Partial<ClientOptions>);
    await world.pass(10_000);
    expect(asked).toBe(3);
    expect(client.connection.snapshot.status).toBe("live");
  });
});
