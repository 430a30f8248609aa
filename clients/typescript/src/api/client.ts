// The interface: clients, what they do, and what happens to them.
import type { PresenceError } from "../errors.ts";
import type { Connection, ConnectionSnapshot } from "./connection.ts";
import type { Json, JsonObject, Release } from "./json.ts";
import type { Dropped, Message, StoredMessage } from "./messages.ts";
import type { ListedUser, Profile, UserStatus } from "./people.ts";
import type { Room, RoomOptions, SendOptions } from "./rooms.ts";
import type { RoomMode } from "./windows.ts";

/** What the server says about this client. */
export interface Identity {
  readonly userId: string;
  readonly sessionId: string;
  readonly connectionId: string;
}

/** An invitation to a room, from the inbox. */
export interface Invitation {
  readonly room: string;
  readonly invitedBy: string;
  readonly userName: string;
  readonly timestamp: number;
}

/** Somebody has come onto the roster of a room on which this user is. */
export interface InvitationAccepted {
  readonly room: string;
  readonly userId: string;
  readonly userName: string;
  readonly timestamp: number;
}

/** A room that is read as a whole has become so large that the server tells later what happens in it, or small again. */
export interface ModeChange {
  readonly room: string;
  readonly mode: RoomMode;
}

/** Somebody's profile has changed, who shares a room or a roster with this user. */
export interface ProfileChange {
  readonly userId: string;
  readonly username: string | null;
  readonly name: string | null;
  readonly color: string | null;
  readonly avatar: string | null;
  readonly timestamp: number;
}

/** What a room showed was not what the server has; it is being, or has been, corrected. */
export interface Drift {
  readonly room: string;
  /** `gap`: an event was missing. `digest`: all events came, and still it differs. `epoch`: the history is another. */
  readonly kind: "gap" | "digest" | "epoch";
  /** How often this client has seen drift, this one counted. */
  readonly count: number;
}

/** What happens to a client, by the name to give to {@link Client.on}. */
export interface ClientEvents {
  /** The connection is in another state. */
  readonly state: ConnectionSnapshot;
  /** Something went wrong that no call reports by itself. */
  readonly error: PresenceError;
  readonly drift: Drift;
  readonly identity: Identity;
  /** A message of any room or inbox, also of rooms on whose roster this user is without being there now. */
  readonly message: Message;
  readonly dropped: Dropped;
  readonly invitation: Invitation;
  readonly accepted: InvitationAccepted;
  readonly profile: ProfileChange;
  readonly mode: ModeChange;
  /** A message of the server of a type that this client does not know. */
  readonly unknown: JsonObject;
}

/** The way to a server, and who is there at one end of it. Functions may be passed on without their object. */
export interface Client {
  readonly connection: Connection;
  /** Who the server says this is; `null` until it has. */
  readonly identity: Identity | null;
  /**
   * The room of that name, held: it is entered now, and left a moment after everybody who has asked for it has called
   * {@link Room.leave}. Connects if nothing has yet.
   */
  readonly room: (id: string, options?: RoomOptions) => Room;
  /** Calls back for each event of a kind. */
  readonly on: <Type extends keyof ClientEvents>(type: Type, handler: (event: ClientEvents[Type]) => void) => Release;
  /** Calls back with how users stand, at once for each and at every change. */
  readonly watch: (userIds: readonly string[], handler: (status: UserStatus) => void) => Release;
  /** How a watched user stands. The same object until it changes; `null` while it is not known. */
  readonly status: (userId: string) => UserStatus | null;
  /** Who is online: in a room or on its roster, or of everybody with whom this user shares one. Needs a connection. */
  readonly listUsers: (room?: string) => Promise<readonly ListedUser[]>;
  /** Sends to a room without entering it, as those on its roster may, or to an inbox, `@id`. As {@link Room.send}. */
  readonly send: (room: string, data: Json, options?: SendOptions) => Promise<StoredMessage>;
  /** Says other things of this user in all rooms. For the profile that lasts see `@presence/client/people`. */
  readonly updateProfile: (profile: Profile) => void;
  /** The same for the name alone. */
  readonly rename: (name: string) => void;
  /** Makes a request to the server's HTTP interface with this client's credentials. */
  readonly request: (method: string, path: string, options?: RequestOptions) => Promise<HttpAnswer>;
  /** Connects, if it has not begun or was disconnected. */
  readonly connect: () => void;
  /**
   * Leaves all rooms and ends the connection. {@link connect} and entering a room bring it back, unless `permanent`:
   * then the client is spent, and what it had not sent yet is forgotten.
   */
  readonly disconnect: (options?: { readonly permanent?: boolean }) => void;
  /** Switches presence on again. */
  readonly enable: () => void;
  /** Switches presence off: nothing connects, whatever is called, and what is said waits. */
  readonly disable: () => void;
}

/** A request to the HTTP interface. */
export interface RequestOptions {
  readonly body?: Json;
  readonly headers?: ReadonlyMap<string, string>;
  readonly signal?: AbortSignal;
}

/** A good answer of the HTTP interface; a bad one is thrown as a {@link PresenceError}. */
export interface HttpAnswer {
  readonly status: number;
  readonly etag: string | null;
  readonly body: Json;
}
