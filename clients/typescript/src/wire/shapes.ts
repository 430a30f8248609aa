// How to read what belongs to messages that last, and to people elsewhere.
import type { Dropped, ListedUser, ProfileChange, UserStatus } from "../api.ts";
import { field, flag, isObject, json, list, map, number, object, or, type Read, type Shape, text } from "./fields.ts";
import type { StreamItem, WireInvitation, WireMessage } from "./messages.ts";
import type { Shapes } from "./parse.ts";

const textOrNull = or(text, null);

const anyStatus: Read<UserStatus["status"]> = (value) => (value === "away" || value === "online" ? value : "offline");

/** How to read a message that the server keeps. */
export const message: Shape<WireMessage> = {
  room: text,
  id: text,
  seq: number,
  userId: text,
  userName: text,
  snapshot: json,
  timestamp: number,
};

const invitation: Shape<WireInvitation> = {
  inbox: text,
  seq: number,
  room: text,
  invitedBy: text,
  userName: text,
  timestamp: number,
};

/** Something in the answer to a sync, where a message has no type. */
const item: Read<StreamItem> = (value, name) =>
  isObject(value) && field(value, "type") === "thread_invitation"
    ? { type: "thread_invitation", ...object(invitation)(value, name) }
    : { type: "message_created", ...object(message)(value, name) };

const dropped: Shape<Dropped> = { room: text, count: number, fromSeq: number, toSeq: number, reason: text };

const profile: Shape<ProfileChange> = {
  userId: text,
  username: textOrNull,
  name: textOrNull,
  color: textOrNull,
  avatar: textOrNull,
  timestamp: number,
};

const userStatus: Shape<UserStatus> = { id: text, status: anyStatus, lastOnline: or(number, null) };

const listedUser: Shape<ListedUser> = { ...userStatus, name: text, color: textOrNull };

export const FEATURE_SHAPES: Shapes = {
  ack: { id: text, seq: number, timestamp: number, durability: textOrNull },
  message_created: message,
  thread_invitation: invitation,
  messages_dropped: dropped,
  sync_result: {
    messages: list(item),
    dropped: or(list(object(dropped)), []),
    profiles: or(list(object(profile)), []),
    cursors: map(number),
    more: flag,
    timestamp: number,
  },
  user_status: { users: list(object(userStatus)) },
  online_users: { users: list(object(listedUser)) },
  user_profile_updated: profile,
  invitation_accepted: { room: text, userId: text, userName: text, timestamp: number },
};
