// The connection: back by itself when it is lost, and quiet when it is told to stay away.
import type {
  ClientOptions,
  ClosedReason,
  Connection,
  ConnectionSnapshot,
  Env,
  JsonObject,
  PageEvent,
  Release,
  TokenRequest,
  Transport,
  TransportKind,
} from "../api.ts";
import type { Guard } from "../emitter.ts";
import { PresenceError } from "../errors.ts";
import type { Said, ServerMessage } from "../wire/messages.ts";
import { parse, type Shapes } from "../wire/parse.ts";
import { createAnswers } from "./answers.ts";
import type { Credentials } from "./credentials.ts";
import { backoff, endingOf } from "./endings.ts";
import { createStanding } from "./standing.ts";

/** How long a connection may take, from the token to the server's first word. */
const CONNECT_TIME = 15_000;

/** After the network has come back everybody comes back: not all in the same moment. */
const ONLINE_SPREAD = 1_000;

/** From which round-trip time on the quality is poor. */
const POOR_RTT = 300;

/** What closes a connection so that the server waits for this session: any code that is not 1000. */
const PAUSE = 4999;

/** What a link needs of its client, and tells it. */
export interface LinkHost {
  readonly options: ClientOptions;
  readonly env: Env;
  readonly guard: Guard;
  readonly credentials: Credentials;
  /** The server's address. */
  readonly base: string;
  /** What the server may say. */
  readonly shapes: Shapes;
  /** What the URL says, and the first message where the token has no other place. */
  readonly introduce: (token: string | null) => Promise<{ query: URLSearchParams; hello: JsonObject | null }>;
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

export function createLink(host: LinkHost): Link {
  const { options, env, credentials } = host;
  const standing = createStanding(options.poorRtt ?? POOR_RTT, host.guard, host.state);
  const answers = createAnswers();
  const transports = options.tabs?.(env) ?? env.transports;
  const kinds = [...transports.keys()].filter((kind) => [kind, "auto", undefined].includes(options.transport));
  let wire: Transport | null = null;
  /** Ends the present try to connect, or connection: whatever still comes of it is not heard. */
  let abort = new AbortController();
  /** What waits in the present state: the next try, the first word, or a sign of life. */
  let timer: Release = () => {};
  let renewal: Release = () => {};
  let pageEvents: Release | null = null;
  /** The ways that are left to try, and why a token is asked for. */
  let ways: readonly TransportKind[] = [];
  let reason: TokenRequest["reason"] = "connect";
  let retryAfter: number | undefined;
  let lastError: PresenceError | null = null;
  let patience = 0;
  let isWanted = false;
  let isEnabled = true;

  const now = (): ConnectionSnapshot => standing.snapshot;
  const isOpen = (): boolean => wire !== null && (now().status === "syncing" || now().status === "live");

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
    if (wasOpen) host.lost();
  }

  function begin(why: TokenRequest["reason"] = "connect"): void {
    drop(PAUSE);
    if (!isEnabled) return standing.set({ status: "idle" });
    pageEvents ??= env.page.subscribe(pageEvent);
    if (!env.page.online()) return pause();
    ways = kinds;
    reason = why;
    void open();
  }

  async function open(): Promise<void> {
    const [transport] = ways;
    const opens = transport && transports.get(transport);
    if (!opens) return stay("refused", new PresenceError("connection", "there is no way to connect from here"));
    const own = new AbortController();
    abort = own;
    standing.set({ status: "connecting", transport }, { rtt: null });
    timer = env.after(CONNECT_TIME, () => closed(1006, "the server did not answer in time"));
    try {
      const token = await credentials.get(reason, own.signal);
      const introduction = await host.introduce(token);
      if (own.signal.aborted) return;
      wire = opens(
        { ...introduction, base: host.base, token, fetch: env.fetch },
        {
          message: (line) => own.signal.aborted || receive(line),
          closed: (...end) => own.signal.aborted || closed(...end),
        },
      );
    } catch (cause) {
      if (own.signal.aborted) return;
      lastError = cause instanceof PresenceError ? cause : new PresenceError("connection", String(cause), { cause });
      closed(1006, "");
    }
  }

  function receive(line: string): void {
    let message: ServerMessage;
    try {
      message = parse(line, host.shapes);
    } catch (error) {
      if (error instanceof PresenceError) host.error(error);
      return;
    }
    if (isOpen()) watch();
    switch (message.type) {
      case "connected":
        return connected(message);
      case "ping":
        pong(message);
        break;
      case "server_draining":
        retryAfter = message.retryAfterMs;
        return;
      case "close":
        return closed(message.code, message.reason);
      case "error":
        if (!isOpen()) lastError = message.error;
    }
    if (!answers.answer(message)) host.received(message);
  }

