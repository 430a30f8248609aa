// What somebody is given who watches a window.
import type { Room, RoomWindow, WindowSnapshot } from "../api.ts";

/** A window that shows `now`. */
export function viewOf(room: Room, now: () => WindowSnapshot, ways: Pick<RoomWindow, "move" | "close">): RoomWindow {
  return {
    get snapshot() {
      return now();
    },
    get from() {
      return now().from;
    },
    get count() {
      return now().count;
    },
    get users() {
      return now().users;
    },
    get total() {
      return now().total;
    },
    get sessions() {
      return now().sessions;
    },
    get mode() {
      return now().mode;
    },
    subscribe(listener) {
      let before = now();
      return room.subscribe(() => {
        if (before === now()) return;
        before = now();
        listener();
      });
    },
    ...ways,
  };
}
