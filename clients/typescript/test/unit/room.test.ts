// A room as an application sees it: what it shows, what it sends, and when it says nothing.
import { beforeEach, describe, expect, it, vi } from "vitest";
import { type Client, createClient, type Room } from "../../src/index.ts";
import { createModel, type Model } from "./model.ts";
import { asAnn, createWorld, type World } from "./world.ts";

let world: World;
let model: Model;
let client: Client;
let room: Room;

beforeEach(async () => {
  world = createWorld();
  model = createModel(world);
  client = createClient({ ...asAnn, env: world.env });
  room = client.room("r");
  await world.pass();
});

function sent(type: string): unknown[] {
  return world.wires.flatMap((wire) => wire.sent).filter((message) => message["type"] === type);
}

describe("snapshots", () => {
  it("are the same object until something changes, and share what did not", async () => {
    model.join("bob");
    await world.pass();
    const before = room.snapshot;
    expect(room.snapshot).toBe(before);
    expect(Object.isFrozen(before)).toBe(true);
    world.wire().say({
      type: "presence:cursors",
      room: "r",
      cursors: [{ userId: "bob", sessionId: "bob-tab", cursor: { x: 1, y: 2 } }],
    });
    expect(room.snapshot).not.toBe(before);
    expect(room.snapshot.users).toBe(before.users);
    expect(room.snapshot.others).toBe(before.others);
    expect(room.snapshot.me).toBe(before.me);
    expect(room.snapshot.messages).toBe(before.messages);
    expect(room.snapshot.cursors).toMatchObject([{ cursor: { x: 1, y: 2 }, user: { id: "bob" } }]);
    const { cursors } = room.snapshot;
    model.update("bob", { n: 1 });
    expect(room.snapshot.cursors).not.toBe(cursors);
    expect(before.users.find((user) => user.id === "bob")?.sessions[0]?.state).toEqual({});
  });

  it("are told of once for each turn, and once for each frame of cursors", async () => {
    model.join("bob");
    await world.pass();
    const listener = vi.fn();
    const off = room.subscribe(listener);
    model.update("bob", { n: 1 });
    model.update("bob", { n: 2 });
    await world.pass();
    expect(listener).toHaveBeenCalledTimes(1);
    for (let x = 0; x < 10; x += 1) {
      world.wire().say({
        type: "presence:cursors",
        room: "r",
        cursors: [{ userId: "bob", sessionId: "bob-tab", cursor: { x, y: 0 } }],
      });
    }
    await world.pass(16);
    expect(listener).toHaveBeenCalledTimes(2);
    off();
    model.update("bob", { n: 3 });
    await world.pass(100);
    expect(listener).toHaveBeenCalledTimes(2);
  });

  it("keep what was last known while the connection is away, and say so", async () => {
    model.join("bob");
    await world.pass();
    model.isDown = true;
    model.drop();
    expect(room.snapshot).toMatchObject({ stale: true, status: { kind: "stale" }, others: [{ id: "bob" }] });
    model.isDown = false;
    await world.pass(10_000);
    expect(room.snapshot).toMatchObject({ stale: false, status: { kind: "live" }, others: [{ id: "bob" }] });
  });
});

describe("events", () => {
  it("tell of people, not of synchronisation", async () => {
    const told: string[] = [];
    room.on("join", ({ user }) => told.push(`+${user.id}`));
    room.on("leave", ({ user, cause }) => told.push(`-${user.id} ${cause}`));
    room.on("update", ({ user }) => told.push(`~${user.id}`));
    model.join("bob");
    model.join("cid");
    model.update("bob", { n: 1 });
    model.drop();
    model.leave("cid");
    for (let n = 0; n < 9; n += 1) model.update("bob", { n });
    await world.pass(5_000);
    expect(told).toEqual(["+bob", "+cid", "~bob", "-cid missed", "~bob"]);
    model.leave("bob");
    expect(told.at(-1)).toBe("-bob left");
  });

  it("go on when a handler throws, which is reported", async () => {
    const errors: string[] = [];
    client.on("error", (error) => errors.push(error.code));
    room.on("join", () => {
      throw new Error("oops");
    });
    const joined = vi.fn();
    room.on("join", joined);
    model.join("bob");
    expect(joined).toHaveBeenCalled();
    expect(errors).toEqual(["handler"]);
  });
});

