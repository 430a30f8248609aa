// The types of the package's interface: what an application sees of clients, rooms, people and messages.

import type { PresenceError } from "./errors.ts";

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** A JSON object. Those that come from the server have no prototype, so that no name in them is special. */
export interface JsonObject {
  readonly [name: string]: Json;
}

/** Ends what was begun: a subscription, a hold on a room, a timer. Calling it again does nothing. */
export type Release = () => void;

// ----------------------------------------------------------------------------------------------- people

/** What a user says of themselves. */
export interface Profile {
  readonly name?: string;
  readonly color?: string;
  readonly avatar?: string;
  readonly email?: string;
}

/** A user as named by `createClient`: needed without tokens, and at most what the token says with them. */
export interface Self extends Profile {
  readonly id: string;
}

/** One of a user's sessions in a room: a tab, a device. Its cursor is in {@link RoomSnapshot.cursors}. */
export interface Session {
  readonly sessionId: string;
  /** When it connected, in Unix milliseconds of the server. */
  readonly connectedAt: number;
  /** False while nobody uses it. */
  readonly active: boolean;
  /** What it said of itself with {@link Room.update}. */
  readonly state: JsonObject;
}

/** A user who is present in a room, once, however many sessions they have there. */
export interface User {
  readonly id: string;
  readonly name: string;
  readonly color: string;
  readonly avatar: string | null;
  readonly email: string | null;
  readonly joinedAt: number;
  readonly lastSeen: number;
  /** `away` when none of the sessions is in use. */
  readonly status: "online" | "away";
  readonly connectionCount: number;
  readonly sessions: readonly Session[];
}

/** This session in a room: the state and the cursor are those that were said last, whether confirmed yet or not. */
export interface Me {
  /** `null` until it is known, which with tokens is when the server has said so. */
  readonly id: string | null;
  readonly sessionId: string | null;
  /** As the others see this user; `null` while not in the room. */
  readonly user: User | null;
  readonly state: JsonObject;
  readonly cursor: Cursor | null;
  readonly typing: boolean;
}

/** Where somebody points. The unit is the application's: pixels, or fractions of a page. */
export interface Cursor extends JsonObject {
  readonly x: number;
  readonly y: number;
}

/** A cursor of another session. */
export interface RemoteCursor {
  /** Unique in its room and stable: a key for lists. */
  readonly key: string;
  readonly sessionId: string;
  readonly user: User;
  readonly cursor: Cursor;
}

/** How a user stands, wherever they are: the answer to {@link Client.watch}. */
export interface UserStatus {
  readonly id: string;
  readonly status: "online" | "away" | "offline";
  /** When they were last connected, in Unix milliseconds of the server; `null` if never. */
  readonly lastOnline: number | null;
}

/** An answer to {@link Client.listUsers}. */
export interface ListedUser extends UserStatus {
  readonly name: string;
  readonly color: string | null;
}

// ----------------------------------------------------------------------------------------------- messages

/** What has become of a message. Those of others are always `stored`. */
export type Delivery =
  | { readonly state: "pending" }
  | { readonly state: "stored"; readonly seq: number; readonly durability: string | null }
  | { readonly state: "failed"; readonly error: PresenceError };

/** A message in a room or an inbox. */
export interface Message {
  /** Unique and stable, before and after it is stored: a key for lists. */
  readonly key: string;
  readonly room: string;
  /** The sender's own name for it. */
  readonly id: string;
  /** `null` only for own messages that were written before it was known who writes. */
  readonly userId: string | null;
  readonly userName: string | null;
  readonly data: Json;
  /** The server's time once it is stored, this machine's before. */
  readonly timestamp: number;
  /** True for what this user wrote, in this session or another. */
  readonly own: boolean;
  readonly delivery: Delivery;
}

/** A message that is safe, as {@link Room.send} resolves with it. */
export type StoredMessage = Message & { readonly delivery: Extract<Delivery, { readonly state: "stored" }> };

/** Messages that are gone for good: they grew too old, or too many came. */
export interface Dropped {
  readonly room: string;
  readonly count: number;
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly reason: string;
}

// ----------------------------------------------------------------------------------------------- rooms

