// The way to a server over Server-Sent Events: they come down a stream, and what is said is posted.
import type { Dial, JsonObject, Transport, TransportEvents } from "../api.ts";
import { readHttpError } from "../wire/errors.ts";
import { field, isObject } from "../wire/fields.ts";
import { eventReader } from "./events.ts";

/** As many messages as one post takes, with room to spare below the server's limit for a body. */
const BATCH_MESSAGES = 100;
const BATCH_CHARS = 60_000;

/** After how long a post that was too much is made again, if the server does not say. */
const POST_AGAIN = 1_000;

/** Opens an event stream by `fetch`: unlike `EventSource` it can send the token in a header. */
export function openStream(dial: Dial, events: TransportEvents): Transport {
  const abort = new AbortController();
  let token = dial.token;
  let connection: string | null = null;
  let waiting: JsonObject[] = [];
  let posting = false;
  let over = false;

  const end = (code: number, reason: string, retryAfter?: number): void => {
    if (over) return;
    over = true;
    abort.abort();
    events.closed(code, reason, retryAfter);
  };
  const headers = (): Record<string, string> => (token === null ? {} : { authorization: `Bearer ${token}` });

  const take = (data: string): void => {
    if (over) return;
    if (connection === null) connection = connectionOf(data);
    events.message(data);
    void post();
  };

  const listen = async (): Promise<void> => {
    const url = `${dial.base}/sse?${dial.query}`;
    const answer = await dial.fetch(url, { headers: headers(), signal: abort.signal, cache: "no-store" });
    if (!answer.ok || !answer.body) {
      const error = await errorOf(answer);
      end(answer.status === 401 || answer.status === 403 ? 4501 : 1006, error.message, error.retryAfter ?? undefined);
      return;
    }
    const read = eventReader(take);
    const decoder = new TextDecoder();
    const reader = answer.body.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      read(decoder.decode(value, { stream: true }));
    }
    end(1006, "the stream has ended");
  };

  // One post at a time keeps what is said in order.
  const post = async (): Promise<void> => {
    if (posting || connection === null) return;
    posting = true;
    try {
      for (let most = BATCH_MESSAGES; waiting.length > 0; ) {
        const batch = batchOf(waiting, most);
        const answer = await dial.fetch(`${dial.base}/sse/${connection}`, {
          method: "POST",
          headers: { ...headers(), "content-type": "application/json" },
          body: JSON.stringify(batch),
          // What is said while the page goes still arrives.
          keepalive: over,
        });
        if (answer.ok) {
          waiting = waiting.slice(batch.length);
          most = BATCH_MESSAGES;
        } else if (answer.status === 429) {
          const error = await errorOf(answer);
          await new Promise((resolve) => setTimeout(resolve, error.retryAfter ?? POST_AGAIN));
        } else if ((answer.status === 413 || answer.status === 400) && batch.length > 1) {
          most = 1;
        } else if (answer.status === 413 || answer.status === 400) {
          waiting = waiting.slice(1);
          refuse(batch[0], await answer.json());
        } else {
          end(1006, "the server does not know this stream any more");
          return;
        }
        if (over && waiting.length === 0) abort.abort();
      }
    } catch {
      end(1006, "what was said could not be posted");
    } finally {
      posting = false;
    }
  };

  /** A post that holds one message is the message's answer, as it would have come down the stream. */
  const refuse = (message: JsonObject | undefined, body: unknown): void => {
    const error = isObject(body) ? field(body, "error") : null;
    if (isObject(error)) events.message(JSON.stringify({ ...error, type: "error", ref: message?.ref }));
  };

  listen().catch((cause: unknown) => end(1006, String(cause)));
  return {
    send(message) {
      waiting.push(message);
      void post();
    },
    renew(next) {
      token = next;
    },
    close(code) {
      over = true;
      // A good-bye still has to be posted; anything else ends with the stream.
      if (code !== 1000 || (waiting.length === 0 && !posting)) abort.abort();
    },
  };
}

/** The beginning of what waits that fits into one post: at least one message. */
function batchOf(waiting: readonly JsonObject[], most: number): readonly JsonObject[] {
  let chars = 0;
  const fits = (message: JsonObject, index: number): boolean => {
    chars += JSON.stringify(message).length;
    return index >= most || (index > 0 && chars > BATCH_CHARS);
  };
  const end = waiting.findIndex(fits);
  return end < 0 ? waiting.slice() : waiting.slice(0, end);
}

/** The connection's name, which is in the first message. */
function connectionOf(data: string): string | null {
  try {
    const message: unknown = JSON.parse(data);
    const id = isObject(message) ? field(message, "connection_id") : null;
    return typeof id === "string" ? id : null;
  } catch {
    return null;
  }
}

async function errorOf(answer: Response): Promise<ReturnType<typeof readHttpError>> {
  const body: unknown = await answer.json().catch(() => null);
  return readHttpError(body, answer.status, answer.headers.get("retry-after"));
}
