// The types of the package's interface: what an application sees of clients, rooms, people and messages.
export type * from "./api/client.ts";
export type * from "./api/connection.ts";
export type * from "./api/json.ts";
export type * from "./api/messages.ts";
export type * from "./api/options.ts";
export type * from "./api/outside.ts";
export type * from "./api/people.ts";
export type * from "./api/rooms.ts";
export type * from "./api/windows.ts";