describe("gaps and drift", () => {
  it("asks once for what is missing, and reports it", async () => {
    const drifts: string[] = [];
    client.on("drift", ({ kind, count }) => drifts.push(`${kind} ${count}`));
    model.join("bob");
    model.loseNext = true;
    model.update("bob", { a: 1 });
    model.update("bob", { b: 2 });
    model.update("bob", { c: 3 });
    await world.pass();
    expect(sent("presence:sync")).toHaveLength(1);
    expect(room.others[0]?.sessions[0]?.state).toEqual({ a: 1, b: 2, c: 3 });
    expect(drifts).toEqual(["gap 1"]);
  });

  it("finds by the digest what no version tells, and corrects it", async () => {
    const drifts: string[] = [];
    client.on("drift", ({ kind }) => drifts.push(kind));
    model.join("bob");
    await world.pass();
    model.users().get("bob")?.sessions.push({ sessionId: "other", state: {} });
    await world.pass(90_000);
    expect(room.others[0]?.connectionCount).toBe(2);
    expect(drifts).toEqual(["digest"]);
  });
});

describe("what this session says", () => {
  it("is shown at once and sent together, at the pace of frames and ticks", async () => {
    model.join("bob");
    await world.pass(100);
    for (let x = 0; x < 100; x += 1) {
      room.cursor({ x, y: 0 });
      room.update({ n: x });
      await world.pass(1);
    }
    expect(room.me).toMatchObject({ cursor: { x: 99 }, state: { n: 99 } });
    await world.pass(100);
    expect(sent("presence:cursor").length).toBeLessThan(5);
    expect(sent("presence:cursor").at(-1)).toMatchObject({ cursor: { x: 99 } });
    expect(sent("presence:update").length).toBeLessThan(5);
    expect(model.users().get("ann")?.sessions[0]?.state).toEqual({ n: 99 });
  });

  it("is no cursor and no typing while nobody else is there, and a cursor as soon as somebody comes", async () => {
    room.cursor({ x: 1, y: 1 });
    room.typing();
    await world.pass(1_000);
    expect(sent("presence:cursor")).toEqual([]);
    expect(sent("presence:typing")).toEqual([]);
    model.join("bob");
    await world.pass(100);
    expect(sent("presence:cursor")).toHaveLength(1);
  });

  it("is not sent if it changes nothing", async () => {
    room.update({ n: 1, gone: null });
    await world.pass(100);
    room.update({ n: 1 });
    await world.pass(100);
    expect(sent("presence:update")).toHaveLength(1);
  });

  it("is undone if it is refused", async () => {
    const refused = vi.fn();
    room.on("error", refused);
    const pass = world.onSent;
    world.onSent = (wire, message) =>
      message["type"] === "presence:update"
        ? wire.say({ type: "error", code: "too_large", message: "no", field: "state", ref: message["ref"] })
        : pass(wire, message);
    room.update({ huge: "…" });
    expect(room.me.state).toEqual({ huge: "…" });
    await world.pass(100);
    expect(room.me.state).toEqual({});
    expect(refused.mock.calls[0]?.[0]).toMatchObject({ code: "too_large" });
  });

  it("is said again if the server had no time for it", async () => {
    const pass = world.onSent;
    let busy = 2;
    world.onSent = (wire, message) => {
      if (message["type"] !== "presence:update" || busy === 0) return pass(wire, message);
      busy -= 1;
      wire.say({ type: "error", code: "rate_limited", message: "no", retry_after_ms: 500, ref: message["ref"] });
    };
    room.update({ n: 1 });
    await world.pass(2_000);
    expect(model.users().get("ann")?.sessions[0]?.state).toEqual({ n: 1 });
    expect(room.me.state).toEqual({ n: 1 });
  });

  it("is typing for as long as keys are pressed", async () => {
    model.join("bob");
    await world.pass();
    for (let key = 0; key < 70; key += 1) {
      room.typing();
      await world.pass(100);
    }
    await world.pass(6_000);
    expect(sent("presence:typing")).toMatchObject([
      { typing: true },
      { typing: true },
      { typing: true },
      { typing: true },
      { typing: false },
    ]);
    expect(room.me.typing).toBe(false);
  });
});

describe("holding", () => {
  it("enters once however many hold it, and leaves a moment after the last", async () => {
    expect(client.room("r")).toBe(room);
    const release = room.enter();
    await world.pass();
    expect(sent("presence:join")).toHaveLength(1);
    room.leave();
    release();
    release();
    await world.pass(5_000);
    expect(sent("presence:leave")).toEqual([]);
    room.leave();
    await world.pass(500);
    const again = room.enter();
    await world.pass(5_000);
    expect(sent("presence:leave")).toEqual([]);
    again();
    await world.pass(1_000);
    expect(sent("presence:leave")).toHaveLength(1);
    expect(room.snapshot).toMatchObject({ status: { kind: "out" }, users: [] });
    room.enter();
    await world.pass();
    expect(room.snapshot.status.kind).toBe("live");
    expect(client.room("r", { enter: false })).toBe(room);
  });

  it("tells why it was not let in, and tries again when it is asked to", async () => {
    const pass = world.onSent;
    world.onSent = (wire, message) =>
      message["room"] === "secret" && message["type"] === "presence:join"
        ? wire.say({ type: "error", code: "forbidden", message: "no", field: "room", ref: message["ref"] })
        : pass(wire, message);
    const secret = client.room("secret");
    await world.pass();
    expect(secret.snapshot.status).toMatchObject({ kind: "refused", error: { code: "forbidden" } });
    expect(client.connection.snapshot.status).toBe("live");
    secret.enter();
    await world.pass();
    expect(sent("presence:join")).toHaveLength(3);
  });

  it("is refused when a new token takes it away", async () => {
    world.wire().say({ type: "error", code: "forbidden", message: "you have left it", field: "room", room: "r" });
    expect(room.snapshot.status.kind).toBe("refused");
  });
});

