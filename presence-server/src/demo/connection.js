// The connection: one explicit state at a time, back by itself when it is lost, and quiet about it when told to stay
// away.
//
//   connecting → live → waiting → connecting …        closed is the end
//
// It tries a WebSocket first, an event stream where that does not open, and stays with what has worked.

import { SocketWire, StreamWire } from "/wires.js";

const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;
const SILENCE_AFTER_PING = 15_000;

// What the server's close codes mean. Unknown ones below 4500 mean "come back".
const LAST_WORDS = new Map([
  [4409, "Another tab has taken this session over."],
  [4500, "The server refused this page."],
  [4501, "The server wants to know who you are."],
  [4503, "You were sent away."],
]);

export class Connection {
  #query;
  #kinds;
  #wire = null;
  #opened = false;
  #attempt = 0;
  #timer = 0;
  #watchdog = 0;
  #retryAfter = null;
  #heartbeat = 25_000;
  #handlers;

  // handlers: open(), message(object), state({kind, …}), rtt(milliseconds). via: "ws" or "sse" for that one only.
  constructor(query, via, handlers) {
    this.#query = query;
    this.#kinds = { ws: [SocketWire], sse: [StreamWire] }[via] ?? [SocketWire, StreamWire];
    this.#handlers = handlers;
  }

  connect() {
    clearTimeout(this.#timer);
    this.#drop();
    this.#handlers.state({ kind: "connecting", attempt: this.#attempt });
    this.#opened = false;
    const wire = new this.#kinds[0](this.#query(), {
      message: (message) => {
        if (this.#wire === wire) this.#received(message);
      },
      closed: (code) => {
        if (this.#wire === wire) this.#closed(code);
      },
    });
    this.#wire = wire;
    this.#watch();
  }

  // Says something, if anybody listens. Presence that could not be said is said anew on joining.
  send(message) {
    this.#wire?.send(message);
  }

  #received(message) {
    this.#watch();
    switch (message.type) {
      case "connected":
        this.#opened = true;
        this.#attempt = 0;
        this.#retryAfter = null;
        this.#heartbeat = message.heartbeat_ms;
        this.#handlers.state({ kind: "live" });
        this.#handlers.open(message);
        break;
      case "ping":
        this.send({ type: "pong", timestamp: message.timestamp });
        if (message.rtt_ms !== undefined) this.#handlers.rtt(message.rtt_ms);
        break;
      case "server_draining":
        this.#retryAfter = message.retry_after_ms;
        break;
      default:
        this.#handlers.message(message);
    }
  }

  #closed(code) {
    this.#drop();
    if (LAST_WORDS.has(code) || code >= 4500) {
      this.#handlers.state({ kind: "closed", why: LAST_WORDS.get(code) ?? `The server closed with ${code}.` });
      return;
    }
    if (!this.#opened && this.#kinds.length > 1) {
      // The way is barred, or the server is down: the other way will tell, at once the first time.
      this.#kinds.reverse();
      if (this.#attempt === 0) {
        this.#attempt = 1;
        this.connect();
        return;
      }
    }
    const ceiling = Math.min(FIRST_WAIT * 2 ** this.#attempt, LONGEST_WAIT);
    // Full jitter: those who were dropped together must not come back together.
    const wait = this.#retryAfter ?? Math.random() * ceiling;
    this.#retryAfter = null;
    this.#attempt += 1;
    this.#handlers.state({ kind: "waiting", attempt: this.#attempt, until: performance.now() + wait });
    this.#timer = setTimeout(() => this.connect(), wait);
  }

  // A server that says nothing for longer than its heartbeat is gone, whatever the wire believes.
  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#closed(1006), this.#heartbeat + SILENCE_AFTER_PING);
  }

  #drop() {
    clearTimeout(this.#watchdog);
    const wire = this.#wire;
    this.#wire = null;
    wire?.close();
  }
}
