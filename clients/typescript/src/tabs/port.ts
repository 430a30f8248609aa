// A tab's end of a connection that tabs share: it leads, and the connection is here, or it follows the tab that does.
import type { Dial, Env, OpenTransport, Release, Transport, TransportEvents, TransportKind } from "../api.ts";
import { createHub, type Hub } from "./hub.ts";
import { claim, type Group, type Lease } from "./lease.ts";
import type { Channel, Outside } from "./outside.ts";
import { type Word, wordOf } from "./words.ts";

/** How often a tab that follows looks whether it has heard of the one that leads. */
const LOOK_EVERY = 1_500;

/** At which look since then it asks, and at which it takes the one that leads for frozen. */
const [ASK, STEAL] = [2, 4];

/** What ends a connection that goes on in another tab. */
const MOVED = 1012;

/** What closes a connection so that the server waits for the session: any code that is not 1000. */
const PAUSE = 4999;

/** What the server says to a connection whose session another one has. */
const TAKEN = 4409;

/** As long as a session's name may be. */
const LONGEST_ID = 128;

/** What a tab is to the shared connection. */
type Role =
  | { readonly kind: "waiting" }
  /** Part of the connection `hub` of another tab. Once the server was heard there, another one is a new connection. */
  | { readonly kind: "follows"; readonly hub: number; readonly isGreeted: boolean }
  | { readonly kind: "leads"; readonly id: number; readonly hub: Hub; readonly lease: Lease }
  /** Sharing does not work here after all. */
  | { readonly kind: "alone"; readonly wire: Transport }
  | { readonly kind: "over" };

/** What ports are made of. */
export interface Harbour {
  readonly env: Env;
  readonly outside: Outside;
  readonly group: Group;
  readonly kind: TransportKind;
  /** Opens a connection of this tab's own. */
  readonly open: OpenTransport;
}

