// A room of a client: what the server says of it, what is shown of it, and what is said in it.
import type { JsonObject, Me, Release, Room, RoomEvents, RoomSnapshot, RoomStatus } from "../api.ts";
import { createEmitter } from "../emitter.ts";
import type { PresenceError } from "../errors.ts";
import type { Hub } from "../hub.ts";
import { backoff } from "../link/endings.ts";
import type { Later } from "../load.ts";
import type { Messages } from "../messages/messages.ts";
import type { Windows } from "../windows.ts";
import { keep } from "../wire/json.ts";
import type { Answered, ServerMessage } from "../wire/messages.ts";
import { createMine, isPassing } from "./mine.ts";
import { createRoster, type Roster, type Step } from "./roster.ts";
import { createView } from "./view.ts";

/** How long a room is held after the last hold was released: pages that change release and take in one go. */
const LINGER = 1_000;

/** A room as its client sees it. */
export interface Resident {
  readonly room: Room;
  /** Holds it until {@link Room.leave}. */
  readonly take: (state: JsonObject | undefined) => void;
  /** Whether it waits for the server's answer to its entering. */
  readonly isEntering: () => boolean;
  readonly receive: (message: ServerMessage) => void;
  /** The connection is open: enters. */
  readonly opened: () => void;
  readonly lost: () => void;
  readonly roster: Roster;
  /** Whether it is entered, so that something may be said in it. */
  readonly isIn: () => boolean;
  /** The same, and there is somebody else to look. */
  readonly isSeen: () => boolean;
  /** Says something in it. */
  readonly say: (type: string, fields?: JsonObject, answered?: Answered) => void;
  /** Says the user's profile anew. */
  readonly introduce: () => void;
  readonly emit: <Type extends keyof RoomEvents>(type: Type, event: RoomEvents[Type]) => void;
  readonly changed: () => void;
  /** Leaves, whoever holds it. */
  readonly vacate: () => void;
  /** Who holds it. */
  readonly holds: ReadonlySet<Release>;
  /** What to enter with beside the user; there if a window is watched, so that not everything is read. */
  asking?: (() => JsonObject) | null;
}

