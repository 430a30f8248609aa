// What a client lends to its parts: the connection, rooms, messages, and people elsewhere.
import type { ClientEvents, ClientOptions, Dial, Env, Identity, Release, Self, TokenRequest } from "./api.ts";
import type { Emitter, Guard } from "./emitter.ts";
import type { Link } from "./link/link.ts";
import type { Later } from "./load.ts";
import type { Early } from "./messages/messages.ts";
import type { Resident } from "./room/room.ts";
import type { Upkeep } from "./upkeep.ts";
import type { Said, ServerMessage } from "./wire/messages.ts";

/** What a connection needs of its client, and tells it. */
export interface Host extends Emitter<ClientEvents> {
  readonly env: Env;
  /** Aborted when the client is spent. */
  readonly life: AbortSignal;
  readonly options: ClientOptions;
  readonly guard: Guard;
  /** Where to, and as whom. */
  readonly dial: (reason: TokenRequest["reason"], signal: AbortSignal) => Promise<Dial>;
  /** Connected: from now on `use` gets a new token before the one that is in use ends. */
  readonly renew: (serverTime: number, use: (token: string) => void) => Release | undefined;
  /** It is open: rooms may be entered. Call {@link Link.synced} when all is in step. */
  readonly opened: (connected: Said<"connected">) => void;
  readonly received: (message: ServerMessage) => void;
  /** It is not open any more. */
  readonly lost: () => void;
  /** What a connection needs that lasts is needed from now on. */
  readonly keepUp: () => void;
}

/** What a client lends to what is on top of its connection. */
export interface Hub extends Host, Link {
  identity: Identity | null;
  /** How often the server hands out, in milliseconds. */
  tick: number;
  /** Who this user is as far as is known without the server. */
  readonly selfId: () => string | null;
  /** What this user says of themselves. */
  readonly profile: () => Partial<Self>;
  /** Rooms that are held, or have just been. */
  readonly residents: Map<string, Resident>;
  /** What is known of messages, also before the part is there that deals with them. */
  readonly early: Early;
  /** What a connection needs that lasts. */
  readonly upkeep: Later<Upkeep>;
  /** The room was entered, or refused: nothing of it is to be waited for. */
  readonly settled: () => void;
}
