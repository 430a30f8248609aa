// What lasts of people: profiles, rosters, invitations, documents and the messages that were. All of it is asked for over
// HTTP; what changes meanwhile comes as events of the client.
import type { Client, Message, Profile, UserStatus } from "../api.ts";
import { PresenceError } from "../errors.ts";
import { messageOf } from "../messages/message.ts";
import type { WireMessage } from "../messages/news.ts";
import { MESSAGE, standing } from "../messages/shapes.ts";
import { isObject, json } from "../wire/json.ts";
import { list, object, type Read } from "../wire/read.ts";
import { createDocument, type Document } from "./document.ts";

/** A user as the server keeps them, online or not. */
export interface Person extends UserStatus {
  /** The name that they chose; `null` until they have. */
  readonly username: string | null;
  readonly name: string | null;
  readonly color: string | null;
  readonly avatar: string | null;
}

/** Somebody on the roster of a room. */
export interface Member {
  readonly userId: string;
  readonly username: string | null;
  readonly name: string | null;
  readonly color: string | null;
  readonly status: UserStatus["status"];
  readonly joinedAt: number;
}

/** An invitation that is open. */
export interface Invite {
  readonly room: string;
  readonly userId: string;
  readonly invitedBy: string;
  readonly createdAt: number;
}

/** A page of the messages of a room. */
export interface History {
  readonly messages: readonly Message[];
  /** Whether there are more after these. */
  readonly more: boolean;
}

/** What to change of a profile; `null` clears a field. */
export type ProfilePatch = { readonly [Name in keyof Omit<Profile, "name"> | "username"]?: string | null };

/** What lasts of people. */
export interface People {
  readonly person: (userId: string) => Promise<Person>;
  /** Those of them who are known, at most 100 at once. */
  readonly persons: (userIds: readonly string[]) => Promise<readonly Person[]>;
  /** Chooses a name: 3 to 64 characters. Everybody who shares a room or a roster with this user sees it at once. */
  readonly rename: (username: string) => Promise<Person>;
  readonly updateProfile: (patch: ProfilePatch) => Promise<Person>;
  readonly members: (room: string) => Promise<readonly Member[]>;
  /** Puts somebody on a room's roster: this user, or as a member somebody else. */
  readonly addMember: (room: string, userId: string) => Promise<void>;
  readonly removeMember: (room: string, userId: string) => Promise<void>;
  readonly invite: (room: string, userId: string) => Promise<Invite>;
  /** The open invitations of this user, or of a room. */
  readonly invites: (room?: string) => Promise<readonly Invite[]>;
  readonly accept: (room: string) => Promise<void>;
  readonly decline: (room: string) => Promise<void>;
  readonly withdraw: (room: string, userId: string) => Promise<void>;
  /** A document of this user's own. The same object for the same key. */
  readonly document: (key: string) => Document;
  /** Messages after a place in the room's stream, oldest first. */
  readonly history: (room: string, page?: { readonly after?: number; readonly limit?: number }) => Promise<History>;
}

const person: Read<Person> = object<Person>("id username? name? color? avatar? status:standing lastOnline:n?", {
  standing,
});
const member: Read<Member> = object<Member>("userId username? name? color? status:standing joinedAt:n", { standing });
const invite: Read<Invite> = object<Invite>("room userId invitedBy createdAt:n");
const page: Read<{ readonly messages: readonly WireMessage[]; readonly more: boolean }> = object<{
  readonly messages: readonly WireMessage[];
  readonly more: boolean;
}>("messages:messages more:flag", { messages: list(object(MESSAGE, { json })) });

/** Gives a client what lasts of people. */
export function createPeople(client: Client): People {
  const documents = new Map<string, Document>();
  const name = encodeURIComponent;
  const of = (room: string): string => `/v1/rooms/${name(room)}`;

  const self = (): string => {
    const id = client.identity?.userId;
    if (id !== undefined) return id;
    throw new PresenceError("unauthorized", "it is not known yet who this is: connect first");
  };
  const own = (): string => `/v1/users/${name(self())}`;

  const get = async <Value>(path: string, read: Read<Value>): Promise<Value> =>
    read((await client.request("GET", path)).body, "body");
  const listOf = async <Item>(path: string, key: string, read: Read<Item>): Promise<readonly Item[]> => {
    const { body } = await client.request("GET", path);
    return list(read)(isObject(body) ? body[key] : null, key);
  };
  const answer = async (room: string, action: "accept" | "decline"): Promise<void> => {
    await client.request("PUT", `${of(room)}/invites/${name(self())}`, { body: { action } });
  };

  return {
    person: (userId) => get(`/v1/users/${name(userId)}`, person),
    persons: (userIds) => listOf(`/v1/users?ids=${userIds.map(name).join(",")}`, "users", person),
    async rename(username) {
      const { body } = await client.request("PUT", `${own()}/username`, { body: { username } });
      return person(body, "body");
    },
    async updateProfile(patch) {
      const { body } = await client.request("PATCH", own(), { body: json(patch) });
      return person(body, "body");
    },
    members: (room) => listOf(`${of(room)}/members`, "members", member),
    async addMember(room, userId) {
      await client.request("PUT", `${of(room)}/members/${name(userId)}`);
    },
    async removeMember(room, userId) {
      await client.request("DELETE", `${of(room)}/members/${name(userId)}`);
    },
    async invite(room, userId) {
      const { body } = await client.request("POST", `${of(room)}/invites`, { body: { user_id: userId } });
      return invite(body, "body");
    },
    invites: async (room) => listOf(`${room === undefined ? own() : of(room)}/invites`, "invites", invite),
    accept: (room) => answer(room, "accept"),
    decline: (room) => answer(room, "decline"),
    async withdraw(room, userId) {
      await client.request("DELETE", `${of(room)}/invites/${name(userId)}`);
    },
    document(key) {
      const document = documents.get(key) ?? createDocument(client, () => `${own()}/documents/${name(key)}`);
      documents.set(key, document);
      return document;
    },
    async history(room, { after = 0, limit } = {}) {
      const query = `after=${after}${limit === undefined ? "" : `&limit=${limit}`}`;
      const { messages, more } = await get(`${of(room)}/messages?${query}`, page);
      return { messages: messages.map((one) => messageOf(one, client.identity?.userId ?? null)), more };
    },
  };
}
