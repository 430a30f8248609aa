// A client: one connection, and the rooms and features that share it.
import { createActivity } from "./activity.ts";
import type { Client, ClientEvents, ClientOptions, Identity, JsonObject, Profile, Release } from "./api.ts";
import { createEmitter, type Guard } from "./emitter.ts";
import { createEnv } from "./env.ts";
import { PresenceError } from "./errors.ts";
import type { Features, Host } from "./features.ts";
import { createCredentials } from "./link/credentials.ts";
import { createLink } from "./link/link.ts";
import { sessionName } from "./link/session.ts";
import { createRoom, type House, type Resident } from "./room/room.ts";
import type { Said, ServerMessage } from "./wire/messages.ts";
import { ROOM_SHAPES } from "./wire/parse.ts";

const CHECK_EVERY = 60_000;

/** The server's address without what a client adds: any scheme of it, and no slash at the end. */
function baseOf(url: string | URL): string {
  // Where pages are only prepared, nothing connects, and any address will do.
  const page = typeof location === "undefined" ? "http://localhost" : location.href;
  const { protocol, host, pathname } = new URL(url, page);
  return `${protocol.replace("ws", "http")}//${host}${pathname.replace(/\/+$/u, "")}`;
}

/** Makes a client of these features. */
export function createClientOf(features: Features, options: ClientOptions): Client {
  const env = createEnv(options.env ?? {}, features.transports);
  const base = baseOf(options.url);
  const credentials = createCredentials(options, env);
  const ownId = options.user && "id" in options.user ? options.user.id : null;

  let isReporting = false;
  const guard: Guard = (call) => {
    try {
      call();
    } catch (cause) {
      if (!isReporting && emitter.hears("error")) {
        isReporting = true;
        emitter.emit("error", new PresenceError("handler", "a handler has thrown", { cause }));
        isReporting = false;
      } else {
        // As with any handler of a page: it is reported, and stops nothing.
        queueMicrotask(() => {
          throw cause;
        });
      }
    }
  };
  const emitter = createEmitter<ClientEvents>(guard);

  /** Rooms that are held, or have just been. */
  const residents = new Map<string, Resident>();
  /** All that somebody still has: one object for each room, as long as there is one. */
  const known = new Map<string, WeakRef<Resident>>();
  const claim = new AbortController();
  let profile: Profile = options.user ?? {};
  let identity: Identity | null = null;
  let tick = 0;
  let drifts = 0;
  let session: Promise<string> | null = null;
  let isSpent = false;
  let isCaughtUp = false;
  let whileOpen: Release[] = [];

  const selfId = (): string | null => identity?.userId ?? ownId;

  const introduce = async (token: string | null): Promise<{ query: URLSearchParams; hello: JsonObject | null }> => {
    session ??= sessionName(env, options.sessionId, base, claim.signal);
    const query = new URLSearchParams({ session_id: await session });
    if (token !== null) return { query, hello: { type: "auth", token } };
    if (ownId !== null) query.set("user_id", ownId);
    if (profile.name !== undefined) query.set("user_name", profile.name);
    return { query, hello: null };
  };

  const link = createLink({
    options,
    env,
    guard,
    credentials,
    base,
    shapes: { ...ROOM_SHAPES, ...features.shapes },
    introduce,
    opened,
    received,
    lost,
    state: (snapshot) => emitter.emit("state", snapshot),
    error: (error) => emitter.emit("error", error),
  });
  const connect = (): void => {
    if (!isSpent) link.connect();
  };

  const host: Host = {
    env,
    guard,
    options,
    say: link.send,
    isOpen: link.isOpen,
    self: () => ({ id: selfId(), name: profile.name ?? null }),
    isHeld: (room) => residents.has(room),
    isEntering: (room) => residents.get(room)?.isEntering() ?? false,
    tell: emitter.emit,
    hears: emitter.hears,
    tellRoom: (room, type, event) => residents.get(room)?.emit(type, event),
    changed(room, pending) {
      residents.get(room)?.changed();
      link.setPending(pending);
    },
  };
  const messages = features.messages(host);
  const directory = features.directory(host);
  const parts = [messages, directory];

  const house: House = {
    env,
    guard,
    messages,
    identity: () => identity,
    selfId,
    profile() {
      const { name, color, avatar, email } = profile;
      // With a token the token says who this is.
      const id = options.token === undefined && !options.getToken ? ownId : undefined;
      const fields = Object.entries({ id, name, color, avatar, email });
      return Object.fromEntries(fields.flatMap(([key, value]) => (value == null ? [] : [[key, value]])));
    },
    tick: () => tick,
    isOpen: link.isOpen,
    say: link.send,
    drift(room, kind) {
      drifts += 1;
      emitter.emit("drift", { room, kind, count: drifts });
    },
    wanted(resident) {
      residents.set(resident.room.id, resident);
      connect();
    },
    settled() {
      messages.flush();
      catchUp();
    },
    vacated: (resident) => residents.delete(resident.room.id),
  };

  /** The connection is open: everything is said anew. */
  function opened(message: Said<"connected">): void {
    const { userId, sessionId, connectionId } = message;
    identity = { userId, sessionId, connectionId };
    tick = message.limits.tickMs;
    isCaughtUp = false;
    emitter.emit("identity", identity);
    const say = (active: boolean): void => link.send({ type: "presence:activity", active });
    const activity = createActivity(env, options.idleAfter, say);
    let check: Release = () => {};
    const checkLater = (): void => {
      // Not all clients at once.
      check = env.after((options.checkEvery ?? CHECK_EVERY) * (0.75 + env.random() / 2), () => {
        for (const resident of residents.values()) resident.check();
        checkLater();
      });
    };
    checkLater();
    whileOpen = [activity.stop, () => check()];
    if (!activity.isActive()) say(false);
    for (const resident of residents.values()) resident.open();
    for (const part of parts) part.receive(message);
    for (const part of parts) part.opened();
    catchUp();
  }

  /** When all rooms are entered, what was missed of messages is asked for once; then everything is in step. */
  function catchUp(): void {
    if (!link.isOpen() || [...residents.values()].some((resident) => resident.isEntering())) return;
    if (isCaughtUp) return link.synced();
    isCaughtUp = true;
    messages.sync(link.synced);
  }

  function lost(): void {
    for (const end of whileOpen) end();
    whileOpen = [];
    for (const part of parts) part.lost();
    for (const resident of residents.values()) resident.lost();
  }

  function received(message: ServerMessage): void {
    for (const part of parts) part.receive(message);
    switch (message.type) {
      case "unknown":
        return emitter.emit("unknown", message.message);
      case "error":
        emitter.emit("error", message.error);
        residents.get(message.error.room ?? "")?.receive(message);
        return;
    }
    if ("room" in message) residents.get(message.room)?.receive(message);
  }

  function residentOf(id: string): Resident {
    const there = residents.get(id) ?? known.get(id)?.deref();
    if (there) return there;
    const resident = createRoom(id, house);
    for (const [name, other] of known) if (!other.deref()) known.delete(name);
    known.set(id, new WeakRef(resident));
    return resident;
  }

  const updateProfile = (next: Profile): void => {
    profile = { ...profile, ...next };
    for (const resident of residents.values()) resident.introduce();
  };

  return {
    connection: link.connection,
    get identity() {
      return identity;
    },
    room(id, how = {}) {
      const resident = residentOf(id);
      if (how.enter !== false && !isSpent) resident.take(how.state);
      return resident.room;
    },
    on: emitter.on,
    watch(userIds, handler) {
      connect();
      return directory.watch(userIds, handler);
    },
    status: directory.status,
    listUsers: directory.listUsers,
    send(room, data, how) {
      connect();
      return messages.send(room, data, how);
    },
    updateProfile,
    rename: (name) => updateProfile({ name }),
    request: (...call) => features.request({ env, base, credentials, userId: selfId() }, ...call),
    connect,
    disconnect({ permanent = false } = {}) {
      for (const resident of [...residents.values()]) {
        if (permanent) resident.evict();
        else link.send({ type: "presence:leave", room: resident.room.id });
      }
      link.disconnect();
      if (!permanent) return;
      isSpent = true;
      messages.clear();
      claim.abort();
    },
    enable: link.enable,
    disable: link.disable,
  };
}
