// The numbers of now, and how they were since the page was opened.

import { Chart } from "/admin/charts.js";
import { $, brief, bytes, count, say, seconds, span } from "/admin/elements.js";
import { Readings } from "/admin/metrics.js";

const readings = new Readings();

const chart = (id, about) => new Chart($(id), about);
const perSecond = (number) => `${brief(number)}/s`;

const connections = chart("chart-connections", {
  title: "Connections",
  note: "open at a time",
  series: ["connections", "users"],
  format: (number) => count(Math.round(number)),
  least: 10,
});
const flow = chart("chart-flow", {
  title: "Message flow",
  note: "messages per second, to and from all clients",
  series: ["sent", "received"],
  format: perSecond,
  least: 10,
});
const latency = chart("chart-latency", {
  title: "Latency of presence",
  note: "from a change in a room until it is written, over ten seconds",
  series: ["p50", "p99"],
  format: seconds,
  least: 0.01,
});
const messages = chart("chart-messages", {
  title: "Latency of messages and round trips",
  note: "from a message's arrival until it is written, and of pings, over ten seconds",
  series: ["message p99", "round trip p50"],
  format: seconds,
  least: 0.01,
});

// What one reading of the server says. text is null where metrics are off.
export function show(stats, text) {
  const at = performance.now();
  say($("version"), `version ${stats.version}, up for ${span(stats.uptime_ms)}`);
  for (const name of ["connections", "users", "sessions", "rooms"]) say($(`stat-${name}`), count(stats[name]));
  const kinds = Object.entries(stats.connections_by_transport).filter(([, number]) => number > 0);
  say($("stat-transports"), kinds.map(([kind, number]) => `${count(number)} ${kind}`).join(", "));
  $("no-metrics").hidden = text !== null;
  connections.add(at, [stats.connections, stats.users]);
  if (text === null) return;
  readings.add(at, text);
  flow.add(at, [readings.rate("presence_messages_sent_total"), readings.rate("presence_messages_received_total")]);
  const change = "presence_delivery_seconds";
  latency.add(at, [readings.latency(change, 0.5), readings.latency(change, 0.99)]);
  messages.add(at, [
    readings.latency("presence_message_delivery_seconds", 0.99),
    readings.latency("presence_heartbeat_rtt_seconds", 0.5),
  ]);
  showProcess();
}

function showProcess() {
  const shown = (name, format) => {
    const value = readings.total(name);
    return value === null ? "–" : format(value);
  };
  say($("stat-memory"), shown("process_resident_memory_bytes", bytes));
  say($("stat-files"), `${shown("process_open_fds", count)} files open`);
  const cpu = readings.rate("process_cpu_seconds_total");
  say($("stat-cpu"), cpu === null ? "–" : `${Math.round(cpu * 100)} %`);
  const [joins, leaves] = ["presence_joins_total", "presence_leaves_total"].map((name) => readings.rate(name));
  say($("stat-joins"), joins === null || leaves === null ? "" : `${brief(joins)} come, ${brief(leaves)} go per second`);
  const sent = readings.rate("presence_sent_bytes_total");
  say($("stat-bytes"), sent === null ? "–" : `${bytes(sent)}/s`);
  const errors = readings.rate("presence_errors_total");
  say($("stat-errors"), errors === null ? "" : `${brief(errors)} errors per second`);
}
