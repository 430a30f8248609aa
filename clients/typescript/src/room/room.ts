// A room of a client: what the server says of it, what is shown of it, and what is said in it.
import type {
  Drift,
  Env,
  Identity,
  JsonObject,
  Me,
  Release,
  Room,
  RoomEvents,
  RoomSnapshot,
  RoomStatus,
} from "../api.ts";
import { createEmitter, createListeners, type Guard } from "../emitter.ts";
import type { PresenceError } from "../errors.ts";
import type { Messages } from "../features.ts";
import { backoff } from "../link/endings.ts";
import type { ServerMessage } from "../wire/messages.ts";
import { keep } from "./keep.ts";
import { createMine, isPassing } from "./mine.ts";
import { createRoster, type Fit, type Step } from "./roster.ts";

/** How long a room is held after the last hold was released: pages that change release and take in one go. */
const LINGER = 1_000;

/** How long an answer to a question about the room may take. */
const ANSWER_TIME = 5_000;

/** What a client lends to its rooms. */
export interface House {
  readonly env: Env;
  readonly guard: Guard;
  readonly identity: () => Identity | null;
  /** Who this user is as far as is known without the server. */
  readonly selfId: () => string | null;
  readonly profile: () => JsonObject;
  readonly tick: () => number;
  readonly isOpen: () => boolean;
  readonly say: (message: JsonObject, answered?: (message: ServerMessage) => void) => void;
  readonly messages: Messages;
  readonly drift: (room: string, kind: Drift["kind"]) => void;
  /** The room is held now, and wants a connection. */
  readonly wanted: (room: Resident) => void;
  /** The room was entered, or refused: nothing of it is to be waited for. */
  readonly settled: (room: Resident) => void;
  /** Nobody holds the room any more, and it has been left. */
  readonly vacated: (room: Resident) => void;
}

/** A room as its client sees it. */
export interface Resident {
  readonly room: Room;
  /** Holds it until {@link Room.leave}. */
  readonly take: (state: JsonObject | undefined) => void;
  readonly isHeld: () => boolean;
  /** Whether it waits for the server's answer to its entering. */
  readonly isEntering: () => boolean;
  readonly receive: (message: ServerMessage) => void;
  /** The connection is open: enters if it is held. */
  readonly open: () => void;
  readonly lost: () => void;
  /** Compares with the server. */
  readonly check: () => void;
  /** Says the user's profile anew. */
  readonly introduce: () => void;
  readonly emit: <Type extends keyof RoomEvents>(type: Type, event: RoomEvents[Type]) => void;
  readonly changed: () => void;
  /** Leaves, whoever holds it. */
  readonly evict: () => void;
}

