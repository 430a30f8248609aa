// Whether this session types: said with the first key, and taken back when no more come.
import type { Release } from "../api.ts";
import type { Hub } from "../hub.ts";

/** How long a key counts as typing; the server counts a little longer. */
const TYPING = 3_000;

export interface Typing {
  /** A key was pressed in this room, or its text was given up. */
  readonly type: (room: string, typing?: boolean) => void;
  readonly isTyping: (room: string) => boolean;
  /** It ends without a word: with a message, or the room was left. */
  readonly typed: (room: string) => void;
}

export function createTyping(hub: Hub): Typing {
  const { env } = hub;
  /** Where something is typed: since when no key was pressed, and what takes it back. */
  const rooms = new Map<string, { keyAt: number; readonly stop: Release }>();

  const end = (room: string): void => {
    rooms.get(room)?.stop();
    if (rooms.delete(room)) hub.residents.get(room)?.changed();
  };

  const say = (room: string, typing: boolean): void => {
    const resident = hub.residents.get(room);
    if (resident?.isSeen()) resident.say("typing", { typing });
    const before = rooms.get(room);
    end(room);
    if (!resident || !typing) return;
    const stop = env.after(TYPING, () => say(room, env.now() - (rooms.get(room)?.keyAt ?? 0) < TYPING));
    rooms.set(room, { keyAt: before?.keyAt ?? env.now(), stop });
    resident.changed();
  };

  return {
    type(room, typing = true) {
      const now = rooms.get(room);
      if (now && typing) now.keyAt = env.now();
      else if (now || typing) say(room, typing);
    },
    isTyping: (room) => rooms.has(room),
    typed: end,
  };
}
