// What the page's address says: the room, who this is, and by which transport.
import { useCallback, useSyncExternalStore } from "react";
import type { TransportKind } from "../src/index.ts";

const CROWD = "crowd";

/** What does not change while the page is open. */
export interface Address {
  readonly transport: "auto" | TransportKind;
  /** A user to be, where nobody has to prove it. */
  readonly user: string | null;
  /** Whether rooms are shown as crowds, of which only a part is read. */
  readonly isCrowd: boolean;
  /** From behind the `#`, which never reaches a server's log. */
  readonly token: string | null;
}

export function readAddress({ search, hash }: Pick<Location, "search" | "hash">): Address {
  const query = new URLSearchParams(search);
  const transport = query.get("transport");
  return {
    transport: transport === "ws" || transport === "sse" ? transport : "auto",
    user: query.get("user")?.trim() || null,
    isCrowd: query.get("view") === CROWD,
    token: new URLSearchParams(hash.slice(1)).get("token"),
  };
}

/** The address of a room of this page, shown in the same way unless another is given. As somebody else, unless `asMe`. */
export function addressOf(room: string, asMe: boolean, view?: typeof CROWD | null): string {
  const query = new URLSearchParams(location.search);
  query.set("room", room);
  if (!asMe) query.delete("user");
  if (view === null) query.delete("view");
  else if (view) query.set("view", view);
  return `?${query}${location.hash}`;
}

function currentRoom(): string {
  return new URLSearchParams(location.search).get("room")?.trim() || "lobby";
}

function subscribe(listener: () => void): () => void {
  addEventListener("popstate", listener);
  return () => removeEventListener("popstate", listener);
}

/** The room that the address names, and a way to another one, as a page of its own for the browser's buttons. */
export function useRoomName(): readonly [room: string, go: (room: string) => void] {
  const room = useSyncExternalStore(subscribe, currentRoom);
  const go = useCallback((next: string) => {
    if (next === currentRoom()) return;
    history.pushState(null, "", addressOf(next, true));
    dispatchEvent(new PopStateEvent("popstate"));
  }, []);
  return [room, go];
}
