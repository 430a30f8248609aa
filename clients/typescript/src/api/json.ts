// Values that are JSON, and what ends things: what the whole interface has in common.

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** A JSON object. Those that come from the server have no prototype, so that no name in them is special. */
export interface JsonObject {
  readonly [name: string]: Json;
}

/** Ends what was begun: a subscription, a hold on a room, a timer. Calling it again does nothing. */
export type Release = () => void;