/** A way to the server: through the tab that leads, or by a connection of this tab that it shares with the others. */
export function openPort({ env, outside, group, kind, open }: Harbour, dial: Dial, events: TransportEvents): Transport {
  const tab = env.uniqueId();
  /** The name that this tab holds as long as it lives: so the others see its end, whatever it is. */
  const nameOf = (one: string): string => `${group.name} ${one}`;
  const life = new AbortController();
  let role: Role = { kind: "waiting" };
  let channel: Channel | null = null;
  let turn: Release = () => {};
  let timer: Release = () => {};
  let silent = 0;

  const say = (word: Word): void => channel?.say(word);

  const stop = (code: number): void => {
    timer();
    turn();
    life.abort();
    if (role.kind === "leads") {
      role.hub.close(code);
      role.lease.release();
    }
    channel?.close();
    channel = null;
    role = { kind: "over" };
  };

  const end = (code: number, reason: string, after?: number): void => {
    if (role.kind === "over") return;
    stop(PAUSE);
    events.closed(code, reason, after);
  };

  /** The client comes back at once, and what it has missed meanwhile comes as after any loss of connection. */
  const move = (): void => end(MOVED, "the connection goes on in another tab", 0);

  const alone = (): void => {
    if (role.kind !== "waiting") return;
    stop(PAUSE);
    role = { kind: "alone", wire: open(dial, events) };
  };

  const lead = (lease: Lease): void => {
    // Never a session that a tab has for itself.
    const session = group.session ?? `${kind} ${dial.query.get("session_id")}`.slice(0, LONGEST_ID);
    const query = new URLSearchParams(dial.query);
    query.set("session_id", session);
    // Later than all that was heard of, and nobody else's.
    const id = Math.max(env.now(), group.hub + 1) + env.random();
    Object.assign(group, { session, hub: id });
    timer();
    const hub = createHub({
      env,
      connect: (heard) => open({ ...dial, query }, heard),
      tell(tabs, line) {
        const others = tabs.filter((one) => one !== tab);
        if (others.length > 0) say({ kind: "tell", hub: id, tabs: others, line });
        if (others.length < tabs.length) events.message(line);
      },
      over: (...how) => ended(lease, ...how),
    });
    role = { kind: "leads", id, hub, lease };
    lease.lost = move;
    hub.attach(tab);
    say({ kind: "lead", hub: id, session });
  };

  /** The connection has ended, for all tabs. */
  const ended = (lease: Lease, code: number, reason: string, after?: number): void => {
    if (role.kind !== "leads") return;
    const { id: hub } = role;
    if (code !== TAKEN) {
      say({ kind: "over", hub, code, reason, after: after ?? null });
      return end(code, reason, after);
    }
    // A tab that took this one for frozen has the session now, and this one follows. If it is somebody else, let them.
    group.session = env.uniqueId();
    say({ kind: "over", hub, code: MOVED, reason, after: 0 });
    role.hub.close(PAUSE);
    role = { kind: "waiting" };
    group.leave(lease);
    move();
  };

  const win = (lease: Lease): void => {
    if (role.kind !== "follows" || !role.isGreeted) return lead(lease);
    group.leave(lease);
    move();
  };

  const wait = (steal: boolean): void => {
    turn();
    turn = claim(outside.hold, group.name, { steal, won: win, failed: alone });
  };

  /** Looks from time to time whether the tab that leads is alive. What is asked it answers also in the background. */
  const look = (): void => {
    timer = env.after(LOOK_EVERY * (0.75 + env.random() / 2), () => {
      silent += 1;
      if (silent === ASK) say({ kind: "open", tab });
      if (silent === STEAL) wait(true);
      look();
    });
  };

  /** What a tab says to the one that leads, which is this one. */
  const serve = (hub: Hub, lead: number, word: Word): void => {
    switch (word.kind) {
      case "open":
        say({ kind: "lead", hub: lead, session: group.session ?? "" });
        return admit(hub, word.tab);
      case "say":
        return word.hub === lead ? hub.say(word.tab, word.line) : undefined;
      case "close":
        return hub.detach(word.tab, word.code === 1000);
    }
  };

  const admit = (hub: Hub, one: string): void => {
    if (!hub.attach(one)) return;
    const watch = new AbortController();
    life.signal.addEventListener("abort", () => watch.abort());
    const held = (): void => {
      watch.abort();
      hub.detach(one, false);
    };
    outside.hold(nameOf(one), { signal: watch.signal, held, lost: () => {} });
  };

  /** What the tab that leads says to this one. */
  const follow = (word: Word): void => {
    const hub = role.kind === "follows" ? role.hub : 0;
    if (word.kind === "lead") {
      // One that has thawed does not know yet that it leads no more.
      if (word.hub < group.hub) return;
      Object.assign(group, { hub: word.hub, session: word.session });
      silent = 0;
      if (hub === word.hub) return;
      if (role.kind === "follows" && role.isGreeted) return move();
      role = { kind: "follows", hub: word.hub, isGreeted: false };
      return say({ kind: "open", tab });
    }
    if (!("hub" in word) || word.hub !== hub) return;
    silent = 0;
    if (word.kind === "over") return end(word.code, word.reason, word.after ?? undefined);
    if (word.kind !== "tell" || !word.tabs.includes(tab)) return;
    role = { kind: "follows", hub, isGreeted: true };
    events.message(word.line);
  };

  const heard = (said: unknown): void => {
    const word = wordOf(said);
    if (!word) return;
    if (role.kind === "leads") serve(role.hub, role.id, word);
    else if (role.kind !== "over") follow(word);
  };

  const start = (): void => {
    channel = outside.open(group.name, heard);
    const lease = group.take();
    if (lease) return lead(lease);
    wait(false);
    say({ kind: "open", tab });
    look();
  };

  outside.hold(nameOf(tab), { signal: life.signal, held: start, lost: alone });
  return {
    send(message) {
      const line = JSON.stringify(message);
      if (role.kind === "leads") role.hub.say(tab, line);
      else if (role.kind === "follows") say({ kind: "say", hub: role.hub, tab, line });
      else if (role.kind === "alone") role.wire.send(message);
    },
    renew(token) {
      // A connection that is shared sees it in the message that renews.
      if (role.kind === "alone") role.wire.renew(token);
    },
    close(code) {
      if (role.kind === "alone") role.wire.close(code);
      if (role.kind === "follows") say({ kind: "close", tab, code });
      stop(role.kind === "leads" && role.hub.isShared() ? PAUSE : code);
    },
  };
}