/** How this client stands to a room. */
export type RoomStatus =
  /** Nobody holds the room, or the client does not connect. */
  | { readonly kind: "out" }
  /** On its way in, for the first time. */
  | { readonly kind: "joining" }
  /** In, and what is shown is what the server has. */
  | { readonly kind: "live" }
  /** Was in; what is shown is the last that was known. It goes on by itself. */
  | { readonly kind: "stale" }
  /** The server does not let this user in, or has put them out. {@link Room.enter} tries again. */
  | { readonly kind: "refused"; readonly error: PresenceError };

/**
 * A room at one moment. It never changes; another one takes its place, in which every part that did not change is the
 * same object as before. So parts may be compared with `===`.
 */
export interface RoomSnapshot {
  readonly id: string;
  readonly status: RoomStatus;
  /** True while this is the last known state, and not what the server has now. */
  readonly stale: boolean;
  /** Everybody who is here, this user too, by the time they came. */
  readonly users: readonly User[];
  /** Everybody but this user. */
  readonly others: readonly User[];
  readonly me: Me;
  /** Where other sessions point; those of this user's other sessions too. */
  readonly cursors: readonly RemoteCursor[];
  /** The others who are typing now. */
  readonly typing: readonly User[];
  /** The latest messages that came or were sent since the room was entered; what is on its way stands last. */
  readonly messages: readonly Message[];
}

/** Why a user left. `missed`: it happened while this client was away. */
export type LeaveCause = "left" | "closed" | "timeout" | "kicked" | "node_lost" | "missed" | "unknown";

/** What happens in a room, by the name to give to {@link Room.on}. */
export interface RoomEvents {
  /** Somebody came: their first session. Who was there already when this client came is not told. */
  readonly join: { readonly user: User };
  /** Somebody has left: their last session, and the grace of a lost connection is over. */
  readonly leave: { readonly user: User; readonly cause: LeaveCause };
  /** Something about somebody changed: name, colour, status, sessions, state. */
  readonly update: { readonly user: User; readonly before: User };
  /** A message of somebody else, or of another session of this user; each once and in order. */
  readonly message: Message;
  /** A message that was sent here has become `stored` or `failed`. */
  readonly delivery: Message;
  /** Messages that this user missed are gone for good. */
  readonly dropped: Dropped;
  /** The server had kept this session, with its state, over a loss of connection. */
  readonly restored: { readonly state: JsonObject };
  /** The server refused something that was said here. What {@link Room.update} had changed is as before. */
  readonly error: PresenceError;
}

/** How to enter a room. */
export interface RoomOptions {
  /** False to only look at it, until {@link Room.enter}: nothing is sent for such a room. Default: true. */
  readonly enter?: boolean;
  /** The state to enter with. Only the first one counts, while the room is held. */
  readonly state?: JsonObject;
}

/**
 * A room: who is in it, and what they say. There is one object for each room of a client, however often it is asked for.
 * Functions may be passed on without their object.
 */
export interface Room {
  readonly id: string;
  /** How it is now. The same object until something changes: fit for `useSyncExternalStore`. */
  readonly snapshot: RoomSnapshot;
  readonly users: readonly User[];
  readonly others: readonly User[];
  readonly me: Me;
  /** Calls back after changes: at most once for each turn of the event loop, or frame if cursors move. */
  readonly subscribe: (listener: () => void) => Release;
  /** Calls back for each event of a kind, in the order in which they happen. */
  readonly on: <Type extends keyof RoomEvents>(type: Type, handler: (event: RoomEvents[Type]) => void) => Release;
  /** Holds the room: it is entered with the first hold, and left a moment after the last one is released. */
  readonly enter: (options?: Pick<RoomOptions, "state">) => Release;
  /** Releases one hold that {@link Client.room} took. */
  readonly leave: () => void;
  /** Merges into this session's state, field by field; `null` removes a field. Shown at once, undone if refused. */
  readonly update: (patch: JsonObject) => void;
  /** Points somewhere, or nowhere. Call it as often as you like: it sends the latest, and nothing if nobody looks. */
  readonly cursor: (cursor: Cursor | null) => void;
  /** Says that somebody is typing. Call it with every key: it ends by itself, or with `false`, or with a message. */
  readonly typing: (typing?: boolean) => void;
  /**
   * Sends a message: now, or when there is a connection again; once, and in the order of the calls. It is shown as
   * pending at once; the first one of a page when the part has come that sends messages. Resolves when it is safe,
   * rejects with a {@link PresenceError} if it is refused. Nothing is reported as unhandled if nobody awaits it.
   */
  readonly send: (data: Json, options?: SendOptions) => Promise<StoredMessage>;
  /** Tries a message that has failed again. */
  readonly resend: (id: string) => Promise<StoredMessage>;
  /** Forgets a message that has failed. */
  readonly discard: (id: string) => void;
}

