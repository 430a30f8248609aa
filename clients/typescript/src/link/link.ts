// The connection: one state at a time, back by itself when it is lost, and quiet when it is told to stay away.
import type {
  ClientOptions,
  ClosedReason,
  Connection,
  ConnectionSnapshot,
  Env,
  JsonObject,
  Release,
  TokenRequest,
  Transport,
  TransportKind,
} from "../api.ts";
import { createListeners, type Guard } from "../emitter.ts";
import { PresenceError } from "../errors.ts";
import type { Said, ServerMessage } from "../wire/messages.ts";
import { parse } from "../wire/parse.ts";
import type { Credentials } from "./credentials.ts";
import { backoff, endingOf } from "./endings.ts";

/** How long a connection may take, from the token to the server's first word. */
const CONNECT_TIME = 15_000;

/** After the network has come back everybody comes back: not all in the same moment. */
const ONLINE_SPREAD = 1_000;

/** What closes a connection so that the server waits for this session: any code that is not 1000. */
const PAUSE = 4999;

/** How many answers are waited for; most of what is said is only answered if it is refused. */
const ANSWERS_MAX = 1_000;

/** A connection's end that `retry` waits for, as states of the connection are shown without what all have. */
type State = ConnectionSnapshot extends infer S
  ? S extends unknown
    ? Omit<S, "attempt" | "rtt" | "quality" | "stale" | "syncedAt" | "pending">
    : never
  : never;

/** What the connection tells those who use it. */
export interface LinkEvents {
  /** It is open: rooms may be entered. Call {@link Link.synced} when all is in step. */
  readonly opened: (connected: Said<"connected">) => void;
  readonly received: (message: ServerMessage) => void;
  /** It is not open any more. */
  readonly lost: () => void;
  readonly state: (snapshot: ConnectionSnapshot) => void;
  readonly error: (error: PresenceError) => void;
}

export interface Link {
  readonly connection: Connection;
  readonly isOpen: () => boolean;
  /** Says something, if the connection is open; `answered` hears what is answered to it. */
  readonly send: (message: JsonObject, answered?: (message: ServerMessage) => void) => void;
  readonly synced: () => void;
  readonly setPending: (pending: number) => void;
  readonly connect: () => void;
  readonly disconnect: () => void;
  readonly enable: () => void;
  readonly disable: () => void;
}

/** Where to and as whom a link connects. */
export interface Address {
  readonly base: string;
  /** What the URL says, and the first message where the token has no other place. */
  readonly introduce: (
    token: string | null,
    signal: AbortSignal,
  ) => Promise<{ query: URLSearchParams; hello: JsonObject | null }>;
}

