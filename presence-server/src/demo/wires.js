// The two ways to a server, in one shape: handlers.message(object), handlers.closed(code); send(object), close().

export class SocketWire {
  #socket;

  constructor(query, handlers) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws?${query}`);
    socket.onmessage = (event) => handlers.message(JSON.parse(event.data));
    socket.onclose = (event) => handlers.closed(event.code);
    this.#socket = socket;
  }

  send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  close() {
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }
}

// Events come down a stream; what is said is posted, in order, and together when there is more than one.
export class StreamWire {
  #stream;
  #connection = null;
  #unsaid = [];
  #posting = false;

  constructor(query, handlers) {
    const stream = new EventSource(`/sse?${query}`);
    let code = 1006;
    stream.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "close") code = message.code;
      if (message.type === "connected") this.#connection = message.connection_id;
      handlers.message(message);
    };
    // It would come back by itself; when, is for the connection to decide.
    stream.onerror = () => {
      this.close();
      handlers.closed(code);
    };
    this.#stream = stream;
  }

  send(message) {
    this.#unsaid.push(message);
    if (!this.#posting) void this.#post();
  }

  async #post() {
    this.#posting = true;
    while (this.#unsaid.length > 0 && this.#connection) {
      const body = JSON.stringify(this.#unsaid.splice(0, 100));
      try {
        await fetch(`/sse/${this.#connection}`, { method: "POST", headers: { "content-type": "application/json" }, body });
      } catch {
        break; // The stream will tell whether the server is still there.
      }
    }
    this.#posting = false;
  }

  close() {
    this.#connection = null;
    this.#unsaid = [];
    this.#stream.onmessage = this.#stream.onerror = null;
    this.#stream.close();
  }
}
