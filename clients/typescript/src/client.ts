// A client: one connection, and the rooms, messages and people that share it.
import { watchActivity } from "./activity.ts";
import type { Client, ClientEvents, ClientOptions, Dial, Profile, Release } from "./api.ts";
import type { Directory } from "./directory.ts";
import { createEmitter, type Guard } from "./emitter.ts";
import { createEnv } from "./env.ts";
import { PresenceError } from "./errors.ts";
import type { Hub } from "./hub.ts";
import { createCredentials } from "./link/credentials.ts";
import { createLink } from "./link/link.ts";
import { sessionName } from "./link/session.ts";
import { load } from "./load.ts";
import { createMessages } from "./messages/messages.ts";
import { createRoom, type Resident } from "./room/room.ts";
import type { Said, ServerMessage } from "./wire/messages.ts";
import { bodyOf } from "./wire/parse.ts";

/** How often a client compares its rooms with the server. */
const CHECK_EVERY = 60_000;

/** The server's address without what a client adds: any scheme of it, and no slash at the end. */
function baseOf(url: string | URL): string {
  // Where pages are only prepared, nothing connects, and any address will do.
  const { protocol, host, pathname } = new URL(url, globalThis.location?.href ?? "http://localhost");
  return `${protocol.replace("ws", "http")}//${host}${pathname.replace(/\/+$/u, "")}`;
}

/** Makes a client. It does nothing until something is asked of it, so it may be made anywhere, on a server too. */
export function createClient(options: ClientOptions): Client {
  const env = createEnv(options.env);
  const base = baseOf(options.url);
  const credentials = createCredentials(options, env);
  let { id: ownId = null, ...profile }: Profile & { readonly id?: string | null } = { ...options.user };

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
      emit("error", new PresenceError("handler", "a handler has thrown", { cause }));
      isReporting = false;
    }
  };
  const { on, emit, hears } = createEmitter<ClientEvents>(guard);

  /** Rooms that are held, or have just been. */
  const residents = new Map<string, Resident>();
  /** All that somebody still has: one object for each room, as long as there is one. */
  const known = new Map<string, WeakRef<Resident>>();
  /** Aborted when the client is spent. */
  const life = new AbortController();
  let drifts = 0;
  let session: Promise<string> | null = null;
  let isCaughtUp = false;
  let stopActivity: Release = () => {};
  let check: Release = () => {};

  const selfId = (): string | null => hub.identity?.userId ?? ownId;

  const dial = async (token: string | null): Promise<Dial> => {
    session ??= options.sessionId ? Promise.resolve(options.sessionId) : sessionName(env, base, life.signal);
    const query = new URLSearchParams({ session_id: await session });
    if (token === null && ownId !== null) query.set("user_id", ownId);
    if (token === null && profile.name !== undefined) query.set("user_name", profile.name);
    return { base, query, token, hello: token === null ? null : { type: "auth", token }, fetch: env.fetch };
  };

  const link = createLink({
    options,
    env,
    guard,
    credentials,
    dial,
    opened,
    received,
    lost,
    emit,
  });
  const { say, isOpen } = link;
  const connect = (): void => {
    if (!life.signal.aborted) link.connect();
  };

  const hub: Hub = {
    env,
    options,
    guard,
    emit,
    hears,
    ...link,
    identity: null,
    tick: 0,
    selfId,
    // With a token the token says who this is.
    profile: () => ({ ...profile, ...(ownId !== null && !options.token && !options.getToken && { id: ownId }) }),
    resident: (room) => residents.get(room),
    drift(room, kind) {
      drifts += 1;
      emit("drift", { room, kind, count: drifts });
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
  const messages = createMessages(hub);

  /** People elsewhere, once somebody has asked for them. */
  let directory: Directory | null = null;
  const loadDirectory = async (tries?: number): Promise<Directory> => {
    const { createDirectory } = await load(env, () => import("./directory.ts"), tries);
    directory ??= createDirectory(hub);
    return directory;
  };

  /** The connection is open: everything is said anew. */
  function opened(message: Said<"connected">): void {
    const { userId, sessionId, connectionId } = message;
    hub.identity = { userId, sessionId, connectionId };
    hub.tick = message.limits.tickMs ?? 33;
    isCaughtUp = false;
    emit("identity", hub.identity);
    stopActivity = watchActivity(env, options.idleAfter, (active) => say({ type: "presence:activity", active }));
    checkLater();
    for (const resident of residents.values()) resident.open();
    messages.receive(message);
    messages.flush();
    directory?.opened();
    catchUp();
  }

  function checkLater(): void {
    // Not all clients at once.
    check = env.after((options.checkEvery ?? CHECK_EVERY) * (0.75 + env.random() / 2), () => {
      for (const resident of residents.values()) resident.check();
      checkLater();
    });
  }

  /** When all rooms are entered, what was missed of messages is asked for once; then everything is in step. */
  function catchUp(): void {
    if (!isOpen() || [...residents.values()].some((resident) => resident.isEntering())) return;
    if (isCaughtUp) return link.synced();
    isCaughtUp = true;
    messages.sync(link.synced);
  }

  function lost(): void {
    stopActivity();
    check();
    messages.lost();
    directory?.lost();
    for (const resident of residents.values()) resident.lost();
  }

  function received(message: ServerMessage): void {
    messages.receive(message);
    switch (message.type) {
      case "error":
        emit("error", message.error);
        return residents.get(message.error.room ?? "")?.receive(message);
      case "user_profile_updated":
        return emit("profile", bodyOf(message));
      case "invitation_accepted":
        return emit("accepted", bodyOf(message));
      case "unknown":
        if (!directory?.receive(message.message)) emit("unknown", message.message);
        return;
    }
    if ("room" in message) residents.get(message.room)?.receive(message);
  }

  function residentOf(id: string): Resident {
    const there = residents.get(id) ?? known.get(id)?.deref();
    if (there) return there;
    const resident = createRoom(id, hub, messages);
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
      return hub.identity;
    },
    room(id, how = {}) {
      const resident = residentOf(id);
      if (how.enter !== false && !life.signal.aborted) resident.take(how.state);
      return resident.room;
    },
    on,
    watch(userIds, handler) {
      connect();
      if (directory) return directory.watch(userIds, handler);
      let isOver = false;
      let release: Release = () => {};
      loadDirectory().then(({ watch }) => {
        if (!isOver) release = watch(userIds, handler);
      });
      return () => {
        isOver = true;
        release();
      };
    },
    status: (userId) => directory?.status(userId) ?? null,
    listUsers: async (room) => (await loadDirectory(1)).listUsers(room),
    send(room, data, how) {
      connect();
      return messages.send(room, data, how);
    },
    updateProfile,
    rename: (name) => updateProfile({ name }),
    async request(...call) {
      const { request } = await load(env, () => import("./request.ts"), 1);
      return request({ env, base, credentials, userId: selfId() }, ...call);
    },
    connect,
    disconnect({ permanent = false } = {}) {
      for (const resident of [...residents.values()]) {
        if (permanent) resident.vacate();
        else say({ type: "presence:leave", room: resident.room.id });
      }
      link.disconnect();
      if (!permanent) return;
      messages.clear();
      life.abort();
    },
    enable: link.enable,
    disable: link.disable,
  };
}