export function createLink(
  options: ClientOptions,
  env: Env,
  guard: Guard,
  credentials: Credentials,
  address: Address,
  events: LinkEvents,
): Link {
  const listeners = createListeners(guard);
  const kinds = [...env.transports.keys()].filter((kind) => [kind, "auto", undefined].includes(options.transport));
  const answers = new Map<number, (message: ServerMessage) => void>();
  let state: State = { status: "idle" };
  let facts = { attempt: 0, rtt: null as number | null, syncedAt: null as number | null, pending: 0 };
  let snapshot = show();
  let wire: Transport | null = null;
  let abort = new AbortController();
  /** Ends what waits in the present state: a timer for the next try, for the first word, for a sign of life. */
  let timer: Release = () => {};
  let renewal: Release = () => {};
  let pageEvents: Release | null = null;
  let worked: TransportKind | undefined;
  let retryAfter: number | undefined;
  let lastError: PresenceError | null = null;
  let patience = 35_000;
  let reference = 0;
  let wanted = false;
  let enabled = true;

  function show(): ConnectionSnapshot {
    const open = state.status === "syncing" || state.status === "live";
    const slow = facts.rtt !== null && facts.rtt > (options.poorRtt ?? 300);
    const quality = !open ? "disconnected" : slow ? "poor" : "good";
    return Object.freeze({ ...state, ...facts, quality, stale: facts.syncedAt !== null && state.status !== "live" });
  }

  function set(next: State, more: Partial<typeof facts> = {}): void {
    const before = state.status;
    state = next;
    facts = { ...facts, ...more };
    snapshot = show();
    if (next.status !== before) events.state(snapshot);
    listeners.notify();
  }

  const isOpen = (): boolean => wire !== null && (state.status === "syncing" || state.status === "live");

  /** Lets go of the present connection, or of the try to get one. */
  function drop(code: number): void {
    const wasOpen = isOpen();
    timer();
    renewal();
    abort.abort();
    const old = wire;
    wire = null;
    old?.close(code);
    answers.clear();
    facts = { ...facts, rtt: null };
    if (wasOpen) events.lost();
  }

  function begin(reason: TokenRequest["reason"] = "connect"): void {
    drop(PAUSE);
    if (!enabled) return set({ status: "idle" });
    pageEvents ??= env.page.subscribe(pageEvent);
    if (!env.page.online()) return pause();
    const first = kinds.filter((kind) => kind === worked);
    void open([...first, ...kinds.filter((kind) => kind !== worked)], reason);
  }

  async function open(ways: readonly TransportKind[], reason: TokenRequest["reason"]): Promise<void> {
    const transport = ways[0];
    const opens = transport && env.transports.get(transport);
    if (!opens) return stay("refused", new PresenceError("connection", "there is no way to connect from here"));
    const own = new AbortController();
    abort = own;
    set({ status: "connecting", transport });
    const ended = (code: number, why: string, after?: number): void => {
      if (!own.signal.aborted) closed(code, why, after, ways, reason);
    };
    timer = env.after(CONNECT_TIME, () => ended(1006, "the server did not answer in time"));
    try {
      const token = await credentials.get(reason, own.signal);
      const { query, hello } = await address.introduce(token, own.signal);
      if (own.signal.aborted) return;
      const dial = { base: address.base, query, hello, token, fetch: env.fetch };
      wire = opens(dial, {
        message: (line) => own.signal.aborted || receive(line, ended),
        closed: ended,
      });
    } catch (error) {
      if (own.signal.aborted) return;
      lastError =
        error instanceof PresenceError ? error : new PresenceError("connection", String(error), { cause: error });
      ended(1006, lastError.message);
    }
  }

  function receive(line: string, ended: (code: number, why: string) => void): void {
    let message: ServerMessage;
    try {
      message = parse(line);
    } catch (error) {
      if (error instanceof PresenceError) events.error(error);
      return;
    }
    if (isOpen()) watch(ended);
    switch (message.type) {
      case "connected":
        return connected(message, ended);
      case "ping":
        // Over WebSocket the browser answers the server's own ping.
        if (state.status !== "idle" && "transport" in state && state.transport === "sse") {
          wire?.send({ type: "pong", timestamp: message.timestamp });
        }
        if (message.rttMs !== null && message.rttMs !== facts.rtt) set(state, { rtt: message.rttMs });
        return events.received(message);
      case "server_draining":
        retryAfter = message.retryAfterMs;
        return;
      case "close":
        return ended(message.code, message.reason);
      case "error":
        if (!isOpen()) lastError = message.error;
    }
    const answered = typeof message.ref === "number" ? answers.get(message.ref) : undefined;
    if (!message.type.startsWith("presence:")) answers.delete(Number(message.ref));
    if (answered) answered(message);
    else events.received(message);
  }

  function connected(message: Said<"connected">, ended: (code: number, why: string) => void): void {
    credentials.setClock(message.serverTime);
    if (state.status !== "connecting") return;
    worked = state.transport;
    retryAfter = undefined;
    lastError = null;
    patience = message.heartbeatMs + message.limits.heartbeatTimeoutMs;
    renewal = credentials.renewInTime((token) => {
      wire?.renew(token);
      send({ type: "auth", token }, (answer) => {
        if (answer.type === "error") events.error(answer.error);
      });
    }, events.error);
    set({ status: "syncing", transport: state.transport });
    watch(ended);
    events.opened(message);
  }

  /** A server that says nothing for longer than its heartbeat is gone, whatever the wire believes. */
  function watch(ended: (code: number, why: string) => void): void {
    timer();
    timer = env.after(patience, () => ended(1006, "the server has gone silent"));
  }

  function closed(
    code: number,
    why: string,
    after: number | undefined,
    ways: readonly TransportKind[],
    reason: TokenRequest["reason"],
  ): void {
    const wasConnecting = state.status === "connecting";
    const error =
      lastError ??
      new PresenceError("connection", why || `the connection was closed with ${code}`, { retryAfter: after ?? null });
    const ending = endingOf(code);
    drop(PAUSE);
    if (ending.kind === "stay") return stay(ending.reason, error);
    if (ending.kind === "token") {
      if (!credentials.canRenew) return stay(ending.otherwise, error);
      // A new token that is no better than the last one will not get better by asking at once.
      if (reason !== ending.reason) return begin(ending.reason);
      if (ending.reason === "refused") return stay(ending.otherwise, error);
    }
    // The way is barred, or the server is down: the other way will tell.
    if (wasConnecting && ways.length > 1 && error.code !== "token" && after === undefined)
      return void open(ways.slice(1), reason);
    const attempt = Math.max(facts.attempt + 1, ending.kind === "return" && ending.slower ? 4 : 1);
    facts = { ...facts, attempt };
    if (attempt > (options.retries ?? Number.POSITIVE_INFINITY)) return stay("gave_up", error);
    wait(after ?? retryAfter ?? backoff(attempt, env.random), error);
    retryAfter = undefined;
  }

  function wait(time: number, error: PresenceError): void {
    lastError = null;
    if (!env.page.online()) return pause();
    set({ status: "waiting", nextTryAt: env.now() + time, error });
    timer();
    timer = env.after(time, begin);
  }

  /** Waits for the page to say that it is worth a try. */
  function pause(): void {
    drop(PAUSE);
    set({ status: "waiting", nextTryAt: null, error: new PresenceError("connection", "there is no network") });
  }

  function stay(reason: ClosedReason, error: PresenceError | null): void {
    drop(1000);
    lastError = null;
    pageEvents?.();
    pageEvents = null;
    set({ status: "closed", reason, error });
    if (error) events.error(error);
  }

  function pageEvent(event: string): void {
    const waiting = state.status === "waiting" ? state : null;
    if (event === "offline" || event === "kept") pause();
    else if (event === "back" && waiting) begin();
    else if (event === "visible" && waiting && waiting.nextTryAt !== null) begin();
    else if (event === "online" && waiting) wait(env.random() * ONLINE_SPREAD, waiting.error);
  }

  function send(message: JsonObject, answered?: (message: ServerMessage) => void): void {
    if (!isOpen() || !wire) return;
    if (!answered) return wire.send(message);
    reference += 1;
    answers.set(reference, answered);
    // What nobody has answered for so long will not be.
    const [oldest] = answers.keys();
    if (answers.size > ANSWERS_MAX && oldest !== undefined) answers.delete(oldest);
    wire.send({ ...message, ref: reference });
  }

  function connect(): void {
    wanted = true;
    if (state.status === "idle" || (state.status === "closed" && state.reason === "disconnected")) begin();
  }

  return {
    connection: {
      get snapshot() {
        return snapshot;
      },
      subscribe: listeners.subscribe,
      retryNow() {
        const closedByOthers = state.status === "closed" && state.reason !== "disconnected";
        if (closedByOthers) facts = { ...facts, attempt: 0 };
        if (closedByOthers || state.status === "waiting") begin();
      },
    },
    isOpen,
    send,
    synced() {
      if (state.status === "syncing") set({ ...state, status: "live" }, { attempt: 0, syncedAt: env.now() });
      else if (state.status === "live") facts = { ...facts, syncedAt: env.now() };
    },
    setPending(pending) {
      if (pending !== facts.pending) set(state, { pending });
    },
    connect,
    disconnect() {
      wanted = false;
      stay("disconnected", null);
    },
    enable() {
      if (enabled) return;
      enabled = true;
      if (wanted) begin();
    },
    disable() {
      enabled = false;
      drop(1000);
      pageEvents?.();
      pageEvents = null;
      set({ status: "idle" });
    },
  };
}
