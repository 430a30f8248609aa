// What happens in a room and to a client, as hooks: the handler is always that of the latest render.
import { useEffect } from "react";
import type { ClientEvents, RoomEvents } from "../api.ts";
import { useClient, useRoom } from "./context.tsx";
import { useLatest } from "./store.ts";

/** Calls back for each event of a kind in the nearest room. */
export function useRoomEvent<Type extends keyof RoomEvents>(
  type: Type,
  handler: (event: RoomEvents[Type]) => void,
): void {
  const room = useRoom();
  const latest = useLatest(handler);
  useEffect(() => room.on(type, (event) => latest.current(event)), [room, type, latest]);
}

/** Calls back for each event of a kind of the client: invitations, errors, messages of any room. */
export function useClientEvent<Type extends keyof ClientEvents>(
  type: Type,
  handler: (event: ClientEvents[Type]) => void,
): void {
  const client = useClient();
  const latest = useLatest(handler);
  useEffect(() => client.on(type, (event) => latest.current(event)), [client, type, latest]);
}
