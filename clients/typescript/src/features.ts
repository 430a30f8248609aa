// What a client may have beside its connection and its rooms. Whoever counts bytes leaves it out.
import type {
  Client,
  ClientEvents,
  ClientOptions,
  Env,
  JsonObject,
  Message,
  OpenTransport,
  Room,
  RoomEvents,
  TransportKind,
} from "./api.ts";
import type { Guard } from "./emitter.ts";
import { PresenceError } from "./errors.ts";
import type { Requester } from "./request.ts";
import type { ServerMessage } from "./wire/messages.ts";
import type { Shapes } from "./wire/parse.ts";

/** What a client lends to its features. */
export interface Host {
  readonly env: Env;
  readonly guard: Guard;
  readonly options: ClientOptions;
  readonly say: (message: JsonObject, answered?: (message: ServerMessage) => void) => void;
  readonly isOpen: () => boolean;
  readonly self: () => { readonly id: string | null; readonly name: string | null };
  /** Whether a room is held here. */
  readonly isHeld: (room: string) => boolean;
  /** Whether it is held, and the server has not let this client in yet. */
  readonly isEntering: (room: string) => boolean;
  readonly tell: <Type extends keyof ClientEvents>(type: Type, event: ClientEvents[Type]) => void;
  /** Whether the application wants to hear of these. */
  readonly hears: (type: keyof ClientEvents) => boolean;
  readonly tellRoom: <Type extends keyof RoomEvents>(room: string, type: Type, event: RoomEvents[Type]) => void;
  /** What a room shows of messages has changed, and how many wait to be stored. */
  readonly changed: (room: string, pending: number) => void;
}

/** A feature's part in what happens to a connection. */
export interface Feature {
  /** Takes a message of the server, if it is for this feature. */
  readonly receive: (message: ServerMessage) => void;
  readonly opened: () => void;
  readonly lost: () => void;
}

/** Messages that last. */
export interface Messages extends Feature, Pick<Client, "send"> {
  readonly resend: (room: string, id: string) => ReturnType<Room["resend"]>;
  readonly discard: (room: string, id: string) => void;
  /** What a room shows of messages. The same list until that changes. */
  readonly of: (room: string) => readonly Message[];
  /** A room has been left. */
  readonly forget: (room: string) => void;
  /** Says what waits and may go now. */
  readonly flush: () => void;
  /** Asks for what was missed, if anything could have been; then calls `done`. */
  readonly sync: (done: () => void) => void;
  /** The server's histories are other ones than before. */
  readonly replaced: () => void;
  readonly clear: () => void;
}

/** People, wherever they are. */
export interface Directory extends Feature, Pick<Client, "watch" | "status" | "listUsers"> {}

/** What a client is made of. */
export interface Features {
  /** In the order in which they are tried. */
  readonly transports: ReadonlyMap<TransportKind, OpenTransport>;
  /** How to read what the server says to them. */
  readonly shapes: Shapes;
  readonly messages: (host: Host) => Messages;
  readonly directory: (host: Host) => Directory;
  readonly request: (requester: Requester, ...call: Parameters<Client["request"]>) => ReturnType<Client["request"]>;
}

const nothing = (): void => {};
const never = (): Promise<never> =>
  Promise.reject(new PresenceError("unavailable", "this part of the client was left out"));
const NONE: readonly never[] = [];

/** Only rooms: who is here, what they do, where they point. */
export const NO_FEATURES: Omit<Features, "transports"> = {
  shapes: {},
  messages: () => ({
    receive: nothing,
    opened: nothing,
    lost: nothing,
    send: never,
    resend: never,
    discard: nothing,
    of: () => NONE,
    forget: nothing,
    flush: nothing,
    sync: (done) => done(),
    replaced: nothing,
    clear: nothing,
  }),
  directory: () => ({
    receive: nothing,
    opened: nothing,
    lost: nothing,
    watch: () => nothing,
    status: () => null,
    listUsers: never,
  }),
  request: never,
};
