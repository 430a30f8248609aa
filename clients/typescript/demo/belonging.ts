// Whether this user is on a room's roster, and who else is; asked again whenever it may have changed.
import { useCallback, useEffect, useRef, useState } from "react";
import { type Client, type Json, type JsonObject, PresenceError } from "../src/index.ts";
import type { Invite, Member, People } from "../src/people.ts";
import { useClient, useClientEvent, useConnection } from "../src/react/index.ts";

export type Belonging =
  | { readonly kind: "unknown" }
  /** A roster of which one is no member looks like one that does not exist. */
  | { readonly kind: "stranger" }
  | { readonly kind: "member"; readonly members: readonly Member[]; readonly invites: readonly Invite[] };

export function useBelonging(people: People, room: string): readonly [Belonging, reload: () => Promise<void>] {
  const [belonging, setBelonging] = useState<Belonging>({ kind: "unknown" });
  const client = useClient();
  const latest = useRef(0);
  const reload = useCallback(async () => {
    latest.current += 1;
    const turn = latest.current;
    const found = await ask(client, people, room);
    // An answer that was overtaken by a later question is none.
    if (turn === latest.current && found) setBelonging(found);
  }, [client, people, room]);
  const isLive = useConnection(({ status }) => status === "live");
  useEffect(() => {
    if (isLive) void reload();
  }, [isLive, reload]);
  useEffect(() => {
    // Nobody is told of an invitation that was declined.
    const look = (): void => void (!document.hidden && reload());
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [reload]);
  useClientEvent("accepted", (accepted) => accepted.room === room && void reload());
  useClientEvent("profile", () => void reload());
  return [belonging, reload];
}

async function ask(client: Client, people: People, room: string): Promise<Belonging | null> {
  try {
    // Asking for a roster that one is not on is refused, and a browser complains of that on its console.
    if (!(await isMember(client, room))) return { kind: "stranger" };
    const [members, invites] = await Promise.all([people.members(room), people.invites(room)]);
    return { kind: "member", members, invites };
  } catch (error) {
    const isStranger = error instanceof PresenceError && ["not_found", "forbidden"].includes(error.code);
    return isStranger ? { kind: "stranger" } : null;
  }
}

/** A sync brings the rosters that this user is on. When it brings more than fits, nothing is known for sure. */
async function isMember(client: Client, room: string): Promise<boolean> {
  const { body } = await client.request("GET", "/v1/sync");
  if (!isObject(body)) return false;
  const { rosters, more } = body;
  const places = isList(rosters) ? rosters : [];
  const self = client.identity?.userId;
  return more === true || places.some((one) => isObject(one) && one["room"] === room && one["user_id"] === self);
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}
