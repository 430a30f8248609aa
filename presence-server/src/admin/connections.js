// The list of connections: whose they are, how well they are, how far behind, and what can be done about it.

import { $, button, bytes, count, element, say, span } from "/admin/elements.js";
import { askToKick } from "/admin/kick.js";
import { MOST, Sweep } from "/admin/sweep.js";
import { Table } from "/admin/table.js";
import { openTrace, tellFacts, watchedConnection } from "/admin/trace.js";

const BY_USER = /^user:(.+)$/;
const QUALITY = ["good", "poor", "disconnected"];

const id = (item) => item.connection_id;
const behind = (item) => Object.values(item.behind).reduce((sum, frames) => sum + frames, 0);

function make(item) {
  const cells = Object.fromEntries(
    ["transport", "rooms", "since", "rtt", "behind", "waiting"].map((name) => [name, element("td")]),
  );
  for (const name of ["rooms", "since", "rtt", "behind", "waiting"]) cells[name].className = "number";
  const [user, session] = [element("bdi", { class: "user" }), element("bdi", { class: "session" })];
  const who = element("th", { scope: "row" }, user, session);
  const quality = element("span", { class: "quality" });
  const connection = id(item);
  let now = item;
  const trace = button("Trace", {}, () => openTrace(connection, now.user_id, trace));
  const end = button("End …", { class: "danger" }, () => {
    askToKick({ connection, user: now.user_id }, () => sweep.forget(connection));
  });
  const row = element(
    "tr",
    { "data-connection": connection },
    who,
    cells.transport,
    cells.rooms,
    cells.since,
    cells.rtt,
    element("td", {}, quality),
    cells.behind,
    cells.waiting,
    element("td", { class: "acts" }, trace, end),
  );
  const update = (next) => {
    now = next;
    const name = next.user_id ?? "not known yet";
    say(user, name);
    who.title = `${name}, connection ${connection}`;
    say(session, next.session_id ?? "");
    say(cells.transport, next.transport);
    say(cells.rooms, count(next.rooms.length));
    cells.rooms.title = next.rooms.slice(0, 20).join(", ");
    say(cells.since, next.since === null ? "–" : span(Date.now() - next.since));
    say(cells.rtt, next.rtt_ms === null ? "–" : `${count(next.rtt_ms)} ms`);
    say(quality, next.quality ?? "not known yet");
    quality.dataset.quality = next.quality ?? "";
    say(cells.behind, count(behind(next)));
    say(cells.waiting, bytes(next.bytes_waiting));
    trace.setAttribute("aria-label", `Trace ${name}`);
    end.setAttribute("aria-label", `End the connection of ${name}`);
  };
  return { row, update };
}

const table = new Table($("connections-table"), {
  id,
  make,
  sort: { name: "quality", falls: true },
  columns: [
    { name: "user", title: "User", value: (item) => item.user_id },
    { name: "transport", title: "By", value: (item) => item.transport },
    { name: "rooms", title: "Rooms", value: (item) => item.rooms.length, isNumber: true },
    { name: "since", title: "Open for", value: (item) => item.since && -item.since, isNumber: true },
    { name: "rtt", title: "Round trip", value: (item) => item.rtt_ms, isNumber: true },
    { name: "quality", title: "Quality", value: (item) => QUALITY.indexOf(item.quality) },
    { name: "behind", title: "Behind", value: behind, isNumber: true },
    { name: "waiting", title: "Waiting", value: (item) => item.bytes_waiting, isNumber: true },
    { name: "acts", title: "What to do" },
  ],
});

const sweep = new Sweep({
  path: "/debug/connections",
  list: "connections",
  id,
  changed: show,
  failed: (error) => failed(error),
});

let failed = () => null;

function wanted() {
  const text = $("connections-filter").value.trim();
  const user = BY_USER.exec(text)?.[1].trim();
  return user === undefined ? { text: text.toLowerCase() } : { user, text: "" };
}

function matches(item, text) {
  const texts = [item.user_id, item.session_id, item.connection_id, item.transport, item.quality, ...item.rooms];
  return texts.some((given) => given?.toLowerCase().includes(text));
}

function show() {
  const all = [...sweep.items.values()];
  const { text } = wanted();
  table.show(text === "" ? all : all.filter((item) => matches(item, text)));
  const much = `These are the first ${count(MOST)}. Find others with “user:” and the whole id.`;
  say($("connections-note"), sweep.isCut ? much : sweep.isWhole ? "" : "Reading …");
  tellFacts(sweep.items.get(watchedConnection()));
}

let queried;

$("connections-filter").addEventListener("input", () => {
  const { user } = wanted();
  table.first();
  if (user !== queried) {
    queried = user;
    sweep.start(user === undefined ? {} : { user });
  }
  show();
});

// failed(error, where) says after how many milliseconds to go on, or null for never.
export function startConnections(onFailed) {
  failed = (error) => onFailed(error, $("connections-note"));
  sweep.start();
}

export const stopConnections = () => sweep.stop();