/** How to send a message. */
export interface SendOptions {
  /** Its name: the same id again is the same message. Default: a random one. */
  readonly id?: string;
}

// ----------------------------------------------------------------------------------------------- connection

/** The ways to a server. */
export type TransportKind = "ws" | "sse";

/** How good the connection is, by the time a heartbeat takes. */
export type Quality = "good" | "poor" | "disconnected";

/** Why a connection has ended for good. */
export type ClosedReason =
  /** {@link Client.disconnect} was called. */
  | "disconnected"
  /** A newer connection has this session: another tab, or this one elsewhere. */
  | "superseded"
  /** The server does not take the token, or there is none. */
  | "unauthorized"
  /** The token ended and there is no `getToken` to get another. */
  | "expired"
  /** Somebody sent this user away. */
  | "kicked"
  /** The server says that this client does not speak its language. */
  | "refused"
  /** As many tries as {@link ClientOptions.retries} allows have failed. */
  | "gave_up";

/** What a connection has in every state. */
export interface ConnectionFacts {
  /** How many tries have failed since it was last live. */
  readonly attempt: number;
  /** Milliseconds of the last heartbeat's round trip; `null` until there was one. */
  readonly rtt: number | null;
  readonly quality: Quality;
  /** True if there was something to see before, and it may not be so any more. */
  readonly stale: boolean;
  /** When everything was last in step with the server, in Unix milliseconds; `null` if never. */
  readonly syncedAt: number | null;
  /** How many messages wait to be stored. */
  readonly pending: number;
}

/** The states of a connection, by `status`. */
export type ConnectionSnapshot = ConnectionFacts &
  (
    | /** Not begun, or switched off by {@link Client.disable}. */ { readonly status: "idle" }
    | { readonly status: "connecting"; readonly transport: TransportKind }
    | /** Connected; the rooms are being brought up to date. */ {
        readonly status: "syncing";
        readonly transport: TransportKind;
      }
    | { readonly status: "live"; readonly transport: TransportKind }
    | {
        readonly status: "waiting";
        /** When it tries again, in Unix milliseconds; `null` while the browser says that there is no network. */
        readonly nextTryAt: number | null;
        readonly error: PresenceError;
      }
    | { readonly status: "closed"; readonly reason: ClosedReason; readonly error: PresenceError | null }
  );

/** The connection, for those who show how it stands. */
export interface Connection {
  /** How it is now. The same object until something changes. */
  readonly snapshot: ConnectionSnapshot;
  readonly subscribe: (listener: () => void) => Release;
  /** Tries at once, if it waits, or has closed for another reason than {@link Client.disconnect}. */
  readonly retryNow: () => void;
}

// ----------------------------------------------------------------------------------------------- client

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

// ----------------------------------------------------------------------------------------------- options

/** Why a token is asked for, and a signal that says when it is not needed any more. */
export interface TokenRequest {
  readonly reason: "connect" | "renew" | "expired" | "refused" | "request";
  readonly signal: AbortSignal;
}

/** How the server knows who this is: by a token, by one that is asked for when needed, or (in dev mode) by `user`. */
export type Credentials =
  | { readonly token: string; readonly getToken?: never; readonly user?: Self | Profile }
  | {
      readonly getToken: (request: TokenRequest) => string | Promise<string>;
      readonly token?: never;
      readonly user?: Self | Profile;
    }
  | { readonly token?: never; readonly getToken?: never; readonly user: Self };

/** How to make a client. */
export type ClientOptions = Credentials & {
  /** Where the server is: `https://rt.example.com`, with a path if it is behind one, or `/` for the page's own. */
  readonly url: string | URL;
  /** This session's name. Default: one that outlives reloads of this tab. */
  readonly sessionId?: string;
  /** `ws` or `sse` for only that one. Default: `auto`, WebSocket first, and an event stream where that does not open. */
  readonly transport?: "auto" | TransportKind;
  /** After how many failed tries in a row to give up. Default: never. */
  readonly retries?: number;
  /** From which round-trip time on the quality is poor, in milliseconds. Default: 300. */
  readonly poorRtt?: number;
  /** After how long without a key or a pointer a visible page is idle, in milliseconds. Default: 5 minutes; 0: never. */
  readonly idleAfter?: number;
  /** How often to compare with the server, in milliseconds. Default: a minute. */
  readonly checkEvery?: number;
  /** How many messages a room shows at most. Default: 200. */
  readonly messagesMax?: number;
  /** How many messages may wait to be stored; one more is refused. Default: 500. */
  readonly outboxMax?: number;
  /** Where messages that wait are kept, so that they outlive a reload. Default: nowhere. */
  readonly outboxStore?: OutboxStore;
  /** Lets the tabs of a browser share an event stream: `shareTabs()` of `@presence/client/tabs`. Default: each has one. */
  readonly tabs?: TabSharing;
  /** What is outside: time, chance, the page, the network. For tests, and other places than browsers. */
  readonly env?: Partial<Env>;
};

