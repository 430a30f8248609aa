// Makes and fills elements. Text only ever goes in as text: names of users and rooms may say anything.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

// An element with attributes and children; a child that is no node becomes text.
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function button(text, attributes, act) {
  const made = element("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", act);
  return made;
}

// Sets a text only where it is another one, so that nothing is laid out or read out anew.
export function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (number) => whole.format(number);

export const brief = (number) => (number < 10 ? number.toFixed(number < 1 && number > 0 ? 1 : 0) : short.format(number));

export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let [value, unit] = [number, 0];
  while (value >= 1_024 && unit < units.length - 1) [value, unit] = [value / 1_024, unit + 1];
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function seconds(number) {
  if (number < 0.001) return `${(number * 1_000).toFixed(1)} ms`;
  return number < 1 ? `${Math.round(number * 1_000)} ms` : `${number.toFixed(1)} s`;
}

export function span(milliseconds) {
  const total = Math.max(0, Math.floor(milliseconds / 1_000));
  const parts = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const at = parts.findIndex(([length]) => total >= length);
  if (at < 0) return "now";
  const [[length, unit], below] = [parts[at], parts[at + 1]];
  const rest = below && length > 60 ? Math.floor((total % length) / below[0]) : 0;
  return rest > 0 ? `${Math.floor(total / length)} ${unit} ${rest} ${below[1]}` : `${Math.floor(total / length)} ${unit}`;
}
