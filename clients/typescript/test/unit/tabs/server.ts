// A server in a few lines that carries event streams: one room with many sessions of one user, and what is said in it.
import type { Json, JsonObject } from "../../../src/api.ts";
import { digestOf } from "../../../src/room/digest.ts";
import { merge } from "../../../src/wire/json.ts";
import type { World } from "../world.ts";

/** How long a server waits for a session whose connection has ended in good order, and for one that is lost. */
const [GOING, LOST] = [3_000, 15_000];

/** How often a server pings. */
const HEARTBEAT = 25_000;

interface Session {
  readonly id: string;
  state: JsonObject;
  connection: string | null;
  /** Which wait for it is the present one. */
  wait: number;
  isIn: boolean;
}

interface Connection {
  readonly stream: string;
  readonly session: Session;
}

interface Stored {
  readonly id: string;
  readonly seq: number;
  readonly from: string;
  readonly data: Json;
  readonly timestamp: number;
}

interface Stream {
  readonly push: (text: string) => void;
  readonly end: (cause?: Error) => void;
}

export interface Server {
  readonly fetch: typeof fetch;
  /** Streams that are open. */
  readonly streams: () => readonly string[];
  readonly connections: ReadonlyMap<string, Connection>;
  /** Sessions that are in the room. */
  readonly sessions: () => readonly Session[];
  readonly stored: readonly Stored[];
  /** The requests that were made, without their ids. */
  readonly requests: string[];
  /** Sessions that have left the room, in order. */
  readonly left: string[];
  readonly post: (id: string, data: Json) => void;
  /** All streams break. */
  readonly drop: () => void;
  /** Says something to the connection of a session. */
  readonly say: (session: string, message: object) => void;
  /** Answers with this what is asked next for such a path. */
  readonly refuse: Map<string, () => Response>;
  /** The next request for such a path is on its way until what this returns is called. */
  readonly delay: (path: string) => () => void;
  /** Whether it answers a request to open a connection: it does it in any case. */
  isMute: boolean;
}

