// The connection: back by itself when it is lost, and quiet when it is told to stay away.
import type {
  ClosedReason,
  Connection,
  ConnectionSnapshot,
  JsonObject,
  PageEvent,
  Release,
  TokenRequest,
  Transport,
  TransportKind,
} from "../api.ts";
import { PresenceError } from "../errors.ts";
import type { Host } from "../hub.ts";
import type { Answered, Said, ServerMessage } from "../wire/messages.ts";
import { parse } from "../wire/parse.ts";
import { backoff, endOf } from "./endings.ts";
import { createStanding } from "./standing.ts";

/** How long a connection may take, from the token to the server's first word. */
const CONNECT_TIME = 15_000;

/** After the network has come back everybody comes back: not all in the same moment. */
const ONLINE_SPREAD = 1_000;

/** For how long the way that has worked is tried first, after the one that is better did not open. */
const DETOUR = 5 * 60_000;

/** What closes a connection so that the server waits for this session: any code that is not 1000. */
const PAUSE = 4999;

/** How many answers are waited for: most of what is said is answered only if it is refused. */
const ANSWERS = 1_000;

export interface Link {
  readonly connection: Connection;
  readonly isOpen: () => boolean;
  /** Says something, if the connection is open; `answered` hears what is answered to it. */
  readonly say: (message: JsonObject, answered?: Answered) => void;
  readonly setPending: (pending: number) => void;
  /** All is in step. */
  readonly synced: () => void;
  readonly connect: () => void;
  readonly disconnect: () => void;
  readonly enable: () => void;
  readonly disable: () => void;
}

/** Whether it was told to stay away, so that only {@link Link.connect} brings it back. */
function isAway(state: ConnectionSnapshot): boolean {
  return state.status === "idle" || (state.status === "closed" && state.reason === "disconnected");
}

