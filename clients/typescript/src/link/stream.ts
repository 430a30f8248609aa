// The way to a server over Server-Sent Events: they come down a stream, and what is said is posted.
import type { Dial, JsonObject, Transport, TransportEvents } from "../api.ts";
import { httpError } from "../request.ts";
import { jsonOf } from "../wire/parse.ts";
import { eventReader } from "./events.ts";

/** As many messages as one post takes. */
const BATCH = 100;

/** After how long a post that was too much is made again, if the server does not say. */
const POST_AGAIN = 1_000;

/** Opens an event stream by `fetch`: unlike `EventSource` it can send the token in a header. */
export function create(dial: Dial, events: TransportEvents): Transport {
  const abort = new AbortController();
  let token = dial.token;
  let connection: unknown;
  let waiting: readonly JsonObject[] = [];
  let isPosting = false;
  let isOver = false;

  const end = (code: number, reason: string, retryAfter?: number | null): void => {
    if (isOver) return;
    isOver = true;
    abort.abort();
    events.closed(code, reason, retryAfter ?? undefined);
  };
  const call = (path: string, more: RequestInit): Promise<Response> => {
    const headers = new Headers(more.headers);
    if (token !== null) headers.set("authorization", `Bearer ${token}`);
    return dial.fetch(dial.base + path, { cache: "no-store", ...more, headers });
  };

  const listen = async (): Promise<void> => {
    const answer = await call(`/sse?${dial.query}`, { signal: abort.signal });
    if (!answer.ok || !answer.body) {
      const { message, retryAfter } = await httpError(answer);
      return end(answer.status === 401 || answer.status === 403 ? 4501 : 1006, message, retryAfter);
    }
    const read = eventReader((data) => {
      if (isOver) return;
      // The first message has the connection's name, to post to.
      connection ??= jsonOf(data)["connection_id"];
      events.message(data);
      void post();
    });
    const decoder = new TextDecoder();
    const reader = answer.body.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return end(1006, "the stream has ended");
      read(decoder.decode(value, { stream: true }));
    }
  };

  /** One post at a time keeps what is said in order. */
  const post = async (): Promise<void> => {
    if (isPosting || connection === undefined) return;
    isPosting = true;
    try {
      for (let most = BATCH; waiting.length > 0; ) most = await postSome(waiting.slice(0, most));
      // A good-bye is out: that was all.
      if (isOver) abort.abort();
    } catch (cause) {
      end(1006, String(cause));
    }
    isPosting = false;
  };

  /** Posts these, and says how many the next post may have. */
  const postSome = async (batch: readonly JsonObject[]): Promise<number> => {
    const headers = { "content-type": "application/json" };
    // What is said while the page goes still arrives.
    const answer = await call(`/sse/${connection}`, {
      method: "POST",
      headers,
      body: JSON.stringify(batch),
      keepalive: isOver,
    });
    const error = answer.ok ? null : await httpError(answer);
    if (error === null) {
      waiting = waiting.slice(batch.length);
    } else if (answer.status === 429) {
      await new Promise((resolve) => setTimeout(resolve, error.retryAfter ?? POST_AGAIN));
    } else if (answer.status !== 413 && answer.status !== 400) {
      throw error;
    } else if (batch.length === 1) {
      // It is the message's own answer, as it would have come down the stream.
      const { code, message } = error;
      events.message(JSON.stringify({ type: "error", code, message, ref: batch[0]?.ref }));
      waiting = waiting.slice(1);
    } else {
      return 1;
    }
    return BATCH;
  };

  listen().catch((cause: unknown) => end(1006, String(cause)));
  return {
    send(message) {
      waiting = [...waiting, message];
      void post();
    },
    renew(next) {
      token = next;
    },
    close(code) {
      isOver = true;
      // A good-bye still has to be posted; anything else ends with the stream.
      if (code !== 1000 || waiting.length === 0) abort.abort();
    },
  };
}
