// A server in a few lines: rooms with versions and epochs, streams with places, and every accident that a network has.
import type { Json, JsonObject } from "../../src/api.ts";
import { digestOf } from "../../src/room/digest.ts";
import { merge } from "../../src/wire/json.ts";
import type { Wire, World } from "./world.ts";
import { connected } from "./world.ts";

interface ModelSession {
  sessionId: string;
  state: JsonObject;
}

interface ModelUser {
  id: string;
  joinedAt: number;
  sessions: ModelSession[];
}

interface Stored {
  id: string;
  seq: number;
  userId: string;
  data: Json;
  timestamp: number;
}

/** How many events are kept for those who come back. */
const KEPT = 6;

export interface Model {
  readonly room: string;
  readonly users: () => ReadonlyMap<string, ModelUser>;
  readonly stream: () => readonly Stored[];
  readonly join: (userId: string) => void;
  readonly leave: (userId: string) => void;
  readonly update: (userId: string, patch: JsonObject) => void;
  readonly post: (userId: string, id: string, data: Json) => void;
  /** The next event is lost on its way. */
  loseNext: boolean;
  /** The next event comes twice. */
  repeatNext: boolean;
  /** Nobody gets through until it is over. */
  isDown: boolean;
  readonly drop: () => void;
  /** Another tab of the same user has dealt with everything. */
  readonly ackElsewhere: () => void;
  /** Another process, which knows who is there only as they come back. It may keep the streams. */
  readonly restart: (keepsStreams: boolean) => void;
  /** Acknowledgements to the client are lost together with the connection. */
  readonly dropBeforeAck: () => void;
}

