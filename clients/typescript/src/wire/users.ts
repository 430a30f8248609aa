// Reads users, their sessions and their cursors.
import type { Cursor, ListedUser, ProfileChange, Session, UserStatus } from "../api.ts";
import {
  type Fields,
  field,
  isObject,
  jsonObject,
  list,
  maybeNumber,
  maybeText,
  number,
  object,
  text,
} from "./fields.ts";
import type { UserPatch, WireSessions, WireUser } from "./messages.ts";

/** A cursor; `null` if there is none, or none that could be shown. */
export function readCursor(value: unknown): Cursor | null {
  if (!isObject(value)) return null;
  const [x, y] = [field(value, "x"), field(value, "y")];
  return typeof x === "number" && typeof y === "number" ? Object.freeze({ ...jsonObject(value), x, y }) : null;
}

function readSession(from: Fields): Session {
  return {
    sessionId: text(from, "sessionId"),
    connectedAt: number(from, "connectedAt"),
    active: field(from, "active") !== false,
    state: jsonObject(object(from, "state")),
  };
}

function readStatus(from: Fields): "online" | "away" {
  return text(from, "status") === "away" ? "away" : "online";
}

/** The sessions of a user, and where they point. */
export function readSessions(from: Fields): WireSessions {
  const cursors = new Map<string, Cursor>();
  const sessions = list(from, "sessions", (one) => {
    const session = readSession(one);
    const cursor = readCursor(field(one, "cursor"));
    if (cursor) cursors.set(session.sessionId, cursor);
    return session;
  });
  return { sessions, cursors };
}

export function readUser(from: Fields): WireUser {
  const { sessions, cursors } = readSessions(from);
  const user = {
    id: text(from, "id"),
    name: text(from, "name"),
    color: text(from, "color"),
    avatar: maybeText(from, "avatar"),
    email: maybeText(from, "email"),
    joinedAt: number(from, "joinedAt"),
    lastSeen: number(from, "lastSeen"),
    status: readStatus(from),
    connectionCount: number(from, "connectionCount"),
    sessions,
  };
  return { user, cursors };
}

/** What an update says of a user beside their sessions. */
export function readPatch(from: Fields): UserPatch {
  const has = (name: string): boolean => field(from, name) !== undefined;
  return {
    ...(has("name") && { name: text(from, "name") }),
    ...(has("color") && { color: text(from, "color") }),
    ...(has("avatar") && { avatar: maybeText(from, "avatar") }),
    ...(has("email") && { email: maybeText(from, "email") }),
    ...(has("status") && { status: readStatus(from) }),
    ...(has("connectionCount") && { connectionCount: number(from, "connectionCount") }),
  };
}

export function readUserStatus(from: Fields): UserStatus {
  const status = text(from, "status");
  return {
    id: text(from, "id"),
    status: status === "online" || status === "away" ? status : "offline",
    lastOnline: maybeNumber(from, "last_online"),
  };
}

export function readListedUser(from: Fields): ListedUser {
  return { ...readUserStatus(from), name: text(from, "name"), color: maybeText(from, "color") };
}

export function readProfile(from: Fields): ProfileChange {
  return {
    userId: text(from, "user_id"),
    username: maybeText(from, "username"),
    name: maybeText(from, "name"),
    color: maybeText(from, "color"),
    avatar: maybeText(from, "avatar"),
    timestamp: number(from, "timestamp"),
  };
}
