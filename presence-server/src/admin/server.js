// Asks the server, with the API key if there is one. The key lives as long as the tab, and goes nowhere but into a header.

const KEY = "presence-admin-key";
const PATIENCE = 10_000;

// The key is missing, wrong, or not enough.
export class NotLetIn extends Error {}

// There is no answer.
export class Gone extends Error {}

// The server answers no.
export class Refused extends Error {
  constructor(status, message, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

let key = sessionStorage.getItem(KEY) ?? "";

export const hasKey = () => key !== "";

// What is no header value can not be sent, and is no key that a server could have.
export const couldBeKey = (text) => /^[\x20-\x7e]+$/.test(text);

export function useKey(text) {
  key = text;
  sessionStorage.setItem(KEY, text);
}

export function forgetKey() {
  key = "";
  sessionStorage.removeItem(KEY);
}

async function request(path, { method = "GET", signal } = {}) {
  const headers = key === "" ? {} : { "X-API-Key": key };
  const options = { method, headers, signal, cache: "no-store", credentials: "omit", redirect: "error" };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    // Whoever gave up knows that.
    if (signal?.aborted && signal.reason?.name !== "TimeoutError") throw error;
    throw new Gone("The server does not answer.");
  }
  if (answer.ok) return answer;
  const told = await answer.json().then(
    (body) => body?.error,
    () => null,
  );
  const message = typeof told?.message === "string" ? told.message : `The server answers ${answer.status}.`;
  if (answer.status === 401 || answer.status === 403) throw new NotLetIn(message);
  throw new Refused(answer.status, message, Number(told?.retry_after_ms) || 1_000);
}

function within(signal) {
  const patience = AbortSignal.timeout(PATIENCE);
  return signal ? AbortSignal.any([signal, patience]) : patience;
}

async function read(answer, how) {
  try {
    return await answer[how]();
  } catch {
    throw new Gone("The server's answer is cut off.");
  }
}

export async function ask(path, query = {}, signal) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const search = new URLSearchParams(given).toString();
  const answer = await request(search === "" ? path : `${path}?${search}`, { signal: within(signal) });
  return read(answer, "json");
}

// What Prometheus reads; nothing where nobody may.
export async function metrics() {
  try {
    return await read(await request("/metrics", { signal: within() }), "text");
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}

export const remove = (path) => request(path, { method: "DELETE", signal: within() });

// Tells each event of a connection's trace, until it ends.
export async function trace(connection, signal, told) {
  const answer = await request(`/debug/connections/${encodeURIComponent(connection)}/trace`, { signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (text + value).split("\n\n");
      text = events.pop();
      for (const event of events) if (event.startsWith("data: ")) told(JSON.parse(event.slice(6)));
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Gone("The trace was cut off.");
  }
}