export function createModel(world: World, room = "r", me = "ann"): Model {
  let epoch = 1;
  let version = 0;
  let users = new Map<string, ModelUser>();
  let events: { version: number; event: object }[] = [];
  let stream: Stored[] = [];
  let cursor = 0;
  let time = world.env.now();
  let wire: Wire | null = null;
  let isIn = false;
  let muteAck = false;
  let stopPings = (): void => {};

  const now = (): number => {
    time = Math.max(time + 1, world.env.now());
    return time;
  };
  const shape = (user: ModelUser): object => ({
    id: user.id,
    name: user.id,
    color: "#123456",
    joinedAt: user.joinedAt,
    lastSeen: user.joinedAt,
    status: "online",
    connectionCount: user.sessions.length,
    sessions: user.sessions.map((session) => ({ ...session, connectedAt: 1, active: true, cursor: null })),
  });
  const digest = (): string =>
    digestOf([...users.values()].map((user) => ({ id: user.id, connectionCount: user.sessions.length })));
  const stand = (): object => ({ room, epoch: `e-${epoch}`, version, digest: digest() });
  const say = (message: object): void => wire?.say(message);

  const publish = (event: object): void => {
    version += 1;
    const full = { ...event, room, version };
    events = [...events, { version, event: full }].slice(-KEPT);
    if (!isIn) return;
    if (model.loseNext) model.loseNext = false;
    else say(full);
    if (model.repeatNext) {
      model.repeatNext = false;
      say(full);
    }
  };

  const snapshot = (reason: string, ref: unknown): void => {
    const all = [...users.values()].map(shape);
    say({
      type: "presence:currentUsers",
      ...stand(),
      reason,
      users: all,
      self: { userId: me, sessionId: "tab-1" },
      ref,
    });
  };

  const catchUp = (since: { epoch: string; version: number }, ref: unknown, theirs?: unknown): void => {
    if (since.epoch !== `e-${epoch}`) return snapshot("epoch", ref);
    const missed = events.filter((one) => one.version > since.version);
    if (since.version > version || missed.length < version - since.version) return snapshot("gap", ref);
    if (since.version === version && theirs !== undefined && theirs !== digest()) return snapshot("drift", ref);
    for (const { event } of missed) say(event);
    say({ type: "presence:synced", ...stand(), ref });
  };

  const created = (one: Stored, redelivered: boolean): object => ({
    type: "message_created",
    id: one.id,
    room,
    parent_thread: room,
    seq: one.seq,
    user_id: one.userId,
    user_name: one.userId,
    snapshot: one.data,
    timestamp: one.timestamp,
    ...(redelivered && { redelivered }),
  });

  const keep = (userId: string, id: string, data: Json): Stored => {
    const known = stream.find((one) => one.id === id && one.userId === userId);
    if (known) return known;
    const stored = { id, seq: stream.length + 1, userId, data, timestamp: now() };
    stream = [...stream, stored];
    return stored;
  };

  const join = (userId: string, sessionId: string, state: JsonObject): void => {
    const user = users.get(userId);
    if (!user) {
      const made = { id: userId, joinedAt: now(), sessions: [{ sessionId, state: merge({}, state) }] };
      users.set(userId, made);
      publish({ type: "presence:userJoined", user: shape(made) });
    } else if (Object.keys(state).length > 0) {
      change(userId, state);
    }
  };

  const change = (userId: string, patch: JsonObject): void => {
    const session = users.get(userId)?.sessions[0];
    if (!session) return;
    session.state = merge(session.state, patch);
    publish({ type: "presence:userUpdated", userId, sessionId: session.sessionId, state: patch });
  };

  const forget = (): void => {
    muteAck = false;
    isIn = false;
    wire = null;
    stopPings();
  };

  const ping = (): void => {
    say({ type: "ping", timestamp: now() });
    stopPings = world.env.after(25_000, ping);
  };

  world.onClosed = (closed) => {
    if (closed === wire) forget();
  };

  world.onDial = (opened) => {
    if (model.isDown) return opened.close(1006);
    const old = wire;
    stopPings();
    wire = opened;
    // A newer connection has the session.
    old?.close(4409);
    isIn = false;
    say(connected(me, "tab-1", now()));
    ping();
  };

  world.onSent = (from, message) => {
    if (from !== wire) return;
    const { ref } = message;
    const fields: { readonly [name: string]: unknown } = message;
    switch (message["type"]) {
      case "presence:join": {
        isIn = false;
        const state = fields["state"];
        join(me, "tab-1", (state ?? {}) as JsonObject);
        const since = fields["since"] as { epoch: string; version: number } | undefined;
        if (since) catchUp(since, ref);
        else snapshot("join", ref);
        isIn = true;
        for (const one of stream) if (one.seq > cursor && one.userId !== me) say(created(one, true));
        return;
      }
      case "presence:update":
        return change(me, fields["state"] as JsonObject);
      case "presence:sync":
        return catchUp(fields as unknown as { epoch: string; version: number }, ref, fields["digest"]);
      case "message": {
        const stored = keep(me, String(fields["id"]), fields["data"] as Json);
        if (muteAck) return model.drop();
        return say({
          type: "ack",
          id: stored.id,
          room,
          seq: stored.seq,
          timestamp: stored.timestamp,
          durability: "disk",
          ref,
        });
      }
      case "ack":
        cursor = Math.max(cursor, Number(fields["seq"]));
        return;
      case "sync": {
        const places = (fields["cursors"] ?? {}) as { [room: string]: number };
        const since = Number(fields["since"] ?? now());
        const old = fields["since"] === undefined ? cursor : stream.filter((one) => one.timestamp <= since).length;
        const from = places[room] ?? old;
        const messages = stream.filter((one) => one.seq > from).slice(0, 3);
        const end = messages.at(-1)?.seq ?? Math.max(from, 0);
        const more = end < stream.length;
        const body = messages.map((one) => ({ ...created(one, false), type: undefined }));
        const rest = { profiles: [], rosters: [], invitations: [], dropped: [] };
        return say({
          type: "sync_result",
          messages: body,
          ...rest,
          cursors: { [room]: end },
          more,
          timestamp: since,
          ref,
        });
      }
    }
  };

  const model: Model = {
    room,
    users: () => users,
    stream: () => stream,
    join: (userId) => join(userId, `${userId}-tab`, {}),
    leave(userId) {
      if (!users.delete(userId)) return;
      publish({ type: "presence:userLeft", userId, cause: "left", lastSeen: now() });
    },
    update: change,
    post(userId, id, data) {
      const stored = keep(userId, id, data);
      if (isIn) say(created(stored, false));
    },
    loseNext: false,
    repeatNext: false,
    isDown: false,
    ackElsewhere() {
      cursor = stream.length;
    },
    drop() {
      const old = wire;
      forget();
      old?.close(1006);
    },
    restart(keepsStreams) {
      model.drop();
      epoch += 1;
      version = 0;
      users = new Map();
      events = [];
      if (keepsStreams) return;
      stream = [];
      cursor = 0;
    },
    dropBeforeAck() {
      muteAck = true;
    },
  };
  return model;
}
