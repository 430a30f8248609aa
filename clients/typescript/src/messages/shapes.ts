// The shapes of what a server keeps and knows, in messages as over HTTP.
import type { UserStatus } from "../api.ts";
import type { Read } from "../wire/read.ts";

export const MESSAGE = "room id seq:n userId userName snapshot:json timestamp:n";
export const DROPPED = "room count:n fromSeq:n toSeq:n reason";
export const PROFILE = "userId username? name? color? avatar? timestamp:n";
export const INVITATION = "inbox seq:n room invitedBy userName timestamp:n";

/** How a user stands, as a field that a shape calls `standing`. */
export const standing: Read<UserStatus["status"]> = (value) =>
  value === "away" || value === "online" ? value : "offline";