  function pong({ timestamp, rttMs }: Said<"ping">): void {
    // Over WebSocket the browser answers the server's own ping.
    if (ways[0] === "sse") send({ type: "pong", timestamp });
    if (rttMs !== null) standing.note({ rtt: rttMs });
  }

  function connected(message: Said<"connected">): void {
    credentials.setClock(message.serverTime);
    const { status } = now();
    const [transport] = ways;
    if (status !== "connecting" || !transport) return;
    // What has worked is tried first the next time.
    kinds.sort((a, b) => Number(b === transport) - Number(a === transport));
    retryAfter = undefined;
    lastError = null;
    patience = message.heartbeatMs + message.limits.heartbeatTimeoutMs;
    renewal = credentials.renewInTime((token) => {
      wire?.renew(token);
      send({ type: "auth", token }, (answer) => {
        if (answer.type === "error") host.error(answer.error);
      });
    }, host.error);
    standing.set({ status: "syncing", transport });
    watch();
    host.opened(message);
  }

  /** A server that says nothing for longer than its heartbeat is gone, whatever the wire believes. */
  function watch(): void {
    timer();
    timer = env.after(patience, () => closed(1006, "the server has gone silent"));
  }

  function closed(code: number, why: string, after?: number): void {
    const { status, attempt } = now();
    const error =
      lastError ?? new PresenceError("connection", why || `closed with ${code}`, { retryAfter: after ?? null });
    const ending = endingOf(code);
    lastError = null;
    drop(PAUSE);
    if (ending.kind === "stay") return stay(ending.reason, error);
    if (ending.kind === "token") {
      if (!credentials.canRenew) return stay(ending.otherwise, error);
      if (reason !== ending.reason) return begin(ending.reason);
      // A new token that is no better than the last one will not get better by asking at once.
      if (reason === "refused") return stay(ending.otherwise, error);
    }
    if (status === "connecting" && error.code !== "token" && after === undefined) {
      // The way is barred, or the server is down: the other way will tell.
      ways = ways.slice(1);
      if (ways.length > 0) return void open();
    }
    const next = Math.max(attempt + 1, ending.kind === "return" && ending.slower ? 4 : 1);
    if (next > (options.retries ?? Number.POSITIVE_INFINITY)) return stay("gave_up", error);
    wait(after ?? retryAfter ?? backoff(next, env.random), error, next);
    retryAfter = undefined;
  }

  function wait(time: number, error: PresenceError, attempt: number): void {
    if (!env.page.online()) return pause();
    standing.set({ status: "waiting", nextTryAt: env.now() + time, error }, { attempt, rtt: null });
    timer();
    timer = env.after(time, begin);
  }

  /** Waits for the page to say that it is worth a try. */
  function pause(): void {
    drop(PAUSE);
    const error = new PresenceError("connection", "there is no network");
    standing.set({ status: "waiting", nextTryAt: null, error }, { rtt: null });
  }

  /** Lets go for good, and hears no more of the page. */
  function end(): void {
    drop(1000);
    pageEvents?.();
    pageEvents = null;
  }

  function stay(why: ClosedReason, error: PresenceError | null): void {
    end();
    standing.set({ status: "closed", reason: why, error }, { rtt: null });
    if (error) host.error(error);
  }

  function pageEvent(event: PageEvent): void {
    const state = now();
    if (event === "offline" || event === "kept") return pause();
    if (state.status !== "waiting") return;
    if (event === "online") wait(env.random() * ONLINE_SPREAD, state.error, state.attempt);
    else if (event === "back" || (event === "visible" && state.nextTryAt !== null)) begin();
  }

  function send(message: JsonObject, answered?: (message: ServerMessage) => void): void {
    if (isOpen()) wire?.send(answered ? answers.ask(message, answered) : message);
  }

  return {
    connection: {
      get snapshot() {
        return now();
      },
      subscribe: standing.subscribe,
      retryNow() {
        const state = now();
        const isOver = state.status === "closed" && state.reason !== "disconnected";
        if (isOver) standing.note({ attempt: 0 });
        if (isOver || state.status === "waiting") begin();
      },
    },
    isOpen,
    send,
    synced() {
      const state = now();
      const { transport } = state.status === "syncing" ? state : { transport: null };
      if (transport) standing.set({ status: "live", transport }, { attempt: 0, syncedAt: env.now() });
    },
    setPending: (pending) => standing.note({ pending }),
    connect() {
      isWanted = true;
      const state = now();
      if (state.status === "idle" || (state.status === "closed" && state.reason === "disconnected")) begin();
    },
    disconnect() {
      isWanted = false;
      stay("disconnected", null);
    },
    enable() {
      if (isEnabled) return;
      isEnabled = true;
      if (isWanted) begin();
    },
    disable() {
      isEnabled = false;
      end();
      standing.set({ status: "idle" }, { rtt: null });
    },
  };
}
