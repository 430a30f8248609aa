// What there is to know of a room, a user and the connection, as hooks.
import { useCallback, useMemo, useSyncExternalStore } from "react";
import type { ConnectionSnapshot, Me, Message, RemoteCursor, Room, RoomSnapshot, User, UserStatus } from "../api.ts";
import { useClient, useRoom } from "./context.tsx";
import { type Equal, useStore } from "./store.ts";

/** A room of which nothing is known: what pages are prepared with where there is no connection. */
const UNKNOWN: RoomSnapshot = {
  id: "",
  status: { kind: "out" },
  stale: false,
  users: [],
  others: [],
  me: { id: null, sessionId: null, user: null, state: {}, cursor: null, typing: false },
  cursors: [],
  typing: [],
  messages: [],
};

const NOT_BEGUN: ConnectionSnapshot = {
  status: "idle",
  attempt: 0,
  rtt: null,
  quality: "disconnected",
  stale: false,
  syncedAt: null,
  pending: 0,
};

const same = <Value>(value: Value): Value => value;

/** A whole room at one moment, or what is selected of it. For any room; the other hooks are about the nearest one. */
export function useSnapshot(room: Room): RoomSnapshot;
export function useSnapshot<Selected>(
  room: Room,
  select: (snapshot: RoomSnapshot) => Selected,
  isEqual?: Equal<Selected>,
): Selected;
export function useSnapshot(
  room: Room,
  select: (snapshot: RoomSnapshot) => unknown = same,
  isEqual?: Equal<unknown>,
): unknown {
  const server = useMemo(() => ({ ...UNKNOWN, id: room.id }), [room]);
  return useStore(room, server, select, isEqual);
}

function usePart<Part>(
  pick: (snapshot: RoomSnapshot) => Part,
  select: (part: Part) => unknown = same,
  isEqual?: Equal<unknown>,
): unknown {
  return useSnapshot(useRoom(), (snapshot) => select(pick(snapshot)), isEqual);
}

/** This session in the room, and the function that merges into its state. */
export function useMe(): readonly [me: Me, update: Room["update"]] {
  const room = useRoom();
  return [useSnapshot(room, (snapshot) => snapshot.me), room.update];
}

/** Everybody who is in the room, this user too, or what is selected of them. */
export function useUsers(): readonly User[];
export function useUsers<Selected>(select: (users: readonly User[]) => Selected, isEqual?: Equal<Selected>): Selected;
export function useUsers(select?: (users: readonly User[]) => unknown, isEqual?: Equal<unknown>): unknown {
  return usePart((snapshot) => snapshot.users, select, isEqual);
}

/** Everybody else in the room, or what is selected of them. */
export function useOthers(): readonly User[];
export function useOthers<Selected>(select: (others: readonly User[]) => Selected, isEqual?: Equal<Selected>): Selected;
export function useOthers(select?: (others: readonly User[]) => unknown, isEqual?: Equal<unknown>): unknown {
  return usePart((snapshot) => snapshot.others, select, isEqual);
}

/** Where other sessions point, or what is selected of that. */
export function useCursors(): readonly RemoteCursor[];
export function useCursors<Selected>(
  select: (cursors: readonly RemoteCursor[]) => Selected,
  isEqual?: Equal<Selected>,
): Selected;
export function useCursors(select?: (cursors: readonly RemoteCursor[]) => unknown, isEqual?: Equal<unknown>): unknown {
  return usePart((snapshot) => snapshot.cursors, select, isEqual);
}

/** The others who are typing, or what is selected of them. */
export function useTyping(): readonly User[];
export function useTyping<Selected>(select: (typing: readonly User[]) => Selected, isEqual?: Equal<Selected>): Selected;
export function useTyping(select?: (typing: readonly User[]) => unknown, isEqual?: Equal<unknown>): unknown {
  return usePart((snapshot) => snapshot.typing, select, isEqual);
}

/** The latest messages of the room, with their delivery, or what is selected of them. */
export function useMessages(): readonly Message[];
export function useMessages<Selected>(
  select: (messages: readonly Message[]) => Selected,
  isEqual?: Equal<Selected>,
): Selected;
export function useMessages(select?: (messages: readonly Message[]) => unknown, isEqual?: Equal<unknown>): unknown {
  return usePart((snapshot) => snapshot.messages, select, isEqual);
}

/** How the connection stands, or what is selected of that: its `rtt` changes with every heartbeat. */
export function useConnection(): ConnectionSnapshot;
export function useConnection<Selected>(
  select: (connection: ConnectionSnapshot) => Selected,
  isEqual?: Equal<Selected>,
): Selected;
export function useConnection(
  select: (connection: ConnectionSnapshot) => unknown = same,
  isEqual?: Equal<unknown>,
): unknown {
  return useStore(useClient().connection, NOT_BEGUN, select, isEqual);
}

/** How a user stands, wherever they are; `null` until it is known. Any number of components may ask for the same. */
export function useStatus(userId: string): UserStatus | null {
  const client = useClient();
  const subscribe = useCallback((listener: () => void) => client.watch([userId], listener), [client, userId]);
  return useSyncExternalStore(
    subscribe,
    () => client.status(userId),
    () => null,
  );
}
