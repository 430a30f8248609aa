// A room of a client: what the server says of it, what is shown of it, and what is said in it.
import type { Drift, JsonObject, Me, Release, Room, RoomEvents, RoomSnapshot, RoomStatus } from "../api.ts";
import { createEmitter } from "../emitter.ts";
import type { PresenceError } from "../errors.ts";
import type { Hub, Messages } from "../hub.ts";
import { backoff } from "../link/endings.ts";
import { keep } from "../wire/json.ts";
import type { Answered, ServerMessage } from "../wire/messages.ts";
import { createMine, isPassing } from "./mine.ts";
import { createRoster, type Misfit, type Step } from "./roster.ts";
import { createView } from "./view.ts";

/** How long an answer to a question about the room may take. */
const ANSWER_TIME = 5_000;

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
  readonly open: () => void;
  readonly lost: () => void;
  /** Compares with the server. */
  readonly check: () => void;
  /** Says the user's profile anew. */
  readonly introduce: () => void;
  readonly emit: <Type extends keyof RoomEvents>(type: Type, event: RoomEvents[Type]) => void;
  readonly changed: () => void;
  /** Leaves, whoever holds it. */
  readonly vacate: () => void;
}

export function createRoom(id: string, hub: Hub, messages: Messages): Resident {
  const { env } = hub;
  const { on, emit } = createEmitter<RoomEvents>(hub.guard);
  const roster = createRoster();
  /** `out` for as long as nobody holds it. */
  let status: RoomStatus = { kind: "out" };
  const holds = new Set<Release>();
  const ownHolds: Release[] = [];
  let linger: Release = () => {};
  /** Until something is answered: the entering, or a question about the room. */
  let asking: Release | null = null;
  let asked = 0;
  /** What is shown is known to be wrong, and was reported. */
  let isDrifting = false;
  let typing: readonly string[] = [];

  const isLive = (): boolean => status.kind === "live";
  const say = (type: string, fields: JsonObject = {}, answered?: Answered): void =>
    hub.say({ type: `presence:${type}`, room: id, ...fields }, answered);

  const mine = createMine(env, {
    isIn: () => hub.isOpen() && isLive(),
    isAlone: () => roster.users().every((user) => user.id === hub.selfId() && user.connectionCount < 2),
    tick: () => hub.tick,
    say,
    changed: (when) => view.changed(when),
    refused: (error) => emit("error", error),
  });

  const setStatus = (next: RoomStatus): void => {
    status = keep(status, next);
    view.changed();
  };

  const show = (before: RoomSnapshot | undefined): RoomSnapshot => {
    const userId = hub.selfId();
    const sessionId = hub.identity?.sessionId ?? null;
    const users = roster.users();
    const others = users.filter((user) => user.id !== userId);
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
        state: mine.state(),
        cursor: mine.cursor(),
        typing: mine.isTyping(),
      }),
      cursors: keep(before?.cursors, roster.cursors(userId, sessionId)),
      typing: keep(
        before?.typing,
        others.filter((user) => typing.includes(user.id)),
      ),
      messages: keep(before?.messages, messages.of(id)),
    });
  };

  const view = createView(env, hub.guard, show);
  const { snapshot } = view;

  /** Somebody has come, gone or changed. */
  const tell = (steps: readonly Step[]): void => {
    view.changed();
    for (const [type, event] of steps) {
      // Nobody is told of their own coming and going.
      if (type === "update" || event.user.id !== hub.selfId()) emit(type, event);
    }
    confirm();
    mine.speak();
  };

  /** What the server has of this session is in the roster now. */
  const confirm = (): void => {
    const { userId, sessionId } = hub.identity ?? {};
    const own = roster.user(userId)?.sessions.find((session) => session.sessionId === sessionId);
    if (own) mine.confirm(own.state);
  };

  /** Nothing is asked any more. */
  const answer = (): void => {
    asking?.();
    asking = null;
    asked = 0;
  };

  const settle = (): void => {
    answer();
    isDrifting = false;
    if (isLive()) return;
    setStatus({ kind: "live" });
    confirm();
    mine.speak();
    hub.settled();
  };

  const ask = (question: () => void, time: number): void => {
    asking?.();
    asking = env.after(time, question);
  };

  const noteDrift = (kind: Drift["kind"]): void => {
    if (isDrifting || !isLive()) return;
    isDrifting = true;
    hub.drift(id, kind);
  };

  /** Asks for what is missing; and again, ever more slowly, until it is answered. */
  const repair = (kind: Misfit | null): void => {
    const since = roster.since();
    if (!since || !hub.isOpen()) return;
    if (kind) noteDrift(kind);
    say("sync", { ...since, digest: roster.digest() });
    ask(() => repair(kind), ANSWER_TIME + backoff(asked, env.random));
    asked += 1;
  };

  const join = (more?: JsonObject, answered?: Answered): void => {
    const since = roster.since();
    say("join", { user: { ...hub.profile() }, ...more, ...(since && { since }) }, answered);
  };

  const enter = (): void => {
    join({ state: mine.introduce() }, (reply) => (reply.type === "error" ? refused(reply.error) : receive(reply)));
    if (status.kind !== "stale") setStatus({ kind: "joining" });
  };

  const refused = (error: PresenceError): void => {
    if (isPassing(error)) return ask(enter, error.retryAfter ?? backoff(++asked, env.random));
    setStatus({ kind: "refused", error });
    emit("error", error);
    hub.settled();
  };

  const receive = (message: ServerMessage): void => {
    if (status.kind === "out") return;
    switch (message.type) {
      case "presence:currentUsers": {
        const { reason } = message;
        if (reason === "epoch") messages.replaced();
        if (reason === "epoch" || reason === "gap") noteDrift(reason);
        if (reason === "drift") noteDrift("digest");
        tell(roster.begin(message));
        return settle();
      }
      case "presence:synced": {
        const misfit = roster.compare(message);
        if (!misfit) settle();
        else if (asked < 2) repair(misfit);
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
        else if (!asking) repair("gap");
        return;
      }
      case "presence:cursors":
        roster.move(message.cursors);
        return view.changed("frame");
      case "presence:typing":
        typing = message.userIds;
        return view.changed();
      case "error":
        // Without a question of this room's it says that the room was taken from this user.
        return message.error.code === "forbidden" ? refused(message.error) : emit("error", message.error);
    }
  };

  const vacate = (): void => {
    if (status.kind !== "refused") say("leave");
    holds.clear();
    linger();
    answer();
    roster.clear();
    mine.clear();
    messages.forget(id);
    typing = [];
    setStatus({ kind: "out" });
    hub.settled();
    hub.vacated(resident);
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
      hub.wanted(resident);
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
      update: mine.update,
      cursor: mine.point,
      typing: mine.type,
      send(data, options) {
        mine.typed();
        return messages.send(id, data, options);
      },
      resend: (message) => messages.resend(id, message),
      discard: (message) => messages.discard(id, message),
    },
    take: (state) => ownHolds.push(hold(state)),
    isEntering: () => status.kind === "joining" || status.kind === "stale",
    receive,
    open: enter,
    lost() {
      answer();
      typing = [];
      mine.lost();
      if (isLive()) setStatus({ kind: "stale" });
      view.changed();
    },
    check() {
      if (isLive() && !asking) repair(null);
    },
    introduce() {
      if (isLive()) join();
    },
    emit,
    changed: view.changed,
    vacate,
  };
  return resident;
}