export function createRoom(id: string, house: House): Resident {
  const { env } = house;
  const emitter = createEmitter<RoomEvents>(house.guard);
  const listeners = createListeners(house.guard);
  const roster = createRoster();
  let status: RoomStatus = { kind: "out" };
  let holds = 0;
  /** Nobody holds it any more, but somebody may in a moment. */
  let isLingering = false;
  let ownHolds: Release[] = [];
  let linger: Release = () => {};
  /** Until something is answered: the entering, or a question about the room. */
  let asking: Release | null = null;
  let asked = 0;
  /** What is shown is known to be wrong, and was reported. */
  let isDrifting = false;
  let typing: readonly string[] = [];
  let due: "no" | "frame" | "turn" = "no";
  let isStale = true;
  let shown: RoomSnapshot | null = null;

  /** Something is to be shown: with the next frame if it only moves, else at the end of this turn. */
  const changed = (when: "frame" | "turn" = "turn"): void => {
    isStale = true;
    if (due === when || due === "turn") return;
    due = when;
    const notify = (): void => {
      if (due === "no") return;
      due = "no";
      listeners.notify();
    };
    if (when === "frame") env.frame(notify);
    else queueMicrotask(notify);
  };

  const mine = createMine(env, {
    isIn: () => house.isOpen() && status.kind === "live",
    isAlone: () => roster.users().every((user) => user.id === house.selfId() && user.connectionCount < 2),
    tick: house.tick,
    say: (type, fields, answered) => house.say({ type: `presence:${type}`, room: id, ...fields }, answered),
    changed,
    refused: (error) => emitter.emit("error", error),
  });

  const setStatus = (next: RoomStatus): void => {
    if (next.kind === status.kind && next.kind !== "refused") return;
    status = next;
    changed();
  };

  const me = (before: Me | undefined): Me => {
    const userId = house.selfId();
    const next: Me = {
      id: userId,
      sessionId: house.identity()?.sessionId ?? null,
      user: userId === null || status.kind === "out" ? null : (roster.user(userId) ?? null),
      state: mine.state(),
      cursor: mine.cursor(),
      typing: mine.isTyping(),
    };
    const isSame =
      before?.id === next.id &&
      before.sessionId === next.sessionId &&
      before.user === next.user &&
      before.state === next.state &&
      before.cursor === next.cursor &&
      before.typing === next.typing;
    return isSame ? before : next;
  };

  const show = (before: RoomSnapshot | null): RoomSnapshot => {
    const self = me(before?.me);
    const users = roster.users();
    const typists = users.filter((user) => user.id !== self.id && typing.includes(user.id));
    return Object.freeze({
      id,
      status,
      stale: status.kind === "stale",
      users,
      others:
        users === before?.users && self.id === before.me.id
          ? before.others
          : users.filter((user) => user.id !== self.id),
      me: self,
      cursors: keep(before?.cursors ?? [], roster.cursors(self.id, self.sessionId)),
      typing: keep(before?.typing ?? [], typists),
      messages: keep(before?.messages ?? [], house.messages.of(id)),
    });
  };

  const snapshot = (): RoomSnapshot => {
    if (isStale || !shown) {
      shown = show(shown);
      isStale = false;
    }
    return shown;
  };

  const tell = (steps: readonly Step[]): void => {
    const self = house.selfId();
    for (const { type, ...event } of steps) {
      // Nobody is told of their own coming and going.
      if (type === "update" || event.user.id !== self) emitter.emit(type, event as never);
    }
  };

  /** What the server has of this session is in the roster now. */
  const confirmMine = (): void => {
    const self = house.identity();
    const own = self && roster.session(self.userId, self.sessionId);
    if (own) mine.confirm(own.state);
  };

  const settle = (): void => {
    asking?.();
    asking = null;
    asked = 0;
    isDrifting = false;
    if (status.kind === "live") return;
    setStatus({ kind: "live" });
    confirmMine();
    mine.speak();
    house.settled(resident);
  };

  const ask = (question: () => void, time: number): void => {
    asking?.();
    asking = env.after(time, question);
  };

  const noteDrift = (kind: Drift["kind"]): void => {
    if (isDrifting || status.kind !== "live") return;
    isDrifting = true;
    house.drift(id, kind);
  };

  /** Asks for what is missing; and again, ever more slowly, until it is answered. */
  const repair = (kind: Fit): void => {
    const since = roster.since();
    if (!since || !house.isOpen()) return;
    if (kind !== "fits") noteDrift(kind);
    house.say({ type: "presence:sync", room: id, ...since, digest: roster.digest() });
    ask(() => repair(kind), ANSWER_TIME + backoff(asked, env.random));
    asked += 1;
  };

  const enter = (): void => {
    const since = roster.since();
    const state = mine.introduce();
    const message = { type: "presence:join", room: id, user: house.profile(), state, ...(since && { since }) };
    house.say(message, (answer) => {
      if (answer.type === "error") refused(answer.error);
      else receive(answer);
    });
    if (status.kind !== "stale") setStatus({ kind: "joining" });
  };

  const refused = (error: PresenceError): void => {
    if (isPassing(error)) return ask(enter, error.retryAfter ?? backoff(++asked, env.random));
    setStatus({ kind: "refused", error });
    emitter.emit("error", error);
    house.settled(resident);
  };

  const receive = (message: ServerMessage): void => {
    if (!isHeld()) return;
    switch (message.type) {
      case "presence:currentUsers": {
        const { reason } = message;
        if (reason === "epoch") house.messages.replaced();
        if (reason === "epoch" || reason === "gap") noteDrift(reason);
        if (reason === "drift") noteDrift("digest");
        const steps = roster.begin(message);
        changed();
        tell(steps);
        confirmMine();
        return settle();
      }
      case "presence:synced": {
        const fit = roster.compare(message);
        if (fit === "fits") return settle();
        return asked < 2 ? repair(fit) : undefined;
      }
      case "presence:restored":
        mine.confirm(message.state);
        return emitter.emit("restored", { state: message.state });
      case "presence:userJoined":
      case "presence:userLeft":
      case "presence:userUpdated": {
        const { fit, steps } = roster.apply(message);
        if (fit !== "fits" && !asking) repair(fit);
        if (steps.length === 0) return;
        changed();
        tell(steps);
        confirmMine();
        return mine.speak();
      }
      case "presence:cursors":
        roster.move(message.cursors);
        return changed("frame");
      case "presence:typing":
        typing = message.userIds;
        return changed();
      case "error":
        // Without a question of this room's it says that the room was taken from this user.
        return message.error.code === "forbidden" ? refused(message.error) : emitter.emit("error", message.error);
    }
  };

  const vacate = (): void => {
    if (house.isOpen() && status.kind !== "refused") house.say({ type: "presence:leave", room: id });
    asking?.();
    asking = null;
    asked = 0;
    roster.clear();
    mine.clear();
    house.messages.forget(id);
    typing = [];
    setStatus({ kind: "out" });
    house.settled(resident);
    house.vacated(resident);
  };

  const isHeld = (): boolean => holds > 0 || isLingering;

  const hold = (state?: JsonObject): Release => {
    linger();
    isLingering = false;
    holds += 1;
    const isFirst = holds === 1 && status.kind === "out";
    if (isFirst && state) mine.update(state);
    if (status.kind === "out" || status.kind === "refused") {
      if (isFirst) setStatus({ kind: "joining" });
      house.wanted(resident);
      if (house.isOpen()) enter();
    }
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      holds -= 1;
      if (holds > 0) return;
      isLingering = true;
      linger = env.after(LINGER, () => {
        isLingering = false;
        vacate();
      });
    };
  };

  const room: Room = {
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
    subscribe: listeners.subscribe,
    on: emitter.on,
    enter: (options) => hold(options?.state),
    leave: () => ownHolds.pop()?.(),
    update: mine.update,
    cursor: mine.point,
    typing: (now = true) => mine.type(now),
    send(data, options) {
      mine.typed();
      return house.messages.send(id, data, options);
    },
    resend: (message) => house.messages.resend(id, message),
    discard: (message) => house.messages.discard(id, message),
  };

  const resident: Resident = {
    room,
    take: (state) => void ownHolds.push(hold(state)),
    isHeld,
    isEntering: () => isHeld() && (status.kind === "joining" || status.kind === "stale"),
    receive,
    open() {
      if (isHeld()) enter();
    },
    lost() {
      asking?.();
      asking = null;
      asked = 0;
      typing = [];
      mine.lost();
      if (status.kind === "live") setStatus({ kind: "stale" });
      changed();
    },
    check() {
      if (status.kind === "live" && !asking) repair("fits");
    },
    introduce() {
      const since = roster.since();
      if (status.kind === "live")
        house.say({ type: "presence:join", room: id, user: house.profile(), ...(since && { since }) });
    },
    emit: emitter.emit,
    changed,
    evict() {
      linger();
      ownHolds = [];
      holds = 0;
      isLingering = false;
      if (status.kind !== "out") vacate();
    },
  };
  return resident;
}
