// A client: one connection, and the rooms, messages and people that share it.

import { createActivity } from "./activity.ts";
import type {
  Client,
  ClientEvents,
  ClientOptions,
  Identity,
  Json,
  JsonObject,
  Message,
  Profile,
  Release,
  SendOptions,
  StoredMessage,
} from "./api.ts";
import { createEmitter, type Guard } from "./emitter.ts";
import { createEnv } from "./env.ts";
import { PresenceError } from "./errors.ts";
import { createCredentials } from "./link/credentials.ts";
import { createLink } from "./link/link.ts";
import { sessionName } from "./link/session.ts";
import { createOutbox } from "./messages/outbox.ts";
import { createStreams } from "./messages/streams.ts";
import { request } from "./request.ts";
import { createRoom, type House, type Resident } from "./room/room.ts";
import { createWatching } from "./watching.ts";
import type { Said, ServerMessage, StreamItem, WireMessage } from "./wire/messages.ts";

const IDLE_AFTER = 5 * 60_000;
const CHECK_EVERY = 60_000;

/** The server's address without what a client adds: any scheme of it, and no slash at the end. */
function baseOf(url: string | URL): string {
  // Where pages are only prepared, nothing connects, and any address will do.
  const page = typeof location === "undefined" ? "http://localhost" : location.href;
  const { protocol, host, pathname } = new URL(url, page);
  return `${protocol.replace("ws", "http")}//${host}${pathname.replace(/\/+$/u, "")}`;
}