export function createServer(world: World): Server {
  const streams = new Map<string, Stream>();
  const connections = new Map<string, Connection>();
  const sessions = new Map<string, Session>();
  const stored: Stored[] = [];
  const requests: string[] = [];
  const left: string[] = [];
  const refuse = new Map<string, () => Response>();
  const ways = new Map<string, Promise<void>>();
  let ids = 0;
  let version = 0;
  let time = world.env.now();

  /** No two things happen at the same time. */
  const now = (): number => {
    time = Math.max(time + 1, world.env.now());
    return time;
  };
  const name = (): string => `n-${++ids}`;
  const inRoom = (): readonly Session[] => [...sessions.values()].filter((one) => one.isIn);
  const tell = (connection: string | null, message: object): void => {
    const { stream } = connections.get(connection ?? "") ?? {};
    streams.get(stream ?? "")?.push(`event: ${connection}\ndata: ${JSON.stringify(message)}\n\n`);
  };
  const shown = (): object[] =>
    inRoom().map(({ id, state }) => ({ sessionId: id, state, connectedAt: 1, active: true, cursor: null }));
  const user = (): object => ({
    ...{ id: "ann", name: "Ann", color: "#123456", joinedAt: 1, lastSeen: 1, status: "online" },
    ...{ connectionCount: inRoom().length, sessions: shown() },
  });
  const stand = (): object => {
    const connectionCount = inRoom().length;
    return {
      room: "r",
      epoch: "e",
      version,
      digest: digestOf(connectionCount > 0 ? [{ id: "ann", connectionCount }] : []),
    };
  };
  const publish = (event: object, but?: Session): void => {
    version += 1;
    for (const one of inRoom())
      if (one !== but)
        tell(one.connection, { type: "presence:userUpdated", room: "r", version, userId: "ann", ...event });
  };
  const counted = (): object => ({ connectionCount: inRoom().length, sessions: shown() });

  const leave = (session: Session): void => {
    if (!session.isIn) return;
    session.isIn = false;
    left.push(session.id);
    publish(counted());
  };

  const detach = (connection: string, grace: number): void => {
    const { session } = connections.get(connection) ?? {};
    connections.delete(connection);
    if (!session || session.connection !== connection) return;
    session.connection = null;
    session.wait += 1;
    const { wait } = session;
    world.env.after(grace, () => session.connection === null && session.wait === wait && leave(session));
  };

  const ended = (stream: string, grace: number): void => {
    streams.delete(stream);
    for (const [id, one] of connections) if (one.stream === stream) detach(id, grace);
  };

  const body = (stream: string, signal?: AbortSignal | null): ReadableStream<Uint8Array> =>
    new ReadableStream({
      start(controller) {
        const encoder = new TextEncoder();
        streams.set(stream, {
          push: (text) => controller.enqueue(encoder.encode(text)),
          end(cause) {
            ended(stream, LOST);
            if (cause) controller.error(cause);
            else controller.close();
          },
        });
        controller.enqueue(encoder.encode(`data: {"type":"shared","shared_id":"${stream}"}\n\n`));
        signal?.addEventListener("abort", () => {
          if (streams.has(stream)) controller.error(signal.reason);
          ended(stream, GOING);
        });
      },
    });

  const ping = (connection: string): void => {
    if (!connections.has(connection)) return;
    tell(connection, { type: "ping", timestamp: now() });
    world.env.after(HEARTBEAT, () => ping(connection));
  };

  const open = (stream: string, query: URLSearchParams): string => {
    const id = query.get("session_id") ?? name();
    const session = sessions.get(id) ?? { id, state: {}, connection: null, wait: 0, isIn: false };
    sessions.set(id, session);
    const old = session.connection;
    const connection = name();
    session.connection = connection;
    connections.set(connection, { stream, session });
    if (old !== null) {
      tell(old, { type: "close", code: 4409, reason: "a newer connection has the session" });
      connections.delete(old);
    }
    const who = { connection_id: connection, session_id: id, user_id: "ann", server_time: now() };
    tell(connection, { type: "connected", ...who, heartbeat_ms: 25_000, limits: { heartbeat_timeout_ms: 10_000 } });
    ping(connection);
    return connection;
  };

  const created = ({ id, seq, from, data, timestamp }: Stored): object => ({
    ...{ type: "message_created", id, room: "r", parent_thread: "r", seq, user_id: from, user_name: from },
    ...{ snapshot: data, timestamp },
  });

  const keep = (from: string, id: string, data: Json): Stored => {
    const there = stored.find((one) => one.id === id && one.from === from);
    if (there) return there;
    const message = { id, seq: stored.length + 1, from, data, timestamp: now() };
    stored.push(message);
    return message;
  };

  const take = (connection: string, session: Session, message: JsonObject): void => {
    const { ref = null, type } = message;
    const answer = (what: object): void => tell(connection, { ...what, ref });
    if (type === "presence:join") {
      const isNew = !session.isIn;
      session.isIn = true;
      if (isNew) publish(counted(), session);
      const own = { userId: "ann", sessionId: session.id };
      answer({ type: "presence:currentUsers", ...stand(), reason: "join", users: [user()], self: own });
    } else if (type === "presence:leave") leave(session);
    else if (type === "presence:update") {
      const state = message["state"] as JsonObject;
      session.state = merge(session.state, state);
      publish({ sessionId: session.id, state });
    } else if (type === "presence:sync") {
      const isRight = message["version"] === version;
      if (isRight) answer({ type: "presence:synced", ...stand() });
      else answer({ type: "presence:currentUsers", ...stand(), reason: "gap", users: [user()], self: {} });
    } else if (type === "message") {
      const known = stored.length;
      const one = keep("ann", String(message["id"]), message["data"] ?? null);
      const { id, seq, timestamp } = one;
      answer({ type: "ack", id, room: "r", seq, timestamp, durability: "disk" });
      if (stored.length > known)
        for (const other of inRoom()) if (other !== session) tell(other.connection, created(one));
    } else if (type === "sync") {
      const since = message["since"] ?? now();
      const old = stored.filter((one) => one.timestamp <= Number(since)).length;
      const from = (message["cursors"] as { readonly r?: number } | undefined)?.r ?? old;
      const messages = stored.filter((one) => one.seq > from).map(created);
      const rest = { profiles: [], rosters: [], invitations: [], dropped: [], more: false, timestamp: now() };
      answer({ type: "sync_result", messages, cursors: { r: stored.length }, ...rest });
    }
  };

  const json = (status: number, said: object): Response => new Response(JSON.stringify(said), { status });
  const gone = (): Response => json(404, { error: { code: "not_found", message: "it is gone" } });

  const answer = (method: string, path: string, query: URLSearchParams, init: RequestInit): Response => {
    const [, , one = "", two] = path.split("/");
    if (method === "GET" && one === "shared") return new Response(body(name(), init.signal));
    if (method === "POST" && one === "shared")
      return streams.has(two ?? "") ? json(201, { connection_id: open(two ?? "", query) }) : gone();
    if (method === "DELETE") {
      detach(one, GOING);
      return new Response(null, { status: 204 });
    }
    const connection = connections.get(one);
    if (!connection) return gone();
    for (const message of JSON.parse(String(init.body))) take(one, connection.session, message);
    return json(202, {});
  };

  const server: Server = {
    fetch: async (input, init = {}) => {
      const { pathname, searchParams } = new URL(String(input));
      const method = init.method ?? "GET";
      const plain = `${method} ${pathname.replace(/\/n-\d+/u, "/…")}`;
      requests.push(plain);
      const way = ways.get(plain);
      ways.delete(plain);
      // A server never answers before it was called.
      await way;
      init.signal?.throwIfAborted();
      const refused = refuse.get(plain);
      if (refused) return refused();
      const said = answer(method, pathname, searchParams, init);
      if (server.isMute && plain === "POST /sse/shared/…") return new Promise(() => {});
      return said;
    },
    streams: () => [...streams.keys()],
    connections,
    sessions: inRoom,
    stored,
    requests,
    left,
    post(id, data) {
      const message = keep("bob", id, data);
      for (const one of inRoom()) tell(one.connection, created(message));
    },
    drop() {
      for (const stream of [...streams.values()]) stream.end(new Error("the network is gone"));
    },
    say: (session, message) => tell(sessions.get(session)?.connection ?? null, message),
    refuse,
    delay(path) {
      let arrive = (): void => {};
      ways.set(path, new Promise((done) => (arrive = done)));
      return () => arrive();
    },
    isMute: false,
  };
  return server;
}
