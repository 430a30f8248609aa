// The package's main entry: clients and rooms, for any framework or none.
export type * from "./api.ts";
export { createClient } from "./client.ts";
export { type ErrorCode, PresenceError } from "./errors.ts";