/** Makes a client. It does nothing until something is asked of it, so it may be made anywhere, on a server too. */
export function createClient(options: ClientOptions): Client {
  const env = createEnv(options.env ?? {});
  const base = baseOf(options.url);
  const credentials = createCredentials(options, env);
  const ownId = options.user && "id" in options.user ? options.user.id : null;
  const withTokens = options.token !== undefined || options.getToken !== undefined;

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
  const fail = (error: PresenceError): void => emitter.emit("error", error);

  /** Rooms that are held, or have just been. */
  const residents = new Map<string, Resident>();
  /** All others that somebody still has: one object for each room, as long as there is one. */
  const others = new Map<string, WeakRef<Resident>>();
  let profile: Profile = options.user ?? {};
  let identity: Identity | null = null;
  let tick = 33;
  let drifts = 0;
  let session: Promise<string> | null = null;
  const claim = new AbortController();
  let isSpent = false;
  let whileOpen: Release[] = [];
  /** Those who wait for an answer that is lost with the connection. */
  const questions = new Set<(error: PresenceError) => void>();

  const selfId = (): string | null => identity?.userId ?? ownId;

  const introduce = async (token: string | null): Promise<{ query: URLSearchParams; hello: JsonObject | null }> => {
    session ??= sessionName(env, options.sessionId, base, claim.signal);
    const query = new URLSearchParams({ session_id: await session });
    if (token !== null) return { query, hello: { type: "auth", token } };
    if (ownId !== null) query.set("user_id", ownId);
    if (profile.name !== undefined) query.set("user_name", profile.name);
    return { query, hello: null };
  };

  const link = createLink(
    options,
    env,
    guard,
    credentials,
    { base, introduce },
    {
      opened,
      received,
      lost,
      state: (snapshot) => emitter.emit("state", snapshot),
      error: fail,
    },
  );

  const outbox = createOutbox({
    env,
    most: options.outboxMax ?? 500,
    store: options.outboxStore ?? null,
    mayGo: (room) => link.isOpen() && !residents.get(room)?.isEntering(),
    say: link.send,
    self: () => ({ id: selfId(), name: profile.name ?? null }),
    delivered(message) {
      const { delivery, room } = message;
      if (delivery.state === "stored") streams.own(room, delivery.seq, message.id);
      const resident = residents.get(room);
      if (delivery.state === "stored") resident?.stored(message, "delivery");
      else resident?.emit("delivery", message);
    },
    changed(room) {
      residents.get(room)?.changed();
      link.setPending(outbox.pending());
    },
    error: fail,
  });

  const streams = createStreams(
    {
      env,
      say: link.send,
      take,
      dropped(dropped) {
        residents.get(dropped.room)?.emit("dropped", dropped);
        emitter.emit("dropped", dropped);
      },
      synced: (result) => {
        for (const changed of result.profiles) emitter.emit("profile", changed);
      },
    },
    selfId,
  );

  const watching = createWatching(guard, link.send);

  const house: House = {
    env,
    guard,
    messagesMax: options.messagesMax ?? 200,
    identity: () => identity,
    selfId,
    profile: () => ({ ...profileFields(profile), ...(!withTokens && ownId !== null && { id: ownId }) }),
    tick: () => tick,
    isOpen: link.isOpen,
    say: link.send,
    waiting: outbox.of,
    send: (room, data, how) => send(room, data, how),
    resend: outbox.resend,
    discard: outbox.discard,
    drift(room, kind) {
      drifts += 1;
      emitter.emit("drift", { room, kind, count: drifts });
    },
    wanted(resident) {
      residents.set(resident.room.id, resident);
      if (!isSpent) link.connect();
    },
    settled() {
      outbox.flush();
      catchUp();
    },
    vacated(resident) {
      residents.delete(resident.room.id);
    },
    replaced: streams.replaced,
  };

  /** The connection is open: everything is said anew. */
  function opened(message: Said<"connected">): void {
    const { userId, sessionId, connectionId } = message;
    identity = { userId, sessionId, connectionId };
    tick = message.tick;
    streams.setTime(message.serverTime);
    emitter.emit("identity", identity);
    const say = (active: boolean): void => link.send({ type: "presence:activity", active });
    const activity = createActivity(env, options.idleAfter ?? IDLE_AFTER, say);
    let check: Release = () => {};
    const checkLater = (): void => {
      // Not all clients at once.
      check = env.after((options.checkEvery ?? CHECK_EVERY) * (0.75 + env.random() / 2), () => {
        for (const resident of residents.values()) resident.check();
        checkLater();
      });
    };
    checkLater();
    isCaughtUp = false;
    whileOpen = [activity.stop, () => check()];
    if (!activity.isActive()) say(false);
    for (const resident of residents.values()) resident.open();
    watching.open();
    outbox.flush();
    catchUp();
  }

  let isCaughtUp = false;

  /** When all rooms are entered, what was missed of messages is asked for once; then everything is in step. */
  function catchUp(): void {
    if (!link.isOpen() || [...residents.values()].some((resident) => resident.isEntering())) return;
    if (isCaughtUp) return link.synced();
    isCaughtUp = true;
    streams.sync(link.synced);
  }

  function lost(): void {
    for (const end of whileOpen) end();
    whileOpen = [];
    for (const reject of questions) reject(new PresenceError("connection", "the connection was lost"));
    questions.clear();
    outbox.lost();
    streams.lost();
    for (const resident of residents.values()) resident.lost();
  }

  function received(message: ServerMessage): void {
    switch (message.type) {
      case "item":
        return streams.receive(message.item);
      case "messages_dropped":
        return streams.dropped(message.dropped);
      case "ping":
        return streams.setTime(message.timestamp);
      case "user_status":
        return watching.receive(message.users);
      case "user_profile_updated":
        return emitter.emit("profile", message.profile);
      case "invitation_accepted":
        return emitter.emit("accepted", message.accepted);
      case "unknown":
        return emitter.emit("unknown", message.message);
      case "error":
        fail(message.error);
        if (message.error.room !== null) residents.get(message.error.room)?.receive(message);
        return;
      default:
        if ("room" in message) residents.get(message.room)?.receive(message);
    }
  }

  /** An item of a stream has its turn. */
  function take(item: StreamItem): boolean {
    if (item.kind === "invitation") {
      if (!emitter.hears("invitation")) return false;
      emitter.emit("invitation", item.invitation);
      return true;
    }
    const resident = residents.get(item.room);
    if (!resident && !emitter.hears("message")) return false;
    // An own message whose acknowledgement was lost goes again, and is acknowledged again.
    if (item.message.userId === selfId() && outbox.has(item.room, item.message.id)) return true;
    const message = messageOf(item.message, selfId());
    resident?.stored(message, "message");
    emitter.emit("message", message);
    return true;
  }

  function send(room: string, data: Json, how?: SendOptions): Promise<StoredMessage> {
    if (!isSpent) return outbox.send(room, data, how?.id);
    return Promise.reject(new PresenceError("cancelled", "the client was disconnected for good", { room }));
  }

  function residentOf(id: string): Resident {
    const known = residents.get(id) ?? others.get(id)?.deref();
    if (known) return known;
    const resident = createRoom(id, house);
    for (const [name, other] of others) if (!other.deref()) others.delete(name);
    others.set(id, new WeakRef(resident));
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
      if (!isSpent) link.connect();
      return watching.watch(userIds, handler);
    },
    status: watching.status,
    listUsers: (room) =>
      new Promise((resolve, reject) => {
        if (!link.isOpen()) return reject(new PresenceError("connection", "there is no connection"));
        questions.add(reject);
        link.send({ type: "list_users", ...(room !== undefined && { room }) }, (answer) => {
          questions.delete(reject);
          if (answer.type === "online_users") resolve(answer.users);
          else if (answer.type === "error") reject(answer.error);
        });
      }),
    send(room, data, how) {
      if (!isSpent) link.connect();
      return send(room, data, how);
    },
    updateProfile,
    rename: (name) => updateProfile({ name }),
    request: (method, path, how) => request(env, base, credentials, selfId(), method, path, how),
    connect() {
      if (!isSpent) link.connect();
    },
    disconnect({ permanent = false } = {}) {
      for (const resident of [...residents.values()]) {
        if (permanent) resident.evict();
        else if (link.isOpen()) link.send({ type: "presence:leave", room: resident.room.id });
      }
      link.disconnect();
      if (!permanent) return;
      isSpent = true;
      outbox.clear();
      streams.clear();
      claim.abort();
    },
    enable: link.enable,
    disable: link.disable,
  };
}

/** What a join says of its user. */
function profileFields({ name, color, avatar, email }: Profile): JsonObject {
  const fields = { name, color, avatar, email };
  return Object.fromEntries(
    Object.entries(fields).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
}

function messageOf(message: WireMessage, selfId: string | null): Message {
  const { id, seq, ...rest } = message;
  const own = message.userId === selfId;
  return {
    ...rest,
    id,
    own,
    key: own ? id : JSON.stringify([message.userId, id]),
    delivery: { state: "stored", seq, durability: null },
  };
}
