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
import { createEmitter, type Guard } from "../emitter.ts";
import type { PresenceError } from "../errors.ts";
import type { Messages } from "../features.ts";
import { backoff } from "../link/endings.ts";
import type { ServerMessage } from "../wire/messages.ts";
import { createHolds } from "./holds.ts";
import { keep } from "./keep.ts";
import { createMine, isPassing } from "./mine.ts";
import { createRoster, type Fit, type Step } from "./roster.ts";
import { createView } from "./view.ts";

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
  const roster = createRoster();
  let status: RoomStatus = { kind: "out" };
  let ownHolds: Release[] = [];
  /** Until something is answered: the entering, or a question about the room. */
  let asking: Release | null = null;
  let asked = 0;
  /** What is shown is known to be wrong, and was reported. */
  let isDrifting = false;
  let typing: readonly string[] = [];

  const mine = createMine(env, {
    isIn: () => house.isOpen() && status.kind === "live",
    isAlone: () => roster.users().every((user) => user.id === house.selfId() && user.connectionCount < 2),
    tick: house.tick,
    say: (type, fields, answered) => house.say({ type: `presence:${type}`, room: id, ...fields }, answered),
    changed: (when) => view.changed(when),
    refused: (error) => emitter.emit("error", error),
  });

  const setStatus = (next: RoomStatus): void => {
    if (next.kind === status.kind && next.kind !== "refused") return;
    status = next;
    view.changed();
  };

  const show = (before: RoomSnapshot | null): RoomSnapshot => {
    const userId = house.selfId();
    const me = keep<Me>(before?.me, {
      id: userId,
      sessionId: house.identity()?.sessionId ?? null,
      user: roster.user(userId ?? "") ?? null,
      state: mine.state(),
      cursor: mine.cursor(),
      typing: mine.isTyping(),
    });
    const users = roster.users();
    const others = users.filter((user) => user.id !== userId);
    const typists = others.filter((user) => typing.includes(user.id));
    return Object.freeze({
      id,
      status,
      stale: status.kind === "stale",
      users,
      others: keep(before?.others, others),
      me,
      cursors: keep(before?.cursors, roster.cursors(userId, me.sessionId)),
      typing: keep(before?.typing, typists),
      messages: house.messages.of(id),
    });
  };

  const view = createView(env, house.guard, show);
  const { snapshot } = view;

  const tell = (steps: readonly Step[]): void => {
    const self = house.selfId();
    for (const step of steps) {
      const { user } = step;
      if (step.type === "update") emitter.emit("update", { user, before: step.before });
      // Nobody is told of their own coming and going.
      else if (user.id === self) continue;
      else if (step.type === "join") emitter.emit("join", { user });
      else emitter.emit("leave", { user, cause: step.cause });
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
    if (!holds.isHeld()) return;
    switch (message.type) {
      case "presence:currentUsers": {
        const { reason } = message;
        if (reason === "epoch") house.messages.replaced();
        if (reason === "epoch" || reason === "gap") noteDrift(reason);
        if (reason === "drift") noteDrift("digest");
        const steps = roster.begin(message);
        view.changed();
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
        view.changed();
        tell(steps);
        confirmMine();
        return mine.speak();
      }
      case "presence:cursors":
        roster.move(message.cursors);
        return view.changed("frame");
      case "presence:typing":
        typing = message.userIds;
        return view.changed();
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

  const holds = createHolds(env, vacate);

  const hold = (state?: JsonObject): Release => {
    if (status.kind === "out" && state) mine.update(state);
    const release = holds.hold();
    if (status.kind === "out" || status.kind === "refused") {
      setStatus({ kind: "joining" });
      house.wanted(resident);
      if (house.isOpen()) enter();
    }
    return release;
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
    subscribe: view.subscribe,
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
    isEntering: () => holds.isHeld() && (status.kind === "joining" || status.kind === "stale"),
    receive,
    open() {
      if (holds.isHeld()) enter();
    },
    lost() {
      asking?.();
      asking = null;
      asked = 0;
      typing = [];
      mine.lost();
      if (status.kind === "live") setStatus({ kind: "stale" });
      view.changed();
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
    changed: () => view.changed(),
    evict() {
      ownHolds = [];
      holds.clear();
      if (status.kind !== "out") vacate();
    },
  };
  return resident;
}
