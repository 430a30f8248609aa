// Requests to the server's HTTP interface, with the client's credentials.
import type { Env, HttpAnswer, RequestOptions } from "./api.ts";
import { type ErrorCode, PresenceError } from "./errors.ts";
import { isObject, json } from "./wire/json.ts";
import { readError } from "./wire/parse.ts";

/** What a request needs of its client. */
export interface Requester {
  readonly env: Env;
  readonly base: string;
  /** A good token; `null` if nobody proves anything. */
  readonly token: (signal: AbortSignal) => Promise<string | null>;
  /** For whom it is, where nobody proves anything. */
  readonly userId: string | null;
}

/** What went wrong with a request, whatever its answer's body is. */
export async function httpError(answer: Response): Promise<PresenceError> {
  const { status } = answer;
  const body: unknown = await answer.json().catch(() => null);
  const inner = isObject(body) ? body["error"] : null;
  const said = isObject(inner) && typeof inner["code"] === "string" ? readError(inner, status) : null;
  // The server calls it a conflict, as it does much else.
  const code: ErrorCode | undefined = status === 412 ? "precondition_failed" : said?.code;
  const seconds = Number(answer.headers.get("retry-after"));
  const details = said ?? { status, retryAfter: seconds * 1000 || null };
  const message = said?.message ?? `the server answered with ${status}`;
  return new PresenceError(code ?? (status === 401 ? "unauthorized" : "unknown"), message, details);
}

/** Makes one request. */
export async function request(
  { env, base, token: tokenFor, userId }: Requester,
  method: string,
  path: string,
  { body, headers: more, signal = new AbortController().signal }: RequestOptions = {},
): Promise<HttpAnswer> {
  const token = await tokenFor(signal);
  let url = base + path;
  const headers = new Headers([...(more ?? [])]);
  if (token !== null) headers.set("authorization", `Bearer ${token}`);
  else if (userId !== null) url += `${path.includes("?") ? "&" : "?"}user_id=${encodeURIComponent(userId)}`;
  if (body !== undefined) headers.set("content-type", "application/json");
  const how = { method, headers, signal, ...(body !== undefined && { body: JSON.stringify(body) }) };
  const answer = await env.fetch(url, how).catch((cause: unknown) => {
    throw new PresenceError("connection", "the server could not be reached", { cause });
  });
  if (!answer.ok) throw await httpError(answer);
  const said: unknown = await answer.json().catch(() => null);
  return { status: answer.status, etag: answer.headers.get("etag"), body: json(said) };
}
