// Requests to the server's HTTP interface, with the client's credentials.
import type { Env, HttpAnswer, RequestOptions } from "./api.ts";
import { PresenceError } from "./errors.ts";
import type { Credentials } from "./link/credentials.ts";
import { readHttpError } from "./wire/errors.ts";
import { json } from "./wire/fields.ts";

/** Makes one request; `userId` says for whom where nobody proves anything. */
export async function request(
  env: Env,
  base: string,
  credentials: Credentials,
  userId: string | null,
  method: string,
  path: string,
  options: RequestOptions = {},
): Promise<HttpAnswer> {
  const signal = options.signal ?? new AbortController().signal;
  const token = await credentials.get("request", signal);
  const url = new URL(base + path);
  if (token === null && userId !== null) url.searchParams.set("user_id", userId);
  const headers = new Headers([...(options.headers ?? [])]);
  if (token !== null) headers.set("authorization", `Bearer ${token}`);
  if (options.body !== undefined) headers.set("content-type", "application/json");
  const body = options.body === undefined ? {} : { body: JSON.stringify(options.body) };
  let answer: Response;
  try {
    answer = await env.fetch(url, { method, headers, signal, ...body });
  } catch (cause) {
    throw new PresenceError("connection", "the server could not be reached", { cause });
  }
  const said: unknown = await answer.json().catch(() => null);
  if (!answer.ok) throw readHttpError(said, answer.status, answer.headers.get("retry-after"));
  return { status: answer.status, etag: answer.headers.get("etag"), body: json(said) };
}
