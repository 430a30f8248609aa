// The interface: windows, through which large rooms are seen without reading all of them.
import type { PresenceError } from "../errors.ts";
import type { JsonObject, Release } from "./json.ts";
import type { User } from "./people.ts";
import type { RoomStatus } from "./rooms.ts";

/** Rows of the list of all users of a room, sorted by their ids. */
export interface Rows {
  /** The first of them, counted from 0. */
  readonly from: number;
  /** How many: at least 1, and at most as many as the server lets ask for at once (200). */
  readonly count: number;
}

/** How soon a room tells: `exact` within a moment; `wide`, with very many in it, within a quarter of a second. */
export type RoomMode = "exact" | "wide";

/** A window at one moment. It never changes; rows that did not change are the same objects in the next one. */
export interface WindowSnapshot extends Rows {
  /** How the room stands. */
  readonly status: RoomStatus;
  /** True while this is the last known state, and not what the server has now. */
  readonly stale: boolean;
  /** The users that these rows show: fewer than `count` where the list ends. */
  readonly users: readonly User[];
  /** How many users are in the room. */
  readonly total: number;
  /** How many sessions they have. */
  readonly sessions: number;
  readonly mode: RoomMode;
  /** Why the last move was refused; what is shown is the window before it. `null` if it was not. */
  readonly error: PresenceError | null;
}

/** How to watch a window. */
export interface WindowOptions {
  /** The state to enter the room with, as for {@link Room.enter}. */
  readonly state?: JsonObject;
  /** Closes the window, or gives it up before it is open. */
  readonly signal?: AbortSignal;
}

/**
 * A window into a room: some rows of its users, and exact totals. What is shown may begin before and end after what was
 * asked for, so that those who look at about the same place share a window.
 */
export interface RoomWindow extends Omit<WindowSnapshot, "status" | "stale" | "error"> {
  /** How it is now. The same object until something changes: fit for `useSyncExternalStore`. */
  readonly snapshot: WindowSnapshot;
  readonly subscribe: (listener: () => void) => Release;
  /**
   * Shows other rows. Call it as often as you like, with every step of a scrolling list: while one move is on its way only
   * the newest waits, and rows that are shown already are not asked for. Until they have come, those before are shown.
   */
  readonly move: (rows: Rows) => void;
  /** Ends it. The room is left a moment later, or read as a whole again if somebody else holds it. */
  readonly close: Release;
}
