// The window of one room: what is shown through it, and who watches it.
import type { Release, RoomMode, RoomWindow, Rows, WindowOptions, WindowSnapshot } from "../api.ts";
import { PresenceError } from "../errors.ts";
import type { Hub } from "../hub.ts";
import type { Resident } from "../room/room.ts";
import { keep } from "../wire/json.ts";
import type { WireUser } from "../wire/messages.ts";
import { createAim } from "./aim.ts";
import { viewOf } from "./view.ts";

/** A window as the wire has it. Without `users` only the totals are different. */
export interface WireWindow extends Rows {
  readonly room: string;
  readonly epoch: string;
  readonly version: number;
  readonly mode: RoomMode;
  readonly total: number;
  readonly sessions: number;
  readonly users: readonly WireUser[] | null;
}

export interface Pane {
  /** As {@link Room.window}, unless the signal was given already. */
  readonly open: (rows: Rows, options?: WindowOptions) => Promise<RoomWindow>;
  /** The server shows this: if `isAnswer`, to a question. */
  readonly show: (window: WireWindow, isAnswer: boolean) => void;
}

/** How long a window stays after the last one has closed it: pages that change close and open in one go. */
const LINGER = 1_000;

type Shown = Omit<WindowSnapshot, "status" | "stale" | "error">;

/** Before anything is known: what nobody can ask for. */
const NOTHING: Shown = { from: -1, count: 0, users: [], total: 0, sessions: 0, mode: "exact" };

/** `ended`: nobody watches it any more. */
export function createPane(hub: Hub, resident: Resident, ended: () => void): Pane {
  const { room, roster } = resident;
  let shown = NOTHING;
  let error: PresenceError | null = null;
  let snapshot: WindowSnapshot | undefined;
  const watchers = new Set<Release>();
  /** Those who wait for what they have asked for. */
  const openings = new Set<(reason?: PresenceError) => void>();
  /** The hold of the last one who has closed it, and when that is released. */
  let kept: Release = () => {};
  let linger: Release = () => {};

  const refused = (reason: PresenceError): void => {
    error = reason;
    resident.emit("error", reason);
    resident.changed();
    fail(reason);
  };
  const { at, asking, speak, heard, isMet, stop } = createAim(hub, resident, () => shown, refused);

  const now = (): WindowSnapshot => {
    const { status, stale } = room.snapshot;
    snapshot = keep(snapshot, Object.freeze({ ...shown, status, stale, error }));
    return snapshot;
  };

  /** Whoever waits for what is shown now has it. */
  const settle = (): void => {
    if (!isMet(shown)) return;
    for (const done of openings) done();
    openings.clear();
  };

  const fail = (reason: PresenceError): void => {
    for (const done of [...openings]) done(reason);
    if (watchers.size === 0) finish();
  };

  /** Something is different about the room. */
  const unlisten = room.subscribe(() => {
    const { status } = room.snapshot;
    if (status.kind === "refused") fail(status.error);
    else if (status.kind === "out") fail(new PresenceError("cancelled", "left"));
    else speak();
  });

  /** Whoever else holds the room reads all of it again. */
  const finish = (): void => {
    for (const end of [unlisten, stop, linger, ended]) end();
    resident.asking = null;
    kept();
    if (room.snapshot.status.kind === "out") return;
    if (resident.holds.size === 0) return resident.vacate();
    roster.clear();
    resident.introduce();
  };

  /** Takes rows as a room takes a roster, but that nobody has come or gone for it. */
  const fill = (window: WireWindow, users: readonly WireUser[]): void => {
    const before = roster.since()?.epoch ?? window.epoch;
    const reason = before === window.epoch ? "join" : "epoch";
    const news = { ...window, type: "presence:currentUsers", ref: null, reason, digest: "", users } as const;
    roster.begin(news);
    resident.receive(news);
  };

  /** Holds the room for one who watches; `done` hears whether there is something to see. */
  const watch = (rows: Rows, state: WindowOptions["state"], done: (reason?: PresenceError) => void): Release => {
    at(rows);
    resident.asking = asking;
    const release = room.enter(state && { state });
    linger();
    kept();
    const close = (): void => {
      if (!watchers.delete(close)) return;
      openings.delete(done);
      if (watchers.size > 0) return release();
      kept = release;
      linger = hub.env.after(LINGER, finish);
    };
    watchers.add(close);
    openings.add(done);
    return close;
  };

  return {
    open: (rows, { state, signal } = {}) =>
      new Promise((resolve, reject) => {
        const cancelled = new PresenceError("cancelled", "closed");
        const leave = watch(rows, state, (reason) => {
          if (reason) close(reason);
          else resolve(view);
        });
        const close = (reason = cancelled): void => {
          leave();
          reject(reason);
        };
        const move = (next: Rows): void => {
          if (!watchers.has(leave)) return;
          at(next);
          speak();
        };
        const view = viewOf(room, now, { move, close: () => close() });
        signal?.addEventListener("abort", view.close);
        speak();
        settle();
      }),
    show(window, isAnswer) {
      const { users, room: _, epoch: __, version: ___, ...rest } = window;
      if (heard(window, isAnswer)) error = null;
      if (users) fill(window, users);
      else resident.changed();
      shown = { ...rest, users: users ? users.flatMap(({ id }) => roster.user(id) ?? []) : shown.users };
      speak();
      settle();
    },
  };
}