describe("messages", () => {
  it("wait for the part that sends them, and are counted at once", async () => {
    const first = room.send("one");
    expect(client.connection.snapshot.pending).toBe(1);
    await expect(first).resolves.toMatchObject({ data: "one", delivery: { state: "stored" } });
    expect(client.connection.snapshot.pending).toBe(0);
  });

  it("are pending at once, then stored, and in the end all in order", async () => {
    model.join("bob");
    // With the first key the part comes that sends messages.
    room.typing();
    await world.pass();
    const first = room.send("one");
    expect(room.snapshot.messages).toMatchObject([{ data: "one", own: true, delivery: { state: "pending" } }]);
    const key = room.snapshot.messages[0]?.key;
    expect(client.connection.snapshot.pending).toBe(1);
    await world.pass();
    expect(await first).toMatchObject({ delivery: { state: "stored", seq: 1, durability: "disk" } });
    expect(room.snapshot.messages).toMatchObject([{ key, delivery: { state: "stored" } }]);
    model.post("bob", "b", "two");
    expect(room.snapshot.messages.map((message) => message.data)).toEqual(["one", "two"]);
    await world.pass();
    expect(sent("ack")).toMatchObject([{ room: "r", seq: 2 }]);
  });

  it("that are refused stay as failed, until they are sent again or discarded", async () => {
    const pass = world.onSent;
    let refuse = true;
    world.onSent = (wire, message) =>
      message["type"] === "message" && refuse
        ? wire.say({ type: "error", code: "too_large", message: "no", ref: message["ref"] })
        : pass(wire, message);
    const [one, two] = [room.send(1, { id: "one" }), room.send(2, { id: "two" })];
    await expect(one).rejects.toMatchObject({ code: "too_large" });
    await expect(two).rejects.toMatchObject({ code: "too_large" });
    expect(room.snapshot.messages.map((message) => message.delivery.state)).toEqual(["failed", "failed"]);
    refuse = false;
    room.discard("one");
    const again = room.resend("two");
    await world.pass();
    await expect(again).resolves.toMatchObject({ data: 2 });
    expect(room.snapshot.messages).toMatchObject([{ data: 2, delivery: { state: "stored" } }]);
  });

  it("wait in order while the server has no time", async () => {
    const pass = world.onSent;
    let busy = 3;
    world.onSent = (wire, message) => {
      if (message["type"] !== "message" || busy === 0) return pass(wire, message);
      busy -= 1;
      wire.say({ type: "error", code: "busy", message: "later", ref: message["ref"] });
    };
    for (let n = 0; n < 5; n += 1) void room.send(n);
    await world.pass(10_000);
    expect(model.stream().map((one) => one.data)).toEqual([0, 1, 2, 3, 4]);
  });

  it("wait up to a bound", async () => {
    room.typing();
    await world.pass();
    model.isDown = true;
    model.drop();
    for (let n = 0; n < 500; n += 1) void room.send(n);
    await expect(room.send("too much")).rejects.toMatchObject({ code: "outbox_full" });
  });

  it("that were missed come before those that come next, also if another tab has dealt with them", async () => {
    model.join("bob");
    model.post("bob", "m-0", 0);
    await world.pass();
    model.isDown = true;
    model.drop();
    for (let n = 1; n < 8; n += 1) model.post("bob", `m-${n}`, n);
    model.ackElsewhere();
    model.post("bob", "m-8", 8);
    model.isDown = false;
    await world.pass(5_000);
    expect(room.snapshot.messages.map((message) => message.data)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(sent("sync").length).toBe(3);
  });

  it("outlive a reload in a store", async () => {
    let kept: unknown = [];
    const save = (entries: unknown): void => {
      kept = JSON.parse(JSON.stringify(entries));
    };
    const outboxStore = { load: () => kept, save };
    client.disconnect({ permanent: true });
    model.isDown = true;
    const before = createClient({ ...asAnn, outboxStore, env: world.env });
    void before.room("r").send("kept", { id: "k" });
    await world.pass();
    kept = [...(kept as unknown[]), { not: "an entry" }, null];
    model.isDown = false;
    const after = createClient({ ...asAnn, outboxStore, env: world.env });
    const again = after.room("r");
    await world.pass(100);
    expect(again.snapshot.messages).toMatchObject([{ id: "k", data: "kept", delivery: { state: "stored" } }]);
    expect(kept).toEqual([]);
  });

  it("of rooms that nobody has entered are left to the server, unless somebody listens", async () => {
    const say = (seq: number): void =>
      world.wire().say({
        type: "message_created",
        id: `x-${seq}`,
        room: "elsewhere",
        seq,
        user_id: "bob",
        user_name: "Bob",
        snapshot: seq,
        timestamp: 1,
      });
    say(1);
    await world.pass();
    expect(sent("ack")).toEqual([]);
    const got: unknown[] = [];
    client.on("message", ({ data }) => got.push(data));
    say(1);
    say(2);
    await world.pass();
    expect(got).toEqual([1, 2]);
    expect(sent("ack")).toMatchObject([{ room: "elsewhere", seq: 2 }]);
  });

  it("that are lost for good are told of", async () => {
    const dropped = vi.fn();
    room.on("dropped", dropped);
    world.wire().say({ type: "messages_dropped", room: "r", count: 4, from_seq: 3, to_seq: 6, reason: "overflow" });
    await world.pass();
    expect(dropped).toHaveBeenCalledWith({ room: "r", count: 4, fromSeq: 3, toSeq: 6, reason: "overflow" });
  });
});

describe("rooms that grow", () => {
  it("say that they are told later, and that they are not", async () => {
    const modes = vi.fn();
    const unknown = vi.fn();
    client.on("mode", modes);
    client.on("unknown", unknown);
    world.wire().say({ type: "presence:mode", room: "r", mode: "wide" });
    world.wire().say({ type: "presence:mode", room: "r", mode: "exact" });
    await world.pass();
    expect(modes.mock.calls).toEqual([[{ room: "r", mode: "wide" }], [{ room: "r", mode: "exact" }]]);
    expect(unknown).not.toHaveBeenCalled();
  });
});

describe("people elsewhere", () => {
  it("are watched, once for all who watch them, and anew after a loss", async () => {
    const told: string[] = [];
    const off = client.watch(["bob", "cid"], ({ id, status }) => told.push(`${id} ${status}`));
    const offAgain = client.watch(["bob"], () => {});
    await world.pass();
    expect(sent("watch")).toEqual([{ type: "watch", users: ["bob", "cid"] }]);
    const users = [{ id: "bob", status: "online", last_online: 5 }];
    world.wire().say({ type: "user_status", users });
    world.wire().say({ type: "user_status", users });
    expect(told).toEqual(["bob online"]);
    expect(client.status("bob")).toEqual({ id: "bob", status: "online", lastOnline: 5 });
    expect(client.status("cid")).toBeNull();
    model.drop();
    await world.pass(2_000);
    expect(sent("watch")).toHaveLength(2);
    off();
    await world.pass();
    expect(sent("unwatch")).toEqual([{ type: "unwatch", users: ["cid"] }]);
    offAgain();
  });

  it("are not forgotten when they are left and watched in one turn", async () => {
    const off = client.watch(["bob"], () => {});
    await world.pass();
    world.wire().say({ type: "user_status", users: [{ id: "bob", status: "away", last_online: 5 }] });
    off();
    const told: string[] = [];
    const offAgain = client.watch(["bob"], ({ status }) => told.push(status));
    expect(client.status("bob")?.status).toBe("away");
    await world.pass();
    expect(told).toEqual(["away"]);
    expect([sent("watch").length, sent("unwatch").length]).toEqual([1, 0]);
    offAgain();
    await world.pass();
    expect(client.status("bob")).toBeNull();
    expect(sent("unwatch")).toEqual([{ type: "unwatch", users: ["bob"] }]);
  });

  it("are listed, and the question does not outlive the connection", async () => {
    const asked = client.listUsers("r");
    await world.pass();
    const ref = world.wire().sent.at(-1)?.["ref"];
    world
      .wire()
      .say({ type: "online_users", users: [{ id: "b", name: "B", color: null, status: "away", last_online: 1 }], ref });
    await expect(asked).resolves.toEqual([{ id: "b", name: "B", color: null, status: "away", lastOnline: 1 }]);
    const lost = client.listUsers();
    await world.pass();
    model.drop();
    await expect(lost).rejects.toMatchObject({ code: "connection" });
    await expect(client.listUsers()).rejects.toMatchObject({ code: "connection" });
  });
});
