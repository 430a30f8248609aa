// A client: one connection, and the rooms, messages and people that share it.
import type { Client, ClientEvents, ClientOptions, Profile, Release, Self, TokenRequest } from "./api.ts";
import { createEmitter, type Guard } from "./emitter.ts";
import { createEnv } from "./env.ts";
import { PresenceError } from "./errors.ts";
import type { Host, Hub } from "./hub.ts";
import type { Credentials } from "./link/credentials.ts";
import { createLink } from "./link/link.ts";
import { sessionName } from "./link/session.ts";
import { fetched, later } from "./load.ts";
import { createMessages } from "./messages/messages.ts";
import { createRoom, type Resident } from "./room/room.ts";

/** After how long a connection is one that lasts. */
const LASTING = 30_000;

/** The server's address without what a client adds: any scheme of it, and no slash at the end. */
function baseOf(url: string | URL): string {
  // Where pages are only prepared, nothing connects, and any address will do.
  const { origin, pathname } = new URL(url, globalThis.location?.href ?? "http://localhost");
  return (origin + pathname).replace(/^ws/u, "http").replace(/\/+$/u, "");
}

/** Makes a client. It does nothing until something is asked of it, so it may be made anywhere, on a server too. */
export function createClient(options: ClientOptions): Client {
  const env = createEnv(options.env);
  const base = baseOf(options.url);
  const { getToken, token: given = null } = options;
  const { id: ownId, ...said }: Partial<Self> = { ...options.user };
  /** With a token the token says who this is. */
  let profile: Partial<Self> = getToken || given || !ownId ? said : { ...said, id: ownId };
  /** What asks for tokens, if they are asked for. */
  let credentials: Credentials | null = null;
  /** Rooms that are held, or have just been. */
  const residents = new Map<string, Resident>();
  /** All that somebody still has: one object for each room, as long as there is one. */
  const known = new Map<string, WeakRef<Resident>>();
  /** Aborted when the client is spent. */
  const life = new AbortController();
  let session: Promise<string> | null = null;
  /** Which life of a page this is, and how often it has asked for a connection: the server may hear it in another order. */
  const attempt: [client: number, request: number] = [env.now() >>> 0, 0];
  let stopWaiting: Release = () => {};

  let isReporting = false;
  const guard: Guard = (call) => {
    try {
      call();
    } catch (cause) {
      if (isReporting || !hears("error")) {
        // As with any handler of a page: it is reported, and stops nothing.
        queueMicrotask(() => {
          throw cause;
        });
        return;
      }
      isReporting = true;
      emit("error", new PresenceError("handler", "a handler threw", { cause }));
      isReporting = false;
    }
  };
  const emitter = createEmitter<ClientEvents>(guard);
  const { emit, hears } = emitter;

  const selfId = (): string | null => hub.identity?.userId ?? ownId ?? null;

  const tokenFor = async (reason: TokenRequest["reason"], signal: AbortSignal): Promise<string | null> => {
    if (!getToken) return given;
    const { create } = await fetched(import("./link/credentials.ts"));
    credentials ??= create(getToken, env);
    return credentials.get(reason, signal);
  };

  const host: Host = {
    ...emitter,
    env,
    options,
    guard,
    life: life.signal,
    async dial(reason, signal) {
      const token = await tokenFor(reason, signal);
      session ??= sessionName(env, options.sessionId, base, life.signal);
      attempt[1] += 1;
      const query = new URLSearchParams({
        session_id: await session,
        attempt: attempt.join("-"),
        ...(profile.id && { user_id: profile.id }),
        ...(profile.name && token === null && { user_name: profile.name }),
      });
      return { base, query, token, hello: token ? { type: "auth", token } : null, fetch: env.fetch };
    },
    renew: (serverTime, use) => credentials?.renewInTime(hub, serverTime, use),
    /** Everything is said anew. */
    opened({ userId, sessionId, connectionId, limits, serverTime }) {
      hub.identity = { userId, sessionId, connectionId };
      hub.tick = limits.tickMs ?? 33;
      emit("identity", hub.identity);
      stopWaiting = env.after(env.page.visible() ? LASTING : 0, host.keepUp);
      for (const part of [upkeep.now, directory.now, ...residents.values()]) part?.opened();
      messages.setTime(serverTime);
      hub.settled();
    },
    received(message) {
      switch (message.type) {
        case "ping":
          return messages.setTime(message.timestamp);
        case "error":
          emit("error", message.error);
          return residents.get(message.error.room ?? "")?.receive(message);
        case "unknown":
          if (!directory.now?.receive(message.message) && !windows.now?.receive(message.message))
            messages.receive(message.message);
          return;
      }
      if ("room" in message) residents.get(message.room)?.receive(message);
    },
    lost() {
      stopWaiting();
      for (const part of [upkeep.now, messages, directory.now, ...residents.values()]) part?.lost();
    },
    keepUp: () => upkeep.use(() => {}),
  };
  const link = createLink(host);

  const introduceAll = (): void => {
    for (const { introduce } of residents.values()) introduce();
  };
  const hub: Hub = {
    ...host,
    ...link,
    early: { time: 0, lostAt: null, isReplaced: false },
    get upkeep() {
      return upkeep;
    },
    identity: null,
    tick: 0,
    selfId,
    profile: () => profile,
    residents,
    settled() {
      messages.now?.flush();
      // When all rooms are entered, what was missed of messages is asked for; then everything is in step.
      if (link.isOpen() && ![...residents.values()].some(({ isEntering }) => isEntering())) messages.sync(link.synced);
    },
  };
  const messages = createMessages(hub);
  // What is missing in a room comes with entering it once more, too.
  const upkeep = later(hub, () => import("./upkeep.ts"), introduceAll);
  /** People elsewhere, once somebody has asked for them. */
  const directory = later(hub, () => import("./directory.ts"));
  const windows = later(hub, () => import("./windows.ts"));

  const updateProfile = (next: Profile): void => {
    profile = { ...profile, ...next };
    introduceAll();
  };

  return {
    connection: link.connection,
    get identity() {
      return hub.identity;
    },
    room(id, how = {}) {
      const resident = residents.get(id) ?? known.get(id)?.deref() ?? createRoom(id, hub, messages, windows);
      known.set(id, new WeakRef(resident));
      if (how.enter !== false && !life.signal.aborted) resident.take(how.state);
      return resident.room;
    },
    on: emitter.on,
    watch(userIds, handler) {
      link.connect();
      const off = new AbortController();
      directory.use(({ watch }) => watch(userIds, handler, off.signal));
      return () => off.abort();
    },
    status: (userId) => directory.now?.status(userId) ?? null,
    listUsers: async (room) => directory.use(({ listUsers }) => listUsers(room)),
    send(room, data, how) {
      link.connect();
      return messages.send(room, data, how);
    },
    updateProfile,
    rename: (name) => updateProfile({ name }),
    async request(...call) {
      const { request } = await fetched(import("./request.ts"));
      return request({ env, base, token: (signal) => tokenFor("request", signal), userId: selfId() }, ...call);
    },
    connect: link.connect,
    disconnect({ permanent = false } = {}) {
      for (const { vacate, say } of [...residents.values()]) {
        if (permanent) vacate();
        else say("leave");
      }
      link.disconnect();
      if (!permanent) return;
      messages.now?.clear();
      life.abort();
    },
    enable: link.enable,
    disable: link.disable,
  };
}
