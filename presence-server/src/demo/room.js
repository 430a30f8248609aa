// A room as the server tells it: a fold over its messages, which knows when it has missed something.

const encoder = new TextEncoder();

function fnv1a(text) {
  let hash = 0x811c9dc5;
  for (const byte of encoder.encode(text)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash;
}

export class Room {
  constructor() {
    // Maps, since the keys are names that others chose.
    this.users = new Map();
    this.typing = [];
    this.epoch = null;
    this.version = 0;
  }

  // What to say to resume, if there is anything to resume from.
  get since() {
    return this.epoch === null ? undefined : { epoch: this.epoch, version: this.version };
  }

  get digest() {
    let sum = 0;
    for (const user of this.users.values()) {
      sum = (sum + fnv1a(`${user.id}:${user.connectionCount}`)) >>> 0;
    }
    return sum.toString(16).padStart(8, "0");
  }

  // Takes a message in. Gives what happened: {kind: "joined" | "left" | "changed" | "live" | "gap" | "drift" | "none"}.
  apply(message) {
    switch (message.type) {
      case "presence:currentUsers": return this.#start(message);
      case "presence:userJoined": return this.#event(message, () => this.#joined(message.user));
      case "presence:userLeft": return this.#event(message, () => this.#left(message.userId));
      case "presence:userUpdated": return this.#event(message, () => this.#updated(message));
      case "presence:synced": {
        const same = message.epoch === this.epoch && message.version === this.version && message.digest === this.digest;
        return { kind: same ? "synced" : "drift" };
      }
      case "presence:cursors": return this.#moved(message.cursors);
      case "presence:typing":
        this.typing = message.userIds;
        return { kind: "live" };
      default: return { kind: "none" };
    }
  }

  #start(message) {
    this.users = new Map(message.users.map((user) => [user.id, user]));
    this.typing = [];
    this.epoch = message.epoch;
    this.version = message.version;
    return { kind: "changed" };
  }

  #event(message, change) {
    if (message.version <= this.version) return { kind: "none" };
    if (message.version !== this.version + 1) return { kind: "gap" };
    this.version = message.version;
    return change();
  }

  #joined(user) {
    this.users.set(user.id, user);
    return { kind: "joined", user };
  }

  #left(id) {
    const user = this.users.get(id);
    this.users.delete(id);
    return { kind: "left", user };
  }

  #updated(message) {
    const user = this.users.get(message.userId);
    if (!user) return { kind: "drift" };
    for (const field of ["name", "color", "avatar", "email", "status", "connectionCount", "sessions"]) {
      if (field in message) user[field] = message[field];
    }
    const session = user.sessions.find((known) => known.sessionId === message.sessionId);
    if (session && message.state) {
      const state = new Map(Object.entries(session.state));
      for (const [name, value] of Object.entries(message.state)) {
        if (value === null) state.delete(name);
        else state.set(name, value);
      }
      session.state = Object.fromEntries(state);
    }
    return { kind: "changed" };
  }

  #moved(cursors) {
    for (const { userId, sessionId, cursor } of cursors) {
      const session = this.users.get(userId)?.sessions.find((known) => known.sessionId === sessionId);
      if (session) session.cursor = cursor;
    }
    return { kind: "live" };
  }
}
