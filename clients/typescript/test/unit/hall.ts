// A server with one large room: rows of it for those who watch a window, and all of it for those who do not.
import type { JsonObject, Rows } from "../../src/api.ts";
import { digestOf } from "../../src/room/digest.ts";
import { connected, type Wire, type World } from "./world.ts";

export interface Hall {
  readonly ids: () => readonly string[];
  readonly enter: (id: string) => void;
  readonly leave: (id: string) => void;
  /** Another session of somebody: only the totals are different, unless they are seen. */
  readonly again: (id: string) => void;
  /** Says what is different to whoever watches. */
  readonly tick: () => void;
  /** Answers to what was asked and was held back. */
  readonly answer: () => void;
  readonly drop: () => void;
  /** What has become of this client: out, a reader of everything, or where its window is. */
  readonly seen: () => "out" | "all" | Rows;
  /** Everything that the client has said about where its window is to be. */
  readonly asked: () => readonly Rows[];
  /** Another process, whose histories are others. */
  readonly restart: () => void;
  isSlow: boolean;
  /** What the next window is refused with. */
  refusal: JsonObject | null;
  wide: boolean;
}

const widened = ({ from, count }: Rows): Rows => {
  const start = Math.floor(from / 20) * 20;
  return { from: start, count: Math.ceil((from + count) / 20) * 20 - start };
};

export function createHall(world: World, room = "hall"): Hall {
  const users = new Map<string, number>();
  const asked: Rows[] = [];
  let answers: (() => void)[] = [];
  let seen: ReturnType<Hall["seen"]> = "out";
  let last = { rows: "", totals: "" };
  let epoch = 1;
  let version = 0;
  let wire: Wire | null = null;

  const ids = (): string[] => [...users.keys()].sort();
  const shape = (id: string): object => ({
    id,
    name: id.toUpperCase(),
    color: "#123456",
    joinedAt: 1,
    lastSeen: world.env.now(),
    status: "online",
    connectionCount: users.get(id) ?? 0,
    sessions: Array.from({ length: users.get(id) ?? 0 }, (_, at) => ({
      sessionId: id === "ann" ? "tab-1" : `${id}-${at}`,
      connectedAt: 1,
      active: true,
      state: {},
      cursor: null,
    })),
  });
  const say = (message: object): void => wire?.say(message);

  const window = (at: Rows, ref?: unknown): void => {
    const shown = ids()
      .slice(at.from, at.from + at.count)
      .map(shape);
    const sessions = [...users.values()].reduce((sum, one) => sum + one, 0);
    const totals = JSON.stringify([users.size, sessions, hall.wide]);
    const rows = JSON.stringify([at, shown]);
    const isSame = ref === undefined && rows === last.rows;
    if (isSame && totals === last.totals) return;
    last = { rows, totals };
    const body = { type: "presence:window", room, epoch: `e-${epoch}`, version, mode: hall.wide ? "wide" : "exact" };
    say({ ...body, ...at, total: users.size, sessions, ...(!isSame && { users: shown }), ref });
  };

  const watch = (rows: Rows, ref: unknown): void => {
    asked.push(rows);
    const { refusal } = hall;
    hall.refusal = null;
    if (refusal) return say({ type: "error", ...refusal, room, ref });
    seen = widened(rows);
    window(seen, ref);
  };

  const answer = (): void => {
    for (const one of answers.splice(0)) one();
  };
  const take = (call: () => void): void => {
    answers.push(call);
    if (!hall.isSlow) answer();
  };

  world.onDial = (opened) => {
    wire = opened;
    seen = "out";
    answers = [];
    say(connected("ann", "tab-1", world.env.now()));
  };
  world.onClosed = (closed) => {
    if (closed === wire) wire = null;
  };
  world.onSent = (from, { type, ref, ...fields }) => {
    if (from !== wire) return;
    if (type === "presence:leave") {
      users.delete("ann");
      seen = "out";
    } else if (type === "presence:window") {
      take(() => watch({ from: Number(fields["from"]), count: Number(fields["count"]) }, ref));
    } else if (type === "presence:join") {
      take(() => {
        if (!users.has("ann")) hall.enter("ann");
        const at = fields["window"] as unknown as Rows | undefined;
        if (at) return watch(at, ref);
        seen = "all";
        const all = ids().map((id) => ({ ...shape(id), id, connectionCount: users.get(id) ?? 0 }));
        const digest = digestOf(all);
        say({
          type: "presence:currentUsers",
          room,
          epoch: `e-${epoch}`,
          version,
          digest,
          reason: "join",
          users: all,
          ref,
        });
      });
    }
  };

  const hall: Hall = {
    ids,
    enter(id) {
      users.set(id, 1);
      version += 1;
      if (seen === "all") say({ type: "presence:userJoined", room, version, user: shape(id) });
    },
    leave(id) {
      if (!users.delete(id)) return;
      version += 1;
      if (seen === "all") say({ type: "presence:userLeft", room, version, userId: id, cause: "left" });
    },
    again(id) {
      users.set(id, (users.get(id) ?? 0) + 1);
      version += 1;
    },
    tick() {
      if (typeof seen === "object") window(seen);
    },
    answer,
    drop() {
      const old = wire;
      wire = null;
      seen = "out";
      old?.close(1006);
    },
    seen: () => seen,
    asked: () => asked,
    restart() {
      hall.drop();
      epoch += 1;
      version = 0;
    },
    isSlow: false,
    refusal: null,
    wide: false,
  };
  return hall;
}
