// A client that a test drives: it shows what it is told to, and writes down what a real one would say to a server.
import type {
  Client,
  ClientEvents,
  ConnectionSnapshot,
  Cursor,
  Message,
  Release,
  RemoteCursor,
  Room,
  RoomEvents,
  RoomSnapshot,
  RoomWindow,
  User,
  UserStatus,
  WindowSnapshot,
} from "../../../src/api.ts";
import type { PresenceError } from "../../../src/errors.ts";

/** A room that a test drives. */
export interface FakeRoom {
  readonly room: Room;
  readonly show: (patch: Partial<RoomSnapshot>) => void;
  readonly emit: <Type extends keyof RoomEvents>(type: Type, event: RoomEvents[Type]) => void;
  /** What a window of it shows from now on; an error refuses the next one. */
  readonly look: (shown: Partial<WindowSnapshot> | PresenceError) => void;
  /** How many hold it, listen to it, and handle its events. */
  readonly held: () => { holds: number; listeners: number; handlers: number };
}

/** A client that a test drives. */
export interface FakeClient {
  readonly client: Client;
  /** What was said to the server, in order. */
  readonly said: string[];
  readonly room: (id: string) => FakeRoom;
  readonly connect: (state: Partial<ConnectionSnapshot>) => void;
  readonly emit: <Type extends keyof ClientEvents>(type: Type, event: ClientEvents[Type]) => void;
  readonly stand: (status: UserStatus) => void;
  /** How many watch users, listen to the connection, and handle events. */
  readonly held: () => { watchers: number; listeners: number; handlers: number };
  /** Lets rooms that nobody holds any more be left, as a moment does. */
  readonly linger: () => void;
}

