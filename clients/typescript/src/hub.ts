// What a client lends to its parts: rooms, messages, and people elsewhere.
import type {
  Client,
  ClientEvents,
  ClientOptions,
  Drift,
  Env,
  Identity,
  JsonObject,
  Message,
  Room,
  Self,
} from "./api.ts";
import type { Emitter, Guard } from "./emitter.ts";
import type { Resident } from "./room/room.ts";
import type { Answered, ServerMessage } from "./wire/messages.ts";

export interface Hub extends Pick<Emitter<ClientEvents>, "emit" | "hears"> {
  readonly env: Env;
  readonly options: ClientOptions;
  readonly guard: Guard;
  readonly isOpen: () => boolean;
  /** Says something, if the connection is open; `answered` hears what is answered to it. */
  readonly say: (message: JsonObject, answered?: Answered) => void;
  identity: Identity | null;
  /** Who this user is as far as is known without the server. */
  readonly selfId: () => string | null;
  /** What this user says of themselves. */
  readonly profile: () => Partial<Self>;
  /** How often the server hands out, in milliseconds. */
  tick: number;
  /** A room that is held here. */
  readonly resident: (room: string) => Resident | undefined;
  readonly setPending: (pending: number) => void;
  readonly drift: (room: string, kind: Drift["kind"]) => void;
  /** The room is held now, and wants a connection. */
  readonly wanted: (room: Resident) => void;
  /** The room was entered, or refused: nothing of it is to be waited for. */
  readonly settled: () => void;
  /** Nobody holds the room any more, and it has been left. */
  readonly vacated: (room: Resident) => void;
}

/** Messages that last. */
export interface Messages extends Pick<Client, "send"> {
  readonly resend: (room: string, id: string) => ReturnType<Room["resend"]>;
  readonly discard: (room: string, id: string) => void;
  /** What a room shows of messages. */
  readonly of: (room: string) => readonly Message[];
  /** A room has been left. */
  readonly forget: (room: string) => void;
  readonly receive: (message: ServerMessage) => void;
  /** Says what waits and may go now. */
  readonly flush: () => void;
  /** Asks for what was missed, if anything could have been; then calls `done`. */
  readonly sync: (done: () => void) => void;
  /** The server's histories are other ones than before. */
  readonly replaced: () => void;
  readonly lost: () => void;
  readonly clear: () => void;
}
