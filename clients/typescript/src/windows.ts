// Windows of large rooms: some rows of who is there, and exact totals. Loaded when somebody asks for the first one.
import type { JsonObject, RoomMode, RoomWindow, Rows, WindowOptions } from "./api.ts";
import { PresenceError } from "./errors.ts";
import type { Hub } from "./hub.ts";
import type { Resident } from "./room/room.ts";
import { createPane, type Pane, type WireWindow } from "./windows/pane.ts";
import { object, type Read } from "./wire/read.ts";

/** The windows of a client. */
export interface Windows {
  /** As {@link Room.window}. */
  readonly open: (resident: Resident, rows: Rows, options?: WindowOptions) => Promise<RoomWindow>;
  /** Takes a message that nobody else knows; false if it is none of these either. */
  readonly receive: (message: JsonObject) => boolean;
}

const mode: Read<RoomMode> = (value) => (value === "wide" ? value : "exact");

/** Reads a `presence:window`. */
export const readWindow: Read<WireWindow> = object<WireWindow>(
  "room epoch version:n mode:mode from:n count:n total:n sessions:n users:users?",
  { mode },
);

/** Adds windows to a client. */
export function create(hub: Hub): Windows {
  const panes = new Map<string, Pane>();
  return {
    async open(resident, rows, options) {
      if (options?.signal?.aborted) throw new PresenceError("cancelled", "closed");
      const { id } = resident.room;
      const pane = panes.get(id) ?? createPane(hub, resident, () => panes.delete(id));
      panes.set(id, pane);
      return pane.open(rows, options);
    },
    receive(message) {
      if (message["type"] !== "presence:window") return false;
      try {
        const window = readWindow(message, "window");
        // One that nobody watches any more was on its way.
        panes.get(window.room)?.show(window, message["ref"] !== undefined);
      } catch (error) {
        if (error instanceof PresenceError) hub.emit("error", error);
      }
      return true;
    },
  };
}
