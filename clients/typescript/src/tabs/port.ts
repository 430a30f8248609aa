// A tab's own way over the stream that it shares with others: for whoever asks for it an event stream like any other.
import type { Env, Release } from "../api.ts";
import { jsonOf } from "../wire/parse.ts";
import { type Carrier, openCarrier } from "./carrier.ts";
import type { Channel, Outside } from "./outside.ts";
import { type Word, wordOf } from "./words.ts";

/** How often a tab that follows looks whether it has heard of the one that leads. */
const LOOK_EVERY = 1_500;

/** At which look since then it asks, and at which it takes the one that leads for frozen. */
const [ASK, STEAL] = [2, 4];

/** What a server says that stops. */
const DRAINING = "server_draining";

/** What a server says that sends somebody away for a moment: the client comes back at once, as the same session. */
const MOVED = [
  `{"type":"${DRAINING}","retry_after_ms":0}`,
  '{"type":"close","code":1012,"reason":"the stream goes on in another tab"}',
];

/** All tabs that may share a stream, as one of them knows them. */
export interface Group {
  /** What they all know them by. */
  readonly name: string;
  /** When the one that leads began to, as far as was heard. */
  term: number;
}

/** What ports are made of. */
export interface Harbour {
  readonly env: Env;
  readonly outside: Outside;
  readonly group: Group;
  /** Asks the server for something, as this user. */
  readonly call: (path: string, more: RequestInit) => Promise<Response>;
}

/** How a tab's connection stands. */
type State =
  | { readonly kind: "waiting" }
  | { readonly kind: "opening"; readonly stream: string }
  | { readonly kind: "open"; readonly stream: string; readonly body: ReadableStreamDefaultController<Uint8Array> }
  | { readonly kind: "over" };

