// A world for tests: time that passes when it is told to, chance that is known, a page, and wires in the test's hands.

// What a client loads when it needs it is there at once: time in a test does not wait for files.
import "../../src/directory.ts";
import "../../src/link/credentials.ts";
import "../../src/link/stream.ts";
import "../../src/messages/keeper.ts";
import "../../src/messages/post.ts";
import "../../src/request.ts";
import "../../src/upkeep.ts";
import "../../src/windows.ts";
import type {
  ClientOptions,
  Dial,
  Env,
  JsonObject,
  OpenTransport,
  PageEvent,
  Release,
  Transport,
  TransportEvents,
  TransportKind,
} from "../../src/api.ts";

/** One connection as the server's side has it. */
export interface Wire {
  readonly kind: TransportKind;
  readonly dial: Dial;
  readonly sent: JsonObject[];
  /** The code that the client closed it with; `null` while it has not. */
  closedWith: number | null;
  readonly say: (message: object) => void;
  readonly close: (code: number, retryAfter?: number) => void;
}

export interface World {
  readonly env: Env;
  readonly wires: Wire[];
  /** The newest connection. */
  readonly wire: () => Wire;
  /** Lets time pass, and everything happen that is due. */
  readonly pass: (milliseconds?: number) => Promise<void>;
  readonly page: { online: boolean; visible: boolean; tell: (event: PageEvent) => void };
  /** Hears of every connection that a client opens, and of everything it says. */
  onDial: (wire: Wire) => void;
  onSent: (wire: Wire, message: JsonObject) => void;
  onClosed: (wire: Wire) => void;
  random: () => number;
  /** Timers that have not fired. */
  readonly timers: () => number;
}

/** Lets promises settle: nothing here waits for anything but them. */
async function settle(): Promise<void> {
  for (let round = 0; round < 3; round += 1) await new Promise((done) => setImmediate(done));
}

export function createWorld(): World {
  let now = 1_700_000_000_000;
  let ids = 0;
  const timers = new Map<number, { at: number; callback: () => void }>();
  const listeners = new Set<(event: PageEvent) => void>();
  const stored = new Map<string, string>();
  const wires: Wire[] = [];

  const after = (milliseconds: number, callback: () => void): Release => {
    ids += 1;
    const id = ids;
    timers.set(id, { at: now + Math.max(milliseconds, 0), callback });
    return () => {
      timers.delete(id);
    };
  };

  const open =
    (kind: TransportKind): OpenTransport =>
    (dial: Dial, events: TransportEvents): Transport => {
      let isOver = false;
      const wire: Wire = {
        kind,
        dial,
        sent: [],
        closedWith: null,
        say: (message) => isOver || events.message(JSON.stringify(message)),
        close(code, retryAfter) {
          if (isOver) return;
          isOver = true;
          events.closed(code, "", retryAfter);
        },
      };
      wires.push(wire);
      // A server never answers before it was called.
      queueMicrotask(() => world.onDial(wire));
      return {
        send(message) {
          if (isOver) return;
          const copy: JsonObject = JSON.parse(JSON.stringify(message));
          wire.sent.push(copy);
          queueMicrotask(() => isOver || world.onSent(wire, copy));
        },
        renew: () => {},
        close(code) {
          isOver = true;
          wire.closedWith ??= code;
          world.onClosed(wire);
        },
      };
    };

  const world: World = {
    env: {
      now: () => now,
      after,
      frame: (callback) => after(16, callback),
      random: () => world.random(),
      uniqueId() {
        ids += 1;
        return `id-${ids}`;
      },
      page: {
        online: () => world.page.online,
        visible: () => world.page.visible,
        subscribe(listener) {
          listeners.add(listener);
          return () => {
            listeners.delete(listener);
          };
        },
      },
      storage: {
        getItem: (key) => stored.get(key) ?? null,
        setItem: (key, value) => void stored.set(key, value),
      },
      claim: () => Promise.resolve(true),
      fetch: () => Promise.reject(new Error("there is no network in this world")),
      transports: new Map([
        ["ws", open("ws")],
        ["sse", open("sse")],
      ]),
    },
    wires,
    wire() {
      const last = wires.at(-1);
      if (!last) throw new Error("nobody has connected");
      return last;
    },
    async pass(milliseconds = 0) {
      const end = now + milliseconds;
      await settle();
      for (;;) {
        const due = [...timers]
          .filter(([, timer]) => timer.at <= end)
          .sort(([a, x], [b, y]) => x.at - y.at || a - b)[0];
        if (!due) break;
        timers.delete(due[0]);
        now = Math.max(now, due[1].at);
        due[1].callback();
        await settle();
      }
      now = end;
    },
    page: {
      online: true,
      visible: true,
      tell(event) {
        if (event === "online" || event === "offline") world.page.online = event === "online";
        if (event === "visible" || event === "hidden") world.page.visible = event === "visible";
        for (const listener of [...listeners]) listener(event);
      },
    },
    onDial: () => {},
    onSent: () => {},
    onClosed: () => {},
    random: () => 0.5,
    timers: () => timers.size,
  };
  return world;
}

/** What a server says as soon as it knows who is there. */
export function connected(userId = "ann", sessionId = "tab-1", time = 1_700_000_000_000): object {
  return {
    type: "connected",
    message: `Successfully connected as ${userId}`,
    protocol: 1,
    connection_id: "c-1",
    session_id: sessionId,
    user_id: userId,
    server_time: time,
    heartbeat_ms: 25_000,
    limits: { heartbeat_timeout_ms: 10_000, tick_ms: 33 },
  };
}

export const asAnn: Pick<ClientOptions, "url"> & { user: { id: string; name: string }; sessionId: string } = {
  url: "https://rt.example.org/",
  user: { id: "ann", name: "Ann" },
  sessionId: "tab-1",
};
