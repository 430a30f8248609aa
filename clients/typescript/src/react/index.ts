// The package's React entry: who is here, as hooks.
"use client";
export { PresenceProvider, type PresenceProviderProps, Room, type RoomProps, useClient, useRoom } from "./context.tsx";
export { useClientEvent, useRoomEvent } from "./events.ts";
export {
  useConnection,
  useCursors,
  useMe,
  useMessages,
  useOthers,
  useSnapshot,
  useStatus,
  useTyping,
  useUsers,
} from "./hooks.ts";
export { type Equal, shallow } from "./store.ts";
export { useWindow } from "./window.ts";
