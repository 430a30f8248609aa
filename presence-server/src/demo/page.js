// The page: what the room says, shown; what this person does, said. Text only ever goes in as text.

import { Connection } from "/connection.js";
import { identify, keep } from "/identity.js";
import { Room } from "/room.js";

const CURSOR_EVERY = 33;
const TYPING_EVERY = 3_000;
const LOG_LINES = 8;

const $ = (id) => document.getElementById(id);
const parameters = new URLSearchParams(location.search);
const roomName = parameters.get("room") || "lobby";
const me = await identify(parameters);

let room = new Room();
let sent = { cursorAt: -Infinity, typingAt: -Infinity };
let state = { kind: "connecting", attempt: 0 };

function query() {
  return new URLSearchParams({ user_id: me.user, user_name: me.name, session_id: me.session });
}

const connection = new Connection(query, parameters.get("via"), {
  open: join,
  message: received,
  state: (next) => {
    state = next;
    document.body.classList.toggle("stale", next.kind !== "live");
    showConnection();
  },
  rtt: (milliseconds) => {
    $("rtt").textContent = `${milliseconds} ms`;
  },
});

function join() {
  const user = { id: me.user, name: me.name, sessionId: me.session };
  connection.send({ type: "presence:join", room: roomName, user, since: room.since });
  connection.send({ type: "presence:activity", active: !document.hidden });
}

function received(message) {
  if (message.type === "error") {
    if (message.code === "invalid_room") log(`“${roomName}” is not a name for a room.`);
    else console.warn(message);
    return;
  }
  if (message.room !== roomName) return;
  const { kind, user } = room.apply(message);
  if (kind === "gap" || kind === "drift") {
    connection.send({ type: "presence:sync", room: roomName, epoch: room.epoch, version: room.version, digest: room.digest });
  }
  if (kind === "joined" && user.id !== me.user) log(`${user.name} came in.`);
  if (kind === "left" && user) log(`${user.name} left.`);
  if (kind === "live") {
    showCursors();
    showTyping();
  } else if (kind !== "none") {
    showPeople();
    showCursors();
    showTyping();
  }
}

// What is shown.

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function initials(name) {
  const words = name.trim().split(/\s+/u);
  return words.slice(0, 2).map((word) => [...word][0] ?? "").join("").toUpperCase() || "?";
}

function color(user) {
  return /^#[0-9a-f]{3,6}$/u.test(user.color) ? user.color : "#5d5a52";
}

function showPeople() {
  const people = [...room.users.values()].sort((a, b) => a.joinedAt - b.joinedAt || (a.id < b.id ? -1 : 1));
  $("count").textContent = people.length;
  document.title = `${people.length} in ${roomName} · Presence`;
  $("people").replaceChildren(...people.map((user) => {
    const row = element("li", user.status === "away" ? "person away" : "person");
    const avatar = element("span", "avatar", initials(user.name));
    avatar.setAttribute("aria-hidden", "true");
    avatar.style.backgroundColor = color(user);
    const notes = [user.id === me.user ? "you" : "", user.status === "away" ? "away" : "", user.connectionCount > 1 ? `${user.connectionCount} tabs` : ""];
    row.append(avatar, element("span", "name", user.name), element("span", "note", notes.filter(Boolean).join(" · ")));
    return row;
  }));
}

const pointers = new Map();

function showCursors() {
  const stage = $("stage").getBoundingClientRect();
  const seen = new Set();
  for (const user of room.users.values()) {
    for (const { sessionId, cursor } of user.sessions) {
      const own = user.id === me.user && sessionId === me.session;
      if (own || !cursor || cursor.visible === false) continue;
      const key = JSON.stringify([user.id, sessionId]);
      seen.add(key);
      const pointer = pointers.get(key) ?? newPointer(key);
      pointer.style.color = color(user);
      pointer.style.transform = `translate(${cursor.x * stage.width}px, ${cursor.y * stage.height}px)`;
      pointer.querySelector("span").textContent = user.name;
    }
  }
  for (const [key, pointer] of pointers) {
    if (!seen.has(key)) {
      pointer.remove();
      pointers.delete(key);
    }
  }
}