export function createRoom(id: string, hub: Hub, messages: Messages, windows: Later<Windows>): Resident {
  const { env } = hub;
  const { on, emit } = createEmitter<RoomEvents>(hub.guard);
  const roster = createRoster();
  /** `out` for as long as nobody holds it. */
  let status: RoomStatus = { kind: "out" };
  const holds = new Set<Release>();
  const ownHolds: Release[] = [];
  let linger: Release = () => {};
  /** How often it was not let in for want of time, and the next try. */
  let tries = 0;
  let again: Release = () => {};
  let typing: readonly string[] = [];

  const isIn = (): boolean => hub.isOpen() && status.kind === "live";
  const say: Resident["say"] = (type, fields, answered) =>
    hub.say({ type: `presence:${type}`, room: id, ...fields }, answered);

  const isSeen = (): boolean =>
    isIn() &&
    (Boolean(resident.asking) || roster.users().some((user) => user.id !== hub.selfId() || user.connectionCount > 1));

  const mine = createMine(hub, {
    isIn,
    isSeen,
    say,
    changed: (when) => view.changed(when),
    refused: (error) => emit("error", error),
  });

  const setStatus = (next: RoomStatus): void => {
    status = keep(status, next);
    view.changed();
  };

  const view = createView(env, hub.guard, (before): RoomSnapshot => {
    const userId = hub.selfId();
    const sessionId = hub.identity?.sessionId ?? null;
    const users = roster.users();
    const others = users.filter((user) => user.id !== userId);
    const typists = others.filter((user) => typing.includes(user.id));
    return keep(before, {
      id,
      status,
      stale: status.kind === "stale",
      users: keep(before?.users, users),
      others: keep(before?.others, others),
      me: keep<Me>(before?.me, {
        id: userId,
        sessionId,
        user: roster.user(userId) ?? null,
        typing: messages.now?.isTyping(id) ?? false,
        ...mine.facts(),
      }),
      cursors: keep(before?.cursors, roster.cursors(userId, sessionId)),
      typing: keep(before?.typing, typists),
      messages: keep(before?.messages, messages.now?.of(id) ?? []),
    });
  });
  const { snapshot, changed } = view;

  /** Somebody has come, gone or changed. */
  const tell = (steps: readonly Step[]): void => {
    changed();
    for (const [type, event] of steps) {
      // Nobody is told of their own coming and going.
      if (type === "update" || event.user.id !== hub.selfId()) emit(type, event);
    }
    confirm();
  };

  /** What the server has of this session is in the roster now. */
  const confirm = (): void => {
    const { userId, sessionId } = hub.identity ?? {};
    const own = roster.user(userId)?.sessions.find((session) => session.sessionId === sessionId);
    if (own) mine.confirm(own.state);
    mine.speak();
  };

  /** Nothing is waited for any more. */
  const stop = (): void => {
    again();
    tries = 0;
    hub.upkeep.now?.forget(id);
  };

  /** All that is missing has come. */
  const settle = (digest: string): void => {
    again();
    tries = 0;
    hub.upkeep.now?.settled(resident, digest);
    if (status.kind === "live") return;
    setStatus({ kind: "live" });
    confirm();
    hub.settled();
  };

  const join = (more?: JsonObject, answered?: Answered): void => {
    const since = roster.since();
    say("join", { user: hub.profile(), ...more, ...(since && { since }), ...resident.asking?.() }, answered);
  };

  const enter = (): void => {
    join({ state: mine.introduce() }, (reply) => (reply.type === "error" ? refused(reply.error) : hub.received(reply)));
    if (status.kind !== "stale") setStatus({ kind: "joining" });
  };

  const refused = (error: PresenceError): void => {
    if (isPassing(error)) {
      again();
      tries += 1;
      again = env.after(error.retryAfter ?? backoff(tries, env.random), enter);
      return;
    }
    setStatus({ kind: "refused", error });
    emit("error", error);
    hub.settled();
  };

  const mend = (kind: "gap" | "epoch", most: number): void => {
    hub.upkeep.use((upkeep) => upkeep.mend(resident, kind, most));
  };

  const receive = (message: ServerMessage): void => {
    if (status.kind === "out") return;
    switch (message.type) {
      case "presence:currentUsers": {
        const { reason } = message;
        if (reason === "epoch") hub.early.isReplaced = true;
        if (isIn() && reason !== "join") hub.upkeep.use(({ replaced }) => replaced(resident, reason));
        tell(roster.begin(message));
        return settle(message.digest);
      }
      case "presence:synced": {
        const misfit = roster.compare(message);
        if (misfit) mend(misfit, 2);
        else settle(message.digest);
        return;
      }
      case "presence:restored":
        mine.confirm(message.state);
        return emit("restored", { state: message.state });
      case "presence:userJoined":
      case "presence:userLeft":
      case "presence:userUpdated": {
        const steps = roster.apply(message);
        if (steps) tell(steps);
        else mend("gap", 1);
        return;
      }
      case "presence:cursors":
        roster.glide(message.cursors);
        return changed("frame");
      case "presence:typing":
        typing = message.userIds;
        return changed();
      case "error":
        // Without a question of this room's it says that the room was taken from this user.
        return message.error.code === "forbidden" ? refused(message.error) : emit("error", message.error);
    }
  };

  const vacate = (): void => {
    if (status.kind !== "refused") say("leave");
    holds.clear();
    linger();
    stop();
    roster.clear();
    mine.clear();
    messages.now?.forget(id);
    typing = [];
    setStatus({ kind: "out" });
    hub.settled();
    hub.residents.delete(id);
  };

  const hold = (state?: JsonObject): Release => {
    const { kind } = status;
    const release = (): void => {
      if (holds.delete(release) && holds.size === 0) linger = env.after(LINGER, vacate);
    };
    holds.add(release);
    linger();
    if (kind === "out" && state) mine.update(state);
    if (kind === "out" || kind === "refused") {
      setStatus({ kind: "joining" });
      hub.residents.set(id, resident);
      hub.connect();
      if (hub.isOpen()) enter();
    }
    return release;
  };

  const resident: Resident = {
    room: {
      id,
      get snapshot() {
        return snapshot();
      },
      get users() {
        return snapshot().users;
      },
      get others() {
        return snapshot().others;
      },
      get me() {
        return snapshot().me;
      },
      subscribe: view.subscribe,
      on,
      enter: (options) => hold(options?.state),
      leave: () => ownHolds.pop()?.(),
      async window(...how) {
        hub.connect();
        return windows.use(({ open }) => open(resident, ...how));
      },
      update: mine.update,
      cursor: mine.point,
      typing: (isTyping) => messages.use(({ type }) => type(id, isTyping)),
      send: (data, options) => messages.send(id, data, options),
      resend: (message) => messages.resend(id, message),
      discard: (message) => messages.now?.discard(id, message),
    },
    take: (state) => ownHolds.push(hold(state)),
    isEntering: () => status.kind === "joining" || status.kind === "stale",
    receive,
    opened: enter,
    lost() {
      stop();
      typing = [];
      mine.lost();
      setStatus(status.kind === "live" ? { kind: "stale" } : status);
    },
    roster,
    isIn,
    isSeen,
    say,
    introduce() {
      if (isIn()) join();
    },
    emit,
    changed,
    vacate,
    holds,
  };
  return resident;
}