/** Opens a connection as `GET /sse` does, on the stream of the tab that leads, or on one that this tab then leads. */
export function openPort(
  { env, outside, group, call }: Harbour,
  query: string,
  signal: AbortSignal,
): Promise<Response> {
  const port = env.uniqueId();
  /** The name that this tab holds as long as it lives, so that the others see its end, whatever it is. */
  const nameOf = (one: string): string => `${group.name} ${one}`;
  const encoder = new TextEncoder();
  const life = new AbortController();
  const channels: Channel[] = [];
  /** Of each tab that this one leads what waits for its end. */
  const watches = new Set<AbortController>();
  let turn = new AbortController();
  let carrier: Carrier | null = null;
  /** The stream of which this tab is the one that leads. */
  let led: string | null = null;
  /** What the server has said of when to come back. */
  let parting: string | null = null;
  let state: State = { kind: "waiting" };
  /** The last request for a connection. */
  let asked = Promise.resolve();
  let timer: Release = () => {};
  let silent = 0;

  return new Promise((resolve, reject) => {
    const say = (word: Word): void => channels[0]?.say(word);

    const finish = (): void => {
      state = { kind: "over" };
      timer();
      carrier?.close();
      if (led) say({ kind: "over", stream: led, data: parting });
      turn.abort();
      life.abort();
      for (const watch of watches) watch.abort();
      for (const channel of channels) channel.close();
    };

    const settle = (answer: Response | Promise<Response>): void => {
      if (state.kind === "over") return;
      resolve(answer);
      finish();
    };

    const end = (cause: unknown = new Error("the stream has ended")): void => {
      if (state.kind === "open") state.body.close();
      if (state.kind !== "over") finish();
      reject(cause);
    };

    /** It goes on by another tab's stream, and what was missed meanwhile comes as after any loss of connection. */
    const move = (): void => {
      MOVED.forEach(hear);
      end();
    };

    const alone = (): void => settle(call(`/sse?${query}`, { signal }));

    const hear = (data: string): void => {
      if (data.includes(DRAINING) && jsonOf(data)["type"] === DRAINING) parting = data;
      if (state.kind === "open") state.body.enqueue(encoder.encode(`data: ${data}\n\n`));
    };

    const connect = async (opening: State & { readonly kind: "opening" }): Promise<void> => {
      if (state !== opening) return;
      const { stream } = opening;
      const answer = await call(`/sse/shared/${stream}?${query}`, { method: "POST", signal });
      const connection = answer.ok ? String(jsonOf(await answer.text())["connection_id"]) : null;
      // Of a connection that comes too late nobody says whose it is, and it is ended.
      if (state !== opening) return;
      if (connection === null) {
        // The stream has just gone: there will be another one.
        if (answer.status === 404) state = { kind: "waiting" };
        else settle(answer);
        return;
      }
      const start = (body: ReadableStreamDefaultController<Uint8Array>): void => {
        state = { kind: "open", stream, body };
      };
      resolve(new Response(new ReadableStream({ start })));
      if (carrier) carrier.claim(connection, hear);
      else say({ kind: "here", stream, port, connection });
    };
    /** One request after another: the server would give the session to the one that arrives last. */
    const follow = (stream: string): void => {
      const opening = { kind: "opening", stream } as const;
      state = opening;
      asked = asked.then(() => connect(opening)).catch(end);
    };

    const announce = (): void => {
      if (led) say({ kind: "lead", term: group.term, stream: led });
    };

    const lead = (): void => {
      timer();
      state = { kind: "waiting" };
      // Later than all that was heard of, and nobody else's.
      group.term = Math.max(env.now(), group.term + 1) + env.random();
      carrier = openCarrier({
        env,
        call,
        query,
        named(stream) {
          led = stream;
          announce();
          follow(stream);
        },
        // A server of another day does not know what that is.
        refused: (answer) => (answer.status === 404 || answer.status === 405 ? alone() : settle(answer)),
        ended: end,
      });
    };

    const wait = (steal: boolean): void => {
      turn.abort();
      turn = new AbortController();
      let isHeld = false;
      outside.hold(group.name, {
        signal: turn.signal,
        steal,
        held() {
          isHeld = true;
          // The one that led is gone, and the connection with it.
          if (state.kind === "open") move();
          else lead();
        },
        lost: () => (isHeld ? move() : alone()),
      });
    };

    /** Looks from time to time whether the tab that leads is alive. What is asked it answers also in the background. */
    const look = (): void => {
      timer = env.after(LOOK_EVERY * (0.75 + env.random() / 2), () => {
        silent += 1;
        look();
        if (silent === ASK) say({ kind: "ask", port });
        if (silent === STEAL) wait(true);
      });
    };

    /** Another tab's connection is on the stream of this one, until that tab goes. */
    const admit = (one: string, connection: string): void => {
      const channel = outside.open(nameOf(one), () => {});
      const watch = new AbortController();
      watches.add(watch);
      watch.signal.addEventListener("abort", channel.close);
      const held = (): void => {
        watches.delete(watch);
        watch.abort();
        carrier?.end(connection);
      };
      outside.hold(nameOf(one), { signal: watch.signal, held, lost: () => {} });
      carrier?.claim(connection, (data) => channel.say({ kind: "tell", stream: led ?? "", data }));
    };

    /** What the tab that leads says. */
    const heed = (word: Word): void => {
      const on = "stream" in state ? state.stream : null;
      if (word.kind === "lead") {
        // One that has thawed does not know yet that it leads no more.
        if (word.term < group.term) return;
        group.term = word.term;
        silent = 0;
        if (on === word.stream) return;
        if (state.kind === "open") move();
        else follow(word.stream);
      } else if ("stream" in word && word.stream === on) {
        silent = 0;
        if ("data" in word && word.data !== null) hear(word.data);
        if (word.kind === "over") end();
      }
    };

    const heard = (said: unknown): void => {
      const word = wordOf(said);
      if (!word || state.kind === "over") return;
      if (!carrier) heed(word);
      else if (word.kind === "ask") announce();
      else if (word.kind === "here" && word.stream === led) admit(word.port, word.connection);
    };

    const start = (): void => {
      channels.push(outside.open(group.name, heard), outside.open(nameOf(port), heard));
      wait(false);
      say({ kind: "ask", port });
      look();
    };

    if (signal.aborted) return end(signal.reason);
    signal.addEventListener("abort", () => end(signal.reason), { signal: life.signal });
    outside.hold(nameOf(port), { signal: life.signal, held: start, lost: alone });
  });
}