function newPointer(key) {
  const pointer = element("div", "cursor");
  const label = element("div", "label");
  label.append(element("span", "", ""));
  pointer.append(element("div", "arrow"), label);
  $("cursors").append(pointer);
  pointers.set(key, pointer);
  return pointer;
}

function showTyping() {
  const names = room.typing.filter((id) => id !== me.user).map((id) => room.users.get(id)?.name).filter(Boolean);
  const shown = names.length > 3 ? `${names.length} people` : names.join(", ");
  $("typing").textContent = names.length === 0 ? "" : `${shown} ${names.length === 1 ? "is" : "are"} typing…`;
}

function showConnection() {
  document.body.dataset.state = state.kind;
  const seconds = state.kind === "waiting" ? Math.max(0, Math.ceil((state.until - performance.now()) / 1000)) : 0;
  $("connection-text").textContent = {
    connecting: state.attempt ? `Reconnecting (attempt ${state.attempt})…` : "Connecting…",
    live: "Live",
    waiting: `Reconnecting in ${seconds} s (attempt ${state.attempt})`,
    closed: state.why,
  }[state.kind];
  $("retry").hidden = state.kind !== "waiting" && state.kind !== "closed";
  if (state.kind !== "live") $("rtt").textContent = "";
}

function log(text) {
  const log = $("log");
  log.prepend(element("li", "", text));
  while (log.children.length > LOG_LINES) log.lastChild.remove();
}

// What is said.

let pointed = null;

function sendCursor() {
  const now = performance.now();
  if (pointed === null || now - sent.cursorAt < CURSOR_EVERY) return;
  sent.cursorAt = now;
  connection.send({ type: "presence:cursor", room: roomName, cursor: pointed });
  pointed = null;
}

$("stage").addEventListener("pointermove", (event) => {
  const stage = $("stage").getBoundingClientRect();
  const fraction = (value) => Math.round(value * 1e4) / 1e4;
  pointed = { x: fraction((event.clientX - stage.left) / stage.width), y: fraction((event.clientY - stage.top) / stage.height), visible: true };
  $("hint").hidden = true;
  sendCursor();
});

$("stage").addEventListener("pointerleave", () => {
  pointed = null;
  connection.send({ type: "presence:cursor", room: roomName, cursor: null });
});

// What came too soon after the last one is sent with a later frame.
(function everyFrame() {
  sendCursor();
  requestAnimationFrame(everyFrame);
})();

function typing(now) {
  const at = performance.now();
  if (now && at - sent.typingAt < TYPING_EVERY) return;
  sent.typingAt = now ? at : -Infinity;
  connection.send({ type: "presence:typing", room: roomName, typing: now });
}

$("note").addEventListener("input", () => typing($("note").value !== ""));
$("note").addEventListener("blur", () => typing(false));

$("name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  if (name === "" || name === me.name) return;
  me.name = name;
  keep(me);
  connection.send({ type: "presence:join", room: roomName, user: { id: me.user, name }, since: room.since });
});
$("name").addEventListener("change", () => $("name-form").requestSubmit());

$("room-form").addEventListener("submit", (event) => {
  event.preventDefault();
  parameters.set("room", $("room").value.trim() || "lobby");
  location.search = parameters;
});

document.addEventListener("visibilitychange", () => {
  connection.send({ type: "presence:activity", active: !document.hidden });
});
$("retry").addEventListener("click", () => connection.connect());
addEventListener("online", () => state.kind === "waiting" && connection.connect());
// A page that comes back out of the browser's memory has lost its socket.
addEventListener("pageshow", (event) => event.persisted && connection.connect());
addEventListener("resize", showCursors);
setInterval(() => state.kind === "waiting" && showConnection(), 500);

$("room").value = roomName;
$("name").value = me.name;
$("second").href = `/?${new URLSearchParams({ room: roomName })}`;
connection.connect();