/** A message that waits to be stored, as an {@link OutboxStore} keeps it. */
export interface OutboxEntry {
  readonly room: string;
  readonly id: string;
  readonly data: Json;
  readonly timestamp: number;
}

/** Keeps messages that wait to be stored. `load` may give what it does not know the shape of: it is parsed. */
export interface OutboxStore {
  readonly load: () => unknown | Promise<unknown>;
  readonly save: (entries: readonly OutboxEntry[]) => void | Promise<void>;
}

// ----------------------------------------------------------------------------------------------- what is outside

/** What is outside of the client. A test gives its own, and so decides on time, chance and the network. */
export interface Env {
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Calls back once, after so many milliseconds. */
  readonly after: (milliseconds: number, callback: () => void) => Release;
  /** Calls back before the next frame is drawn, or soon where nothing is drawn. */
  readonly frame: (callback: () => void) => Release;
  /** At least 0, less than 1. */
  readonly random: () => number;
  /** A name that nobody else has. */
  readonly uniqueId: () => string;
  readonly page: Page;
  /** Keeps this session's name over a reload of this tab; `null` if nothing does. */
  readonly storage: Pick<Storage, "getItem" | "setItem"> | null;
  /** Whether nobody else has this name. It is held until the tab goes away, or `signal` is aborted. */
  readonly claim: (name: string, signal: AbortSignal) => Promise<boolean>;
  readonly fetch: typeof fetch;
  /** The ways to the server, in the order in which they are tried. */
  readonly transports: ReadonlyMap<TransportKind, OpenTransport>;
}

/** What a page's events say. `used`: a key, a pointer. `kept`, `back`: into and out of the browser's page cache. */
export type PageEvent = "online" | "offline" | "visible" | "hidden" | "used" | "kept" | "back";

/** The page that the client runs in. */
export interface Page {
  readonly online: () => boolean;
  readonly visible: () => boolean;
  readonly subscribe: (listener: (event: PageEvent) => void) => Release;
}

/** Where to, and as whom. A transport may put the token into a header, or leave it to {@link Dial.hello}. */
export interface Dial {
  /** The server's address, without a slash at its end: `https://rt.example.com`. */
  readonly base: string;
  /** What the URL says, with no secret in it. */
  readonly query: URLSearchParams;
  readonly token: string | null;
  /** The first message for a transport that has nowhere else to put the token; `null` without one. */
  readonly hello: JsonObject | null;
  readonly fetch: typeof fetch;
}

/** What a transport tells. Nothing more comes after `closed`, nor after {@link Transport.close} was called. */
export interface TransportEvents {
  /** A message has come: its text. */
  readonly message: (text: string) => void;
  /** The end, with a close code (1006 if there was none), and when to come again if the server said so. */
  readonly closed: (code: number, reason: string, retryAfter?: number) => void;
}

/** One connection to the server, by whatever way. */
export interface Transport {
  /** Says something, after everything that was said before. What can not be said any more is lost. */
  readonly send: (message: JsonObject) => void;
  /** Takes another token for what goes beside the connection. */
  readonly renew: (token: string) => void;
  /** Ends it: 1000 leaves all rooms at once, anything else lets the server wait for this session. */
  readonly close: (code: number) => void;
}

/** Opens a connection. It may take what is sent before it is open. */
export type OpenTransport = (dial: Dial, events: TransportEvents) => Transport;

/** The ways to the server, made of those that each tab has for itself. */
export type TabSharing = (env: Env) => Env["transports"];

/** Makes a client. It does nothing until something is asked of it, so it may be made anywhere, on a server too. */
export type CreateClient = (options: ClientOptions) => Client;
