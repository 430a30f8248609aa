// The one event stream that the tabs of a browser share, in the tab that leads: what comes down it goes to whose it is.
import type { Env, Release } from "../api.ts";
import { eventReader } from "../link/events.ts";
import { jsonOf } from "../wire/parse.ts";

/** How long a connection may be nobody's: its tab was closed while it opened. */
const UNCLAIMED = 10_000;

/** What a carrier needs of the tab that it is in, and tells it. */
export interface CarrierHost {
  readonly env: Env;
  /** Asks the server for something, as this user. */
  readonly call: (path: string, more: RequestInit) => Promise<Response>;
  /** What the URL of a connection says. */
  readonly query: string;
  /** The stream is open, and called this. */
  readonly named: (stream: string) => void;
  readonly refused: (answer: Response) => void;
  readonly ended: (cause?: unknown) => void;
}

export interface Carrier {
  /** Whose a connection is: all that comes of it, and has come, is told there. */
  readonly claim: (connection: string, tell: (data: string) => void) => void;
  /** Ends one connection. */
  readonly end: (connection: string) => void;
  /** Ends the stream, and with it all connections. */
  readonly close: Release;
}

export function openCarrier({ env, call, query, named, refused, ended }: CarrierHost): Carrier {
  const abort = new AbortController();
  const { signal } = abort;
  const known = new Map<string, (data: string) => void>();
  /** What has come of connections of which it is not known whose they are. */
  const strays = new Map<string, { readonly lines: string[]; readonly stop: Release }>();

  const end = (connection: string): void => {
    known.delete(connection);
    // If it cannot be ended now, the server finds out that nobody answers.
    call(`/sse/${connection}`, { method: "DELETE", keepalive: true }).catch(() => {});
  };

  const keep = (connection: string, data: string): void => {
    const stray = strays.get(connection);
    if (stray) return void stray.lines.push(data);
    const stop = env.after(UNCLAIMED, () => {
      strays.delete(connection);
      end(connection);
    });
    strays.set(connection, { lines: [data], stop });
  };

  const listen = async (): Promise<void> => {
    const answer = await call(`/sse/shared?${query}`, { signal });
    if (!answer.ok || !answer.body) return refused(answer);
    const read = eventReader((data, connection) => {
      const tell = known.get(connection);
      if (signal.aborted) return;
      if (tell) tell(data);
      else if (connection) keep(connection, data);
      else named(String(jsonOf(data)["shared_id"]));
    });
    const decoder = new TextDecoder();
    const reader = answer.body.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return ended();
      read(decoder.decode(value, { stream: true }));
    }
  };

  listen().catch((cause: unknown) => signal.aborted || ended(cause));
  return {
    claim(connection, tell) {
      known.set(connection, tell);
      const stray = strays.get(connection);
      strays.delete(connection);
      stray?.stop();
      stray?.lines.forEach(tell);
    },
    end,
    close() {
      abort.abort();
      for (const { stop } of strays.values()) stop();
    },
  };
}
