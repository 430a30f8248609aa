// Which client and which room the components of a tree belong to.
import { type Context, createContext, type ReactNode, useContext, useEffect } from "react";
import type { Client, Room as PresenceRoom, RoomOptions } from "../api.ts";
import { useLatest } from "./store.ts";

const ClientContext: Context<Client | null> = /* @__PURE__ */ createContext<Client | null>(null);
const RoomContext: Context<PresenceRoom | null> = /* @__PURE__ */ createContext<PresenceRoom | null>(null);

/** What a {@link PresenceProvider} is given. */
export interface PresenceProviderProps {
  /** Made once, outside of components. It stays the application's: nothing here ever disconnects it. */
  readonly client: Client;
  readonly children?: ReactNode;
}

/** Lends a client to all components in it. */
export function PresenceProvider({ client, children }: PresenceProviderProps): ReactNode {
  return <ClientContext.Provider value={client}>{children}</ClientContext.Provider>;
}

/** What a {@link Room} is given. */
export interface RoomProps extends RoomOptions {
  readonly id: string;
  readonly children?: ReactNode;
}

/** Enters a room for as long as it is shown, and makes it the room of all components in it. */
export function Room({ id, children, ...options }: RoomProps): ReactNode {
  return <RoomContext.Provider value={useRoom(id, options)}>{children}</RoomContext.Provider>;
}

/** The client of the nearest {@link PresenceProvider}. */
export function useClient(): Client {
  return need(useContext(ClientContext), "<PresenceProvider>");
}

/**
 * A room. With an id it is entered for as long as the component is there: any number of components may share it, and it
 * is left a moment after the last one has gone. Without an id it is that of the nearest {@link Room}.
 */
export function useRoom(id?: string, options: RoomOptions = {}): PresenceRoom {
  const client = useClient();
  const nearest = useContext(RoomContext);
  // Only looks it up: rendering must do nothing that is seen elsewhere.
  const room = id === undefined ? need(nearest, "<Room>") : client.room(id, { enter: false });
  const state = useLatest(options.state);
  const isEntered = id !== undefined && options.enter !== false;
  useEffect(
    () => (isEntered ? room.enter(state.current && { state: state.current }) : undefined),
    [room, isEntered, state],
  );
  return room;
}

function need<Value>(value: Value | null, around: string): Value {
  if (value === null) throw new Error(`presence: there is no ${around} around this component`);
  return value;
}
