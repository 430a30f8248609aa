// The list of rooms, and one of them looked into.

import { $, button, bytes, count, element, say, span } from "/admin/elements.js";
import { ask, NotLetIn } from "/admin/server.js";
import { MOST, Sweep } from "/admin/sweep.js";
import { Table } from "/admin/table.js";
import { openTrace } from "/admin/trace.js";

const PAUSE_OF_TYPING = 250;
const EVERY = 2_000;

const id = (item) => item.room;

function make(item) {
  const [users, sessions] = [element("td", { class: "number" }), element("td", { class: "number" })];
  const look = button(item.room, { class: "link", title: item.room }, () => openRoom(item.room, look));
  const row = element("tr", {}, element("th", { scope: "row" }, look), users, sessions);
  const update = (next) => {
    say(users, count(next.users));
    say(sessions, count(next.sessions));
  };
  return { row, update };
}

const table = new Table($("rooms-table"), {
  id,
  make,
  sort: { name: "users", falls: true },
  columns: [
    { name: "room", title: "Room", value: id },
    { name: "users", title: "Users", value: (item) => item.users, isNumber: true },
    { name: "sessions", title: "Sessions", value: (item) => item.sessions, isNumber: true },
  ],
});

let failed = () => null;
const sweep = new Sweep({ path: "/v1/rooms", list: "rooms", id, changed: show, failed: (error) => failed(error) });

function show() {
  table.show([...sweep.items.values()]);
  const much = `These are the first ${count(MOST)}. Find others by how they begin.`;
  say($("rooms-note"), sweep.isCut ? much : sweep.isWhole ? "" : "Reading …");
}

let typing = 0;
$("rooms-filter").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    table.first();
    sweep.start({ prefix: $("rooms-filter").value.trim() });
  }, PAUSE_OF_TYPING);
});

// failed(error, where) says after how many milliseconds to go on, or null for never.
export function startRooms(onFailed) {
  failed = (error) => onFailed(error, $("rooms-note"));
  sweep.start();
}

export function stopRooms() {
  sweep.stop();
  $("room").close();
}

let looked = null;
let timer = 0;

function openRoom(room, by) {
  looked = room;
  for (const list of ["room-members", "room-readers"]) $(list).replaceChildren();
  say($("room-name"), room);
  say($("room-facts"), "Reading …");
  $("room").showModal();
  $("room").onclose = () => {
    clearTimeout(timer);
    looked = null;
    // Unless a trace was opened from here, which takes the focus.
    if ($("trace").hidden && by.isConnected) by.focus();
  };
  look(room);
}

async function look(room) {
  clearTimeout(timer);
  try {
    const told = await ask(`/debug/rooms/${encodeURIComponent(room)}`);
    if (looked === room) tell(told);
  } catch (error) {
    if (looked !== room) return;
    // The list behind asks for the key again.
    if (error instanceof NotLetIn) return $("room").close();
    const isEmpty = error.status === 404;
    say($("room-facts"), isEmpty ? "Nobody is in this room, or `debug_access` is off." : error.message);
  }
  if (looked === room) timer = setTimeout(look, EVERY, room);
}

function tell(room) {
  const facts = [
    `${count(room.users)} users`,
    `${count(room.listeners)} connections`,
    `version ${room.version} of ${room.epoch}`,
    `digest ${room.digest}`,
    `keeps ${count(room.feed.messages)} messages, ${bytes(room.feed.bytes)}`,
  ];
  say($("room-facts"), facts.join(" · "));
  fill($("room-members"), room.members, (member) => member.user_id, describe);
  if (room.more_members) $("room-members").append(element("li", { class: "note" }, "and more"));
  fill($("room-readers"), room.readers, (reader) => reader.connection_id, read);
}

// Lines that say the same stay as they are, so that a button keeps the focus.
function fill(list, items, key, make) {
  const before = new Map([...list.children].map((line) => [line.dataset.key, line]));
  const lines = items.map((item) => {
    const [text, act] = make(item);
    const name = `${key(item)} ${text}`;
    const known = before.get(name);
    if (known !== undefined) return known;
    return element("li", { "data-key": name }, element("bdi", {}, text), ...(act ? [act] : []));
  });
  if (lines.length !== list.children.length || lines.some((line, at) => line !== list.children[at])) {
    list.replaceChildren(...lines);
  }
}

function describe(member) {
  const held = member.sessions.filter((session) => session.held !== null);
  const waits = held.length > 0 ? `, ${count(held.length)} held` : "";
  const since = span(Date.now() - member.joined_at);
  const sessions = member.sessions.length === 1 ? "1 session" : `${count(member.sessions.length)} sessions`;
  return [`${member.name} (${member.user_id}): ${member.status}, ${sessions}${waits}, here for ${since}`];
}

function read(reader) {
  const lag = reader.behind === null ? "waits for the room" : `${count(reader.behind)} behind`;
  const who = reader.user_id ?? "not known yet";
  const act = button("Trace", { "aria-label": `Trace ${who}` }, () => {
    openTrace(reader.connection_id, reader.user_id, $("rooms-title"));
    $("room").close();
  });
  return [`${who}: ${lag}, ${bytes(reader.bytes_waiting)} waiting`, act];
}

$("room-close").addEventListener("click", () => $("room").close());