export function createLink(host: Host): Link {
  const { options, env } = host;
  const { now, set, subscribe } = createStanding(options.poorRtt, host.guard, (state) => host.emit("state", state));
  const fail = (error: PresenceError): void => host.emit("error", error);
  const transports = options.tabs?.(env) ?? env.transports;
  const kinds = [...transports.keys()].filter((kind) => [kind, "auto", undefined].includes(options.transport));
  /** Who waits for the answer to what: every direct answer repeats the `ref` of its question. */
  const asked = new Map<unknown, Answered>();
  let lastRef = 0;
  let wire: Transport | null = null;
  /** Ends the present try to connect, or connection: whatever still comes of it is not heard. */
  let abort = new AbortController();
  /** What waits in the present state: the next try, the first word, or a sign of life. */
  let timer: Release = () => {};
  let renewal: Release | undefined;
  let pageEvents: Release | null = null;
  /** The ways that are left to try, and why a token is asked for. */
  let ways: readonly TransportKind[] = [];
  let reason: TokenRequest["reason"] = "connect";
  /** Until when the way that has worked is tried first, because the better one was barred. */
  let detourEnds = 0;
  let retryAfter: number | undefined;
  let lastError: PresenceError | null = null;
  let patience = 0;
  let isWanted = false;
  let isEnabled = true;

  const isOpen = (): boolean => wire !== null && now().quality !== "disconnected";

  /** Waits for one thing, and for nothing else any more. */
  const wait = (time: number, then: () => void): void => {
    timer();
    timer = env.after(time, then);
  };

  /** Lets go of the present connection, or of the try to get one. The next state has to be set at once. */
  const drop = (code = PAUSE): void => {
    const wasOpen = isOpen();
    timer();
    renewal?.();
    abort.abort();
    wire?.close(code);
    wire = lastError = null;
    asked.clear();
    if (wasOpen) host.lost();
  };

  const begin = (why: TokenRequest["reason"] = "connect"): void => {
    drop();
    if (!isEnabled) return set({ status: "idle" });
    pageEvents ??= env.page.subscribe(pageEvent);
    if (!env.page.online()) return pause();
    ways = env.now() < detourEnds ? [...kinds].reverse() : kinds;
    reason = why;
    open();
  };

  const open = async (): Promise<void> => {
    const [transport] = ways;
    const opens = transport && transports.get(transport);
    if (!opens) return stay("refused", new PresenceError("connection", "no way"));
    abort = new AbortController();
    const { signal } = abort;
    set({ status: "connecting", transport });
    wait(CONNECT_TIME, () => closed(1006, "no answer"));
    try {
      const dial = await host.dial(reason, signal);
      if (signal.aborted) return;
      wire = opens(dial, {
        message: (line) => signal.aborted || receive(line),
        closed: (...end) => signal.aborted || closed(...end),
      });
    } catch (cause) {
      if (signal.aborted) return;
      if (cause instanceof PresenceError) lastError = cause;
      closed(1006, String(cause));
    }
  };

  const receive = (line: string): void => {
    let message: ServerMessage;
    try {
      message = parse(line);
    } catch (error) {
      if (error instanceof PresenceError) fail(error);
      return;
    }
    const { type, ref } = message;
    if (isOpen()) watch();
    switch (type) {
      case "connected":
        return connected(message);
      case "ping":
        // Over WebSocket the browser answers the server's own ping.
        if (ways[0] === "sse") say({ type: "pong", timestamp: message.timestamp });
        if (message.rttMs !== null) set(null, { rtt: message.rttMs });
        break;
      case "server_draining":
        retryAfter = message.retryAfterMs;
        return;
      case "close":
        return closed(message.code, message.reason);
      case "error":
        if (!isOpen()) lastError = message.error;
    }
    const answered = asked.get(ref) ?? host.received;
    // Entering a room is answered in several messages.
    if (!type.startsWith("presence:")) asked.delete(ref);
    answered(message);
  };

  const connected = (message: Said<"connected">): void => {
    const state = now();
    if (state.status !== "connecting") return;
    const { transport } = state;
    if (transport !== kinds[0] && env.now() >= detourEnds) detourEnds = env.now() + DETOUR;
    reason = "connect";
    retryAfter = undefined;
    patience = message.heartbeatMs + (message.limits.heartbeatTimeoutMs ?? 10_000);
    renewal = host.renew(message.serverTime, (token) => wire?.renew(token));
    set({ status: "syncing", transport });
    watch();
    host.opened(message);
  };

  /** A server that says nothing for longer than its heartbeat is gone, whatever the wire believes. */
  const watch = (): void => wait(patience, () => closed(1006, "silence"));

  const closed = (code: number, why: string | null, after: number | undefined = retryAfter): void => {
    const { status, attempt } = now();
    const error = lastError ?? new PresenceError("connection", why || `closed: ${code}`);
    const end = endOf(code);
    drop();
    retryAfter = undefined;
    const isToken = options.getToken && (end === "expired" || end === "unauthorized");
    if (isToken && reason === "connect") return begin(end === "expired" ? end : "refused");
    // A new token that is no better than the last one will not get better by asking at once.
    if (end && !(isToken && end === "expired")) return stay(end, error);
    if (status === "connecting" && error.code !== "token" && after === undefined && ways.length > 1) {
      // The way is barred, or the server is down: the other way will tell.
      ways = ways.slice(1);
      open();
      return;
    }
    // Who has said too much comes back slowly.
    const next = Math.max(attempt + 1, code === 4008 ? 4 : 1);
    if ((options.retries ?? next) < next) return stay("gave_up", error);
    rest(after ?? backoff(next, env.random), error, next);
  };

  const rest = (time: number, error: PresenceError, attempt: number): void => {
    if (!env.page.online()) return pause();
    set({ status: "waiting", nextTryAt: env.now() + time, error }, { attempt });
    wait(time, begin);
  };

  /** Waits for the page to say that it is worth a try. */
  const pause = (): void => {
    drop();
    set({ status: "waiting", nextTryAt: null, error: new PresenceError("connection", "no network") });
  };

  /** Lets go for good, and hears no more of the page. */
  const end = (): void => {
    drop(1000);
    pageEvents?.();
    pageEvents = null;
  };

  const stay = (why: ClosedReason, error: PresenceError | null): void => {
    end();
    set({ status: "closed", reason: why, error });
    if (error) fail(error);
  };

  const pageEvent = (event: PageEvent): void => {
    const state = now();
    if (event === "hidden") host.keepUp();
    if (event === "offline" || event === "kept") return pause();
    // Another network may have other ways.
    if (event === "online") detourEnds = 0;
    if (state.status !== "waiting") return;
    if (event === "online") rest(env.random() * ONLINE_SPREAD, state.error, state.attempt);
    else if (event === "back" || (event === "visible" && state.nextTryAt !== null)) begin();
  };

  const say: Link["say"] = (message, answered) => {
    if (!isOpen()) return;
    if (answered) {
      lastRef += 1;
      asked.set(lastRef, answered);
      // What nobody has answered for so long will not be.
      asked.delete(lastRef - ANSWERS);
    }
    wire?.send(answered ? { ...message, ref: lastRef } : message);
  };

  return {
    connection: {
      get snapshot() {
        return now();
      },
      subscribe,
      retryNow() {
        const state = now();
        if (state.status === "closed" && !isAway(state)) set(null, { attempt: 0 });
        else if (state.status !== "waiting") return;
        begin();
      },
    },
    isOpen,
    say,
    synced() {
      const state = now();
      if (state.status !== "syncing") return;
      set({ status: "live", transport: state.transport }, { attempt: 0, syncedAt: env.now() });
    },
    setPending: (pending) => set(null, { pending }),
    connect() {
      if (host.life.aborted) return;
      isWanted = true;
      if (isAway(now())) begin();
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
      set({ status: "idle" });
    },
  };
}
