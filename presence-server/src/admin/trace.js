// One connection's live trace: what it receives and is sent as it happens, never what is said.

import { $, bytes, count, element, say, span } from "/admin/elements.js";
import { NotLetIn, trace } from "/admin/server.js";

const LINES = 500;
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

const EVENTS = new Map([
  ["began", ["·", "watching"]],
  ["received", ["→", "received"]],
  ["wire", ["→", "wire"]],
  ["sent", ["←", "sent"]],
  ["caught_up", ["·", "caught up"]],
  ["lost", ["!", "lost"]],
  ["ended", ["■", "ended"]],
]);

let stop = null;
let lines = [];
let waiting = 0;
let isPaused = false;
let opener = null;
let watched = null;
let signOut = () => {};

export const onSignOut = (act) => (signOut = act);
export const watchedConnection = () => watched;

// Shows the trace of a connection; whoever opened it gets the focus back.
export function openTrace(connection, user, by) {
  stop?.abort();
  [watched, opener, lines, waiting, isPaused] = [connection, by, [], 0, false];
  $("trace-lines").replaceChildren();
  say($("trace-user"), user ?? "not known yet");
  say($("trace-id"), connection);
  say($("trace-pause"), "Pause");
  $("trace").hidden = false;
  $("trace").dataset.state = "opening";
  tellState("Opening …");
  $("trace-title").focus();
  stop = new AbortController();
  follow(connection, stop.signal);
}

export function closeTrace() {
  if ($("trace").hidden) return;
  stop?.abort();
  [stop, watched] = [null, null];
  $("trace").hidden = true;
  (opener?.isConnected ? opener : $("connections-title")).focus();
}

// What the list of connections says of it meanwhile.
export function tellFacts(item) {
  if (item === undefined) return;
  const behind = Object.values(item.behind).reduce((sum, frames) => sum + frames, 0);
  const facts = [
    item.transport,
    item.since === null ? "age not known" : `open for ${span(Date.now() - item.since)}`,
    item.rtt_ms === null ? "no round trip yet" : `round trip ${item.rtt_ms} ms`,
    `quality ${item.quality ?? "not known yet"}`,
    `${count(behind)} behind`,
    `${bytes(item.bytes_waiting)} waiting`,
  ];
  say($("trace-facts"), facts.join(" · "));
}

function tellState(text) {
  say($("trace-state"), text);
}

async function follow(connection, signal) {
  try {
    await trace(connection, signal, (event) => {
      if (!signal.aborted) take(event);
    });
    if ($("trace").dataset.state !== "ended") ended("The server has ended the trace.");
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof NotLetIn) signOut(error.message);
    ended(error.status === 404 ? "This connection is gone." : error.message);
  }
}

function ended(text) {
  $("trace").dataset.state = "ended";
  tellState(text);
}

function take(event) {
  if (event.event === "began") {
    $("trace").dataset.state = "live";
    tellState("Live.");
  }
  if (event.event === "ended") ended(`The connection has ended: ${event.reason}.`);
  lines.unshift(event);
  lines.length = Math.min(lines.length, LINES);
  if (isPaused) {
    waiting += 1;
    say($("trace-pause"), `Resume (${count(waiting)} new)`);
  } else if (isWanted(event)) {
    $("trace-lines").prepend(row(event));
    while ($("trace-lines").childElementCount > LINES) $("trace-lines").lastElementChild.remove();
  }
}

function isWanted(event) {
  const wanted = $("trace-filter").value.trim().toLowerCase();
  const texts = [event.event, event.type, event.room, event.outcome, event.code];
  return wanted === "" || texts.some((text) => String(text ?? "").toLowerCase().includes(wanted));
}

function place({ version, seq }) {
  const parts = [];
  if (version !== undefined) parts.push(`v${version}`);
  if (seq !== undefined) parts.push(`#${seq}`);
  return parts.join(" ");
}

function note(event) {
  if (event.event === "lost") return `${count(event.lines)} lines came faster than they were read`;
  return [event.outcome, event.code, event.reason].filter((text) => text !== undefined).join(", ");
}

function row(event) {
  const [sign, word] = EVENTS.get(event.event) ?? ["?", event.event];
  const time = event.at === undefined ? "" : clock.format(event.at);
  const milliseconds = event.at === undefined ? "" : `.${String(event.at % 1_000).padStart(3, "0")}`;
  return element(
    "tr",
    { "data-event": event.event, "data-outcome": event.outcome },
    element("td", { class: "time" }, time + milliseconds),
    element("td", { class: "way" }, element("span", { "aria-hidden": "true" }, `${sign} `), word),
    element("td", { class: "type" }, event.type ?? ""),
    element("td", { class: "room" }, element("bdi", {}, event.room ?? "")),
    element("td", { class: "number" }, place(event)),
    element("td", { class: "number" }, event.bytes === undefined ? "" : bytes(event.bytes)),
    element("td", { class: "note" }, note(event)),
  );
}

function showAll() {
  $("trace-lines").replaceChildren(...lines.filter(isWanted).map(row));
}

$("trace-pause").addEventListener("click", () => {
  isPaused = !isPaused;
  waiting = 0;
  say($("trace-pause"), isPaused ? "Resume" : "Pause");
  if (!isPaused) showAll();
});
$("trace-clear").addEventListener("click", () => {
  lines = [];
  showAll();
});
$("trace-filter").addEventListener("input", showAll);
$("trace-close").addEventListener("click", closeTrace);
$("trace").addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeTrace();
});