class Signals<Events> {
  readonly #handlers = new Map<keyof Events, Set<(event: never) => void>>();
  on = <Type extends keyof Events>(type: Type, handler: (event: Events[Type]) => void): Release => {
    const own = (event: Events[Type]): void => handler(event);
    const set = this.#handlers.get(type) ?? new Set();
    this.#handlers.set(type, set.add(own));
    return () => {
      set.delete(own);
    };
  };
  emit = <Type extends keyof Events>(type: Type, event: Events[Type]): void => {
    for (const handler of this.#handlers.get(type) ?? []) (handler as (event: Events[Type]) => void)(event);
  };
  count = (): number => [...this.#handlers.values()].reduce((sum, set) => sum + set.size, 0);
}

const unasked = (): never => {
  throw new Error("no test needs this");
};

function createFakeRoom(id: string, said: string[], left: Set<() => void>): FakeRoom {
  const signals = new Signals<RoomEvents & { changed: null }>();
  const events = new Signals<RoomEvents>();
  let holds = 0;
  let isIn = false;
  let snapshot: RoomSnapshot = {
    id,
    status: { kind: "out" },
    stale: false,
    users: [],
    others: [],
    me: { id: null, sessionId: null, user: null, state: {}, cursor: null, typing: false },
    cursors: [],
    typing: [],
    messages: [],
  };
  const show = (patch: Partial<RoomSnapshot>): void => {
    snapshot = Object.freeze({ ...snapshot, ...patch });
    signals.emit("changed", null);
  };
  const hold: Room["enter"] = (options) => {
    holds += 1;
    if (!isIn) said.push(`join ${id} ${JSON.stringify(options?.state ?? null)}`);
    isIn = true;
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      holds -= 1;
      left.add(() => {
        if (holds > 0 || !isIn) return;
        isIn = false;
        said.push(`leave ${id}`);
      });
    };
  };
  let shown: WindowSnapshot = {
    status: { kind: "live" },
    stale: false,
    from: 0,
    count: 0,
    users: [],
    total: 0,
    sessions: 0,
    mode: "exact",
    error: null,
  };
  let refusal: PresenceError | null = null;
  const open: Room["window"] = async ({ from, count }, { state, signal } = {}) => {
    await Promise.resolve();
    if (refusal || signal?.aborted) throw refusal;
    said.push(`window ${id} ${from}+${count}${state ? ` ${JSON.stringify(state)}` : ""}`);
    const close = (): void => void said.push(`close ${id}`);
    signal?.addEventListener("abort", close);
    const view: Omit<RoomWindow, keyof WindowSnapshot> = {
      get snapshot() {
        return shown;
      },
      subscribe: (listener) => signals.on("changed", listener),
      move: (rows) => void said.push(`move ${id} ${rows.from}+${rows.count}`),
      close,
    };
    return view as RoomWindow;
  };
  const room: Room = {
    id,
    get snapshot() {
      return snapshot;
    },
    get users() {
      return snapshot.users;
    },
    get others() {
      return snapshot.others;
    },
    get me() {
      return snapshot.me;
    },
    subscribe: (listener) => signals.on("changed", listener),
    on: events.on,
    enter: hold,
    leave: unasked,
    window: open,
    update: (patch) => void said.push(`update ${id} ${JSON.stringify(patch)}`),
    cursor: (cursor) => void said.push(`cursor ${id} ${JSON.stringify(cursor)}`),
    typing: (typing = true) => void said.push(`typing ${id} ${typing}`),
    send: unasked,
    resend: unasked,
    discard: unasked,
  };
  return {
    room,
    show,
    emit: events.emit,
    look(next) {
      refusal = next instanceof Error ? next : null;
      if (refusal) return;
      shown = Object.freeze({ ...shown, ...next } as WindowSnapshot);
      signals.emit("changed", null);
    },
    held: () => ({ holds, listeners: signals.count(), handlers: events.count() }),
  };
}

const FACTS: ConnectionSnapshot = {
  status: "idle",
  attempt: 0,
  rtt: null,
  quality: "disconnected",
  stale: false,
  syncedAt: null,
  pending: 0,
};

export function createFake(): FakeClient {
  const said: string[] = [];
  const left = new Set<() => void>();
  const rooms = new Map<string, FakeRoom>();
  const signals = new Signals<{ changed: null; status: UserStatus }>();
  const events = new Signals<ClientEvents>();
  const watched = new Map<string, number>();
  const statuses = new Map<string, UserStatus>();
  let connection = FACTS;
  let listeners = 0;
  const room = (id: string): FakeRoom => {
    const known = rooms.get(id) ?? createFakeRoom(id, said, left);
    rooms.set(id, known);
    return known;
  };
  const client: Client = {
    connection: {
      get snapshot() {
        return connection;
      },
      subscribe(listener) {
        listeners += 1;
        const release = signals.on("changed", listener);
        return () => {
          listeners -= 1;
          release();
        };
      },
      retryNow: () => void said.push("retry"),
    },
    identity: null,
    room(id, options = {}) {
      const fake = room(id);
      if (options.enter !== false) fake.room.enter(options);
      return fake.room;
    },
    on: events.on,
    watch(ids, handler) {
      for (const id of ids) watched.set(id, (watched.get(id) ?? 0) + 1);
      const release = signals.on("status", (status) => {
        if (ids.includes(status.id)) handler(status);
      });
      return () => {
        for (const id of ids) watched.set(id, (watched.get(id) ?? 0) - 1);
        release();
      };
    },
    status: (id) => ((watched.get(id) ?? 0) > 0 ? (statuses.get(id) ?? null) : null),
    listUsers: unasked,
    send: unasked,
    updateProfile: unasked,
    rename: unasked,
    request: unasked,
    connect: () => void said.push("connect"),
    disconnect: () => void said.push("disconnect"),
    enable: () => void said.push("enable"),
    disable: () => void said.push("disable"),
  };
  return {
    client,
    said,
    room,
    connect(state) {
      connection = Object.freeze({ ...connection, ...state } as ConnectionSnapshot);
      signals.emit("changed", null);
    },
    emit: events.emit,
    stand(status) {
      statuses.set(status.id, status);
      signals.emit("status", status);
    },
    held: () => ({ watchers: [...watched.values()].reduce((a, b) => a + b, 0), listeners, handlers: events.count() }),
    linger() {
      for (const leave of left) leave();
      left.clear();
    },
  };
}

/** A user as a room shows them. */
export function person(name: string, fields: Partial<User> = {}): User {
  return {
    id: name.toLowerCase(),
    name,
    color: "#17727d",
    avatar: null,
    email: null,
    joinedAt: 0,
    lastSeen: 0,
    status: "online",
    connectionCount: 1,
    sessions: [],
    ...fields,
  };
}

/** Where somebody points. */
export function pointing(user: User, cursor: Cursor): RemoteCursor {
  return { key: `${user.id}/tab-1`, sessionId: "tab-1", user, cursor };
}

/** A message of somebody. */
export function message(user: User, text: string): Message {
  return {
    key: `${user.id}/${text}`,
    room: "doc",
    id: text,
    userId: user.id,
    userName: user.name,
    data: text,
    timestamp: 0,
    own: false,
    delivery: { state: "stored", seq: 1, durability: null },
  };
}
