// Windows of a large room: what they show, what they ask for, and what becomes of the room behind them.
import fc from "fast-check";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { type Client, createClient, type Room, type RoomWindow, type Rows } from "../../src/index.ts";
import { createHall, type Hall } from "./hall.ts";
import { asAnn, createWorld, type World } from "./world.ts";

let world: World;
let hall: Hall;
let client: Client;
let room: Room;

const name = (at: number): string => `u-${String(at).padStart(3, "0")}`;

beforeEach(() => {
  world = createWorld();
  hall = createHall(world);
  for (let at = 0; at < 300; at += 1) hall.enter(name(at));
  client = createClient({ ...asAnn, env: world.env });
  room = client.room("hall", { enter: false });
});

/** Opens a window, and waits as long as that takes. */
async function open(rows: Rows, more?: Parameters<Room["window"]>[1]): Promise<RoomWindow> {
  const opening = room.window(rows, more);
  await world.pass();
  return opening;
}

function sent(type: string): unknown[] {
  return world.wires.flatMap((wire) => wire.sent).filter((message) => message["type"] === type);
}

const ids = (view: { readonly users: readonly { readonly id: string }[] }): string[] => view.users.map(({ id }) => id);

describe("a window", () => {
  it("enters without reading everything, and has rows and totals", async () => {
    const view = await open({ from: 25, count: 10 }, { state: { seat: 7 } });
    expect(sent("presence:join")).toMatchObject([
      { room: "hall", window: { from: 25, count: 10 }, state: { seat: 7 } },
    ]);
    expect(ids(view)).toEqual(hall.ids().slice(20, 40));
    expect(view.snapshot).toMatchObject({
      status: { kind: "live" },
      stale: false,
      from: 20,
      count: 20,
      total: 301,
      sessions: 301,
      mode: "exact",
      error: null,
    });
    expect(view).toMatchObject({ from: 20, count: 20, total: 301, sessions: 301, mode: "exact" });
    expect(Object.isFrozen(view.snapshot)).toBe(true);
    expect(client.connection.snapshot.status).toBe("live");
  });

  it("shows what is different, and keeps the objects of what is not", async () => {
    const view = await open({ from: 0, count: 20 });
    const before = view.snapshot;
    const listener = vi.fn();
    const off = view.subscribe(listener);
    hall.tick();
    await world.pass(20);
    expect(listener).not.toHaveBeenCalled();
    expect(view.snapshot).toBe(before);
    hall.leave(name(3));
    hall.wide = true;
    hall.tick();
    await world.pass(20);
    expect(listener).toHaveBeenCalledTimes(1);
    expect(view).toMatchObject({ total: 300, mode: "wide" });
    expect(ids(view)).toEqual(hall.ids().slice(0, 20));
    expect(view.users[3]).toBe(before.users[3]);
    expect(view.users[4]).toBe(before.users[5]);
    off();
    hall.leave(name(4));
    hall.tick();
    await world.pass(20);
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it("keeps its rows when only the totals are told", async () => {
    const view = await open({ from: 0, count: 20 });
    const { users } = view;
    const listener = vi.fn();
    view.subscribe(listener);
    hall.again(name(200));
    hall.tick();
    await world.pass(20);
    expect(listener).toHaveBeenCalledTimes(1);
    expect(view.sessions).toBe(302);
    expect(view.users).toBe(users);
  });

  it("beyond the end has no rows, and still totals", async () => {
    const view = await open({ from: 4_000, count: 20 });
    expect(view).toMatchObject({ users: [], total: 301, from: 4_000 });
  });

  it("has its rows stand for the room, and tells of nobody coming and going", async () => {
    const told = vi.fn();
    for (const type of ["join", "leave", "update"] as const) room.on(type, told);
    const view = await open({ from: 0, count: 20 });
    expect(room.users.map(({ id }) => id)).toEqual(ids(view));
    hall.leave(name(0));
    hall.tick();
    view.move({ from: 100, count: 20 });
    await world.pass(20);
    expect(room.users.map(({ id }) => id)).toEqual(ids(view));
    expect(told).not.toHaveBeenCalled();
  });

  it("is a place to speak from, whoever is seen through it", async () => {
    await open({ from: 4_000, count: 20 });
    room.cursor({ x: 1, y: 1 });
    room.update({ n: 1 });
    await world.pass(50);
    expect(sent("presence:cursor")).toHaveLength(1);
    expect(sent("presence:update")).toMatchObject([{ state: { n: 1 } }]);
    expect(room.me.state).toEqual({ n: 1 });
  });

  it("asks for nothing more: what comes is whole", async () => {
    await open({ from: 0, count: 20 });
    await world.pass(20_000);
    hall.tick();
    world.wire().say({ type: "ping", timestamp: 1 });
    await world.pass(20_000);
    world.wire().say({ type: "ping", timestamp: 1 });
    await world.pass(30_000);
    expect(sent("presence:sync")).toEqual([]);
    expect(world.wires).toHaveLength(1);
  });
});

describe("moves", () => {
  it("are gathered while one is on its way: only the newest is said", async () => {
    const view = await open({ from: 0, count: 20 });
    hall.isSlow = true;
    for (let from = 0; from <= 200; from += 1) view.move({ from, count: 20 });
    await world.pass();
    expect(sent("presence:window")).toMatchObject([{ room: "hall", from: 1, count: 20 }]);
    // What comes meanwhile is of the place before, and no answer.
    hall.leave(name(0));
    hall.tick();
    await world.pass();
    expect(sent("presence:window")).toHaveLength(1);
    hall.answer();
    await world.pass();
    hall.answer();
    await world.pass();
    expect(sent("presence:window")).toMatchObject([{ from: 1 }, { from: 200, count: 20 }]);
    expect(ids(view)).toEqual(hall.ids().slice(200, 220));
  });

  it("within what is shown already are not said", async () => {
    const view = await open({ from: 0, count: 35 });
    view.move({ from: 3, count: 35 });
    view.move({ from: 5, count: 20 });
    view.move({ from: 4, count: 36 });
    await world.pass();
    expect(sent("presence:window")).toEqual([]);
    view.move({ from: 5, count: 15 });
    await world.pass();
    expect(sent("presence:window")).toMatchObject([{ from: 5, count: 15 }]);
    expect(view).toMatchObject({ from: 0, count: 20 });
  });

  it("that come back before they are answered say so", async () => {
    const view = await open({ from: 0, count: 20 });
    hall.isSlow = true;
    view.move({ from: 100, count: 20 });
    view.move({ from: 0, count: 20 });
    await world.pass();
    hall.answer();
    await world.pass();
    hall.answer();
    await world.pass();
    expect(view.from).toBe(0);
    expect(hall.seen()).toEqual({ from: 0, count: 20 });
  });

  it("that are refused leave the window where it was, and are told of", async () => {
    const view = await open({ from: 40, count: 20 });
    const errors = vi.fn();
    room.on("error", errors);
    hall.refusal = { code: "bad_message", message: "must be from 1 to 200", field: "count" };
    view.move({ from: 0, count: 1_000 });
    await world.pass();
    expect(errors).toHaveBeenCalledTimes(1);
    expect(view.snapshot.error).toMatchObject({ code: "bad_message", field: "count" });
    expect(view.snapshot).toMatchObject({ from: 40, count: 20, status: { kind: "live" } });
    // It comes back to where it was.
    hall.drop();
    await world.pass(5_000);
    expect(hall.seen()).toEqual({ from: 40, count: 20 });
    view.move({ from: 0, count: 20 });
    await world.pass();
    expect(view.snapshot).toMatchObject({ from: 0, error: null });
  });

  it("for which the server has no time are made again, to where it is to be by then", async () => {
    const view = await open({ from: 0, count: 20 });
    hall.refusal = { code: "busy", message: "too many windows", field: "window", retry_after_ms: 500 };
    view.move({ from: 60, count: 20 });
    await world.pass(100);
    view.move({ from: 120, count: 20 });
    await world.pass(300);
    expect(sent("presence:window")).toHaveLength(1);
    await world.pass(200);
    expect(sent("presence:window")).toMatchObject([{ from: 60 }, { from: 120 }]);
    expect(view.snapshot).toMatchObject({ from: 120, error: null });
  });
});

describe("a connection that is lost", () => {
  it("says anew what is watched, where it is to be by then", async () => {
    const view = await open({ from: 0, count: 20 });
    const { users } = view;
    hall.drop();
    expect(view.snapshot).toMatchObject({ stale: true, status: { kind: "stale" } });
    expect(view.users).toBe(users);
    view.move({ from: 80, count: 20 });
    await world.pass(5_000);
    expect(sent("presence:join").at(-1)).toMatchObject({ window: { from: 80, count: 20 } });
    expect(sent("presence:window")).toEqual([]);
    expect(ids(view)).toEqual(hall.ids().slice(80, 100));
    expect(view.snapshot.stale).toBe(false);
  });

  it("forgets a move that was on its way", async () => {
    const view = await open({ from: 0, count: 20 });
    hall.isSlow = true;
    view.move({ from: 80, count: 20 });
    await world.pass();
    hall.isSlow = false;
    hall.drop();
    await world.pass(5_000);
    view.move({ from: 120, count: 20 });
    await world.pass();
    expect(view.from).toBe(120);
  });

  it("is taken for what it is if the server is another one", async () => {
    const drifts = vi.fn();
    client.on("drift", drifts);
    const view = await open({ from: 0, count: 20 });
    hall.restart();
    await world.pass(5_000);
    expect(view.snapshot.stale).toBe(false);
    expect(drifts).not.toHaveBeenCalled();
  });
});

describe("what is refused", () => {
  it("rejects with what was wrong, and does not hold the room", async () => {
    hall.refusal = { code: "bad_message", message: "must be from 1 to 200", field: "count" };
    const opening = room.window({ from: 0, count: 0 });
    const said = expect(opening).rejects.toMatchObject({ name: "PresenceError", code: "bad_message", field: "count" });
    await world.pass(5_000);
    await said;
    expect(room.snapshot.status.kind).toBe("out");
    expect(await open({ from: 0, count: 20 })).toMatchObject({ total: 301 });
  });

  it("is asked for again if the server has no time", async () => {
    hall.refusal = { code: "busy", message: "too many windows", field: "window", retry_after_ms: 250 };
    const opening = room.window({ from: 0, count: 20 });
    await world.pass(300);
    expect(await opening).toMatchObject({ total: 301 });
  });

  it("may be a room that is too large to be read: a window is let in", async () => {
    hall.refusal = null;
    const pass = world.onSent;
    world.onSent = (wire, message) =>
      message["type"] === "presence:join" && !message["window"]
        ? wire.say({
            type: "error",
            code: "too_large",
            message: "no",
            field: "window",
            room: "hall",
            ref: message["ref"],
          })
        : pass(wire, message);
    const release = room.enter();
    await world.pass();
    expect(room.snapshot.status).toMatchObject({ kind: "refused", error: { code: "too_large", field: "window" } });
    const view = await open({ from: 0, count: 20 });
    expect(view.snapshot).toMatchObject({ total: 301, status: { kind: "live" } });
    release();
  });

  it("is what can not be read, which is told of", async () => {
    const view = await open({ from: 0, count: 20 });
    const errors = vi.fn();
    client.on("error", errors);
    world.wire().say({ type: "presence:window", room: "hall", epoch: "e-1", version: 1, from: "?" });
    expect(errors.mock.calls[0]?.[0]).toMatchObject({ code: "bad_answer" });
    expect(view.total).toBe(301);
  });
});

describe("the room behind it", () => {
  it("that was read as a whole becomes its rows, and is read again when it is closed", async () => {
    room.enter();
    await world.pass();
    expect(room.users).toHaveLength(301);
    const told = vi.fn();
    for (const type of ["join", "leave", "update"] as const) room.on(type, told);
    const view = await open({ from: 0, count: 20 });
    expect(sent("presence:window")).toMatchObject([{ room: "hall", from: 0, count: 20 }]);
    expect(room.users).toHaveLength(20);
    view.close();
    await world.pass(1_000);
    expect(hall.seen()).toBe("all");
    expect(room.users).toHaveLength(301);
    expect(told).not.toHaveBeenCalled();
    hall.enter("zoe");
    expect(told).toHaveBeenCalledTimes(1);
    expect(sent("presence:leave")).toEqual([]);
  });

  it("that is on its way in as a whole becomes its rows when it is there", async () => {
    hall.isSlow = true;
    room.enter();
    await world.pass();
    const opening = room.window({ from: 0, count: 20 });
    await world.pass();
    hall.answer();
    await world.pass();
    hall.answer();
    expect(ids(await opening)).toEqual(hall.ids().slice(0, 20));
    expect(hall.seen()).toEqual({ from: 0, count: 20 });
  });

  it("is left a moment after it was closed, and not if it is opened again in time", async () => {
    const view = await open({ from: 0, count: 20 });
    view.close();
    view.close();
    await world.pass(500);
    const again = await open({ from: 0, count: 20 });
    await world.pass(5_000);
    expect([sent("presence:join").length, sent("presence:leave").length]).toEqual([1, 0]);
    view.move({ from: 100, count: 20 });
    await world.pass();
    expect(sent("presence:window")).toEqual([]);
    again.close();
    await world.pass(1_000);
    expect(hall.seen()).toBe("out");
    expect(room.snapshot.status.kind).toBe("out");
    client.disconnect({ permanent: true });
    expect(world.timers()).toBe(0);
  });

  it("has one window for all who ask, and the last who moves it says where it is", async () => {
    const one = await open({ from: 0, count: 20 });
    const other = await open({ from: 100, count: 20 });
    expect(ids(one)).toEqual(ids(other));
    expect(one.from).toBe(100);
    one.close();
    await world.pass(5_000);
    other.move({ from: 40, count: 20 });
    await world.pass();
    expect(other.from).toBe(40);
    expect(await open({ from: 41, count: 10 })).toMatchObject({ from: 40 });
    expect(sent("presence:window")).toHaveLength(2);
  });

  it("is given up by a signal, before it is open and after", async () => {
    await expect(room.window({ from: 0, count: 20 }, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "cancelled",
    });
    const before = new AbortController();
    hall.isSlow = true;
    const opening = expect(room.window({ from: 0, count: 20 }, { signal: before.signal })).rejects.toMatchObject({
      code: "cancelled",
    });
    await world.pass();
    before.abort();
    hall.answer();
    hall.isSlow = false;
    await opening;
    await world.pass(1_000);
    expect(hall.seen()).toBe("out");
    const after = new AbortController();
    await open({ from: 0, count: 20 }, { signal: after.signal });
    after.abort();
    await world.pass(1_000);
    expect(hall.seen()).toBe("out");
  });

  it("hears nothing any more of a move that was on its way when it was closed", async () => {
    const release = room.enter();
    const view = await open({ from: 0, count: 20 });
    hall.isSlow = true;
    hall.refusal = { code: "busy", message: "too many windows", retry_after_ms: 100 };
    view.move({ from: 60, count: 20 });
    view.close();
    await world.pass(1_000);
    hall.answer();
    await world.pass(5_000);
    expect(hall.seen()).toBe("all");
    expect(room.users).toHaveLength(301);
    expect(sent("presence:window")).toHaveLength(2);
    release();
  });

  it("is gone with the client", async () => {
    const view = await open({ from: 0, count: 20 });
    client.disconnect({ permanent: true });
    expect(view.snapshot).toMatchObject({ status: { kind: "out" }, total: 301 });
    await world.pass();
    expect(world.timers()).toBe(0);
  });
});

it("shows in the end what the server has where it is to be, whatever happens on the way", async () => {
  const rows = fc.record({ from: fc.integer({ min: 0, max: 90 }), count: fc.integer({ min: 1, max: 50 }) });
  const user = fc.integer({ min: 0, max: 70 }).map(name);
  const action = fc.oneof(
    fc.record({ kind: fc.constant("move" as const), rows }),
    fc.record({ kind: fc.constantFrom("enter", "leave", "again"), user }),
    fc.record({
      kind: fc.constantFrom("tick", "answer", "drop", "restart", "slow", "fast", "busy", "reopen", "enterAll"),
    }),
    fc.record({ kind: fc.constant("pass" as const), time: fc.constantFrom(0, 100, 700, 2_000) }),
  );
  await fc.assert(
    fc.asyncProperty(rows, fc.array(action, { maxLength: 40 }), async (first, actions) => {
      world = createWorld();
      hall = createHall(world);
      for (let at = 0; at < 60; at += 1) hall.enter(name(at));
      client = createClient({ ...asAnn, env: world.env });
      room = client.room("hall", { enter: false });
      let wanted = first;
      let view = await open(first);
      let release = (): void => {};
      for (const one of actions) {
        if ("rows" in one) {
          wanted = one.rows;
          view.move(wanted);
        } else if ("user" in one) hall[one.kind as "enter" | "leave" | "again"](one.user);
        else if ("time" in one) await world.pass(one.time);
        else if (one.kind === "slow" || one.kind === "fast") hall.isSlow = one.kind === "slow";
        else if (one.kind === "busy") hall.refusal = { code: "busy", message: "no", retry_after_ms: 300 };
        else if (one.kind === "enterAll") release = room.enter();
        else if (one.kind !== "reopen") hall[one.kind as "tick" | "answer" | "drop" | "restart"]();
        else {
          view.close();
          void room.window(wanted).then((next) => {
            view = next;
          });
          hall.isSlow = false;
          hall.answer();
          hall.refusal = null;
          await world.pass(40_000);
        }
      }
      hall.isSlow = false;
      hall.answer();
      await world.pass(40_000);
      hall.tick();
      await world.pass(20);
      const start = Math.floor(wanted.from / 20) * 20;
      const end = Math.ceil((wanted.from + wanted.count) / 20) * 20;
      expect(hall.seen()).toEqual({ from: start, count: end - start });
      expect(view.snapshot).toMatchObject({
        from: start,
        count: end - start,
        total: hall.ids().length,
        stale: false,
        error: null,
      });
      expect(ids(view)).toEqual(hall.ids().slice(start, end));
      release();
      view.close();
      client.disconnect({ permanent: true });
      await world.pass(30_000);
      expect(world.timers()).toBe(0);
    }),
    { numRuns: Number(process.env["FC_RUNS"] ?? 150) },
  );
}, 120_000);
