// What each tab at a shared connection is in, and what the server has to hear of that: of several tabs it knows one.
import type { JsonObject } from "../api.ts";

/** One tab's place at a shared connection. */
export interface Seat {
  readonly tab: string;
  /** What the `ref` of its messages begins with. */
  readonly number: number;
  readonly rooms: Set<string>;
  /** Whose status it wants to hear of. */
  readonly watched: Set<string>;
  isActive: boolean;
  /** What has come of streams while it is not known what came before it; `null` if that is known. */
  held: JsonObject[] | null;
}

export interface Seats {
  readonly all: () => readonly Seat[];
  readonly of: (tab: string) => Seat | undefined;
  readonly numbered: (number: number) => Seat | undefined;
  readonly add: (tab: string) => Seat;
  /** What a tab says, as the server is to hear it; `null` if it need not. */
  readonly heard: (seat: Seat, message: JsonObject) => readonly JsonObject[];
  /** The tab is gone: what the server has to hear of that. */
  readonly remove: (seat: Seat) => readonly JsonObject[];
}

function textIn(message: JsonObject, name: string): string {
  const value = message[name];
  return typeof value === "string" ? value : "";
}

export function createSeats(): Seats {
  const seats = new Map<string, Seat>();
  /** Which seat has pointed last in a room: when that one goes, the pointer goes. */
  const pointing = new Map<string, Seat>();
  /** Up to where a stream was acknowledged: once for all tabs. */
  const acked = new Map<string, number>();
  let last = 0;
  let wasActive = true;
  let ponged: unknown = null;

  const others = (seat: Seat): readonly Seat[] => [...seats.values()].filter((one) => one !== seat);

  const activity = (): readonly JsonObject[] => {
    const active = [...seats.values()].some((seat) => seat.isActive);
    if (active === wasActive || seats.size === 0) return [];
    wasActive = active;
    return [{ type: "presence:activity", active }];
  };

  const leave = (seat: Seat, room: string): readonly JsonObject[] => {
    seat.rooms.delete(room);
    if (!others(seat).some((one) => one.rooms.has(room))) return [{ type: "presence:leave", room }];
    if (pointing.get(room) !== seat) return [];
    pointing.delete(room);
    return [{ type: "presence:cursor", room, cursor: null }];
  };

  const unwatch = (seat: Seat, users: Iterable<string>): readonly JsonObject[] => {
    const gone = [...users].filter((id) => seat.watched.delete(id) && !others(seat).some((one) => one.watched.has(id)));
    return gone.length > 0 ? [{ type: "unwatch", users: gone }] : [];
  };

  const usersIn = (message: JsonObject): readonly string[] => {
    const users = message["users"];
    return Array.isArray(users) ? users.filter((id): id is string => typeof id === "string") : [];
  };

  return {
    all: () => [...seats.values()],
    of: (tab) => seats.get(tab),
    numbered: (number) => [...seats.values()].find((seat) => seat.number === number),
    add(tab) {
      last += 1;
      const seat = {
        tab,
        number: last,
        rooms: new Set<string>(),
        watched: new Set<string>(),
        isActive: true,
        held: null,
      };
      seats.set(tab, seat);
      return seat;
    },
    heard(seat, message) {
      const room = textIn(message, "room");
      switch (message["type"]) {
        case "presence:join":
          seat.rooms.add(room);
          return [...activity(), message];
        case "presence:leave":
          return leave(seat, room);
        case "presence:activity":
          seat.isActive = message["active"] === true;
          return activity();
        case "presence:cursor":
          pointing.set(room, seat);
          return [message];
        case "watch":
          for (const id of usersIn(message)) seat.watched.add(id);
          return [message];
        case "unwatch":
          return unwatch(seat, usersIn(message));
        case "ack": {
          const { seq } = message;
          if (typeof seq !== "number" || seq <= (acked.get(room) ?? 0)) return [];
          acked.set(room, seq);
          return [message];
        }
        case "pong": {
          // One answer to each ping is enough.
          const { timestamp } = message;
          if (timestamp === ponged) return [];
          ponged = timestamp;
          return [message];
        }
        default:
          return [message];
      }
    },
    remove(seat) {
      seats.delete(seat.tab);
      const left = [...seat.rooms].flatMap((room) => leave(seat, room));
      return [...left, ...unwatch(seat, [...seat.watched]), ...activity()];
    },
  };
}
