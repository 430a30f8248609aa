// A browser for tests: tabs that open, close and freeze, with locks and channels between them, in a world's time.
import type { Env, PageEvent, Release } from "../../../src/api.ts";
import { create as openStream } from "../../../src/link/stream.ts";
import type { Channel, Hold, Outside } from "../../../src/tabs.ts";
import type { World } from "../world.ts";

export interface Tab {
  readonly number: number;
  readonly env: Env;
  readonly outside: Outside;
  readonly isFrozen: () => boolean;
  /** Shows or hides its page. */
  readonly look: (event: "visible" | "hidden") => void;
  /** Nothing happens in it, until it thaws and all happens that was due. */
  readonly freeze: () => void;
  readonly thaw: () => void;
  /** As the browser does it: nobody in it hears of that. */
  readonly close: () => void;
}

export interface Browser {
  readonly open: () => Tab;
  /** The names that are held. */
  readonly held: () => readonly string[];
}

interface Request {
  readonly tab: object;
  readonly held: () => void;
  readonly lost: () => void;
}

export function createBrowser(world: World, fetch: typeof globalThis.fetch): Browser {
  /** Who holds a name, and who waits for it. The first one has it. */
  const locks = new Map<string, Request[]>();
  const channels = new Map<string, Set<{ readonly hear: (word: unknown) => void }>>();
  let tabs = 0;

  const drop = (name: string, request: Request): void => {
    const queue = locks.get(name) ?? [];
    const place = queue.indexOf(request);
    if (place < 0) return;
    queue.splice(place, 1);
    if (place === 0) queue[0]?.held();
    if (queue.length === 0) locks.delete(name);
  };

  const open = (): Tab => {
    tabs += 1;
    const number = tabs;
    const tab = {};
    const own = new Map<Request, string>();
    const requests = new Set<AbortController>();
    const timers = new Set<Release>();
    const listeners = new Set<(event: PageEvent) => void>();
    let isVisible = true;
    let state: "runs" | "frozen" | "closed" = "runs";
    let due: (() => void)[] = [];

    /** Something happens in this tab: now, or when it thaws. */
    const happen = (what: () => void): void => {
      if (state === "frozen") due.push(what);
      else if (state === "runs") what();
    };
    const soon = (what: () => void): void => queueMicrotask(() => happen(what));

    const hold: Hold = (name, { signal, steal = false, held, lost }) => {
      let isOver = false;
      const request: Request = {
        tab,
        held: () => soon(() => isOver || held()),
        lost: () => soon(() => isOver || lost()),
      };
      signal.addEventListener("abort", () => {
        isOver = true;
        own.delete(request);
        drop(name, request);
      });
      if (signal.aborted) return;
      own.set(request, name);
      const queue = locks.get(name) ?? [];
      locks.set(name, queue);
      if (steal) {
        const robbed = queue.shift();
        queue.unshift(request);
        robbed?.lost();
      } else queue.push(request);
      if (queue[0] === request) request.held();
    };

    const channel = (name: string, heard: (word: unknown) => void): Channel => {
      const members = channels.get(name) ?? new Set();
      channels.set(name, members);
      const member = { hear: (word: unknown): void => soon(() => members.has(member) && heard(word)) };
      members.add(member);
      return {
        say(word) {
          for (const one of members) if (one !== member) one.hear(structuredClone(word));
        },
        close: () => void members.delete(member),
      };
    };

    const after = (milliseconds: number, callback: () => void): Release => {
      let isOver = false;
      const stop = world.env.after(milliseconds, () => {
        timers.delete(stop);
        happen(() => isOver || callback());
      });
      timers.add(stop);
      return () => {
        isOver = true;
        timers.delete(stop);
        stop();
      };
    };

    /** What comes of requests comes when the tab runs; and with the tab its requests end. */
    const get: typeof globalThis.fetch = async (url, init = {}) => {
      const abort = new AbortController();
      if (!init.keepalive) requests.add(abort);
      init.signal?.addEventListener("abort", () => abort.abort(init.signal?.reason));
      const whenAwake = (): Promise<void> => new Promise((done) => happen(done));
      const answer = await fetch(url, { ...init, signal: abort.signal });
      await whenAwake();
      if (!answer.body) return answer;
      const transform = async (piece: Uint8Array, out: TransformStreamDefaultController<Uint8Array>): Promise<void> => {
        await whenAwake();
        out.enqueue(piece);
      };
      return new Response(answer.body.pipeThrough(new TransformStream({ transform })), answer);
    };

    return {
      number,
      env: {
        ...world.env,
        after,
        page: {
          online: () => true,
          visible: () => isVisible,
          subscribe(listener) {
            listeners.add(listener);
            return () => {
              listeners.delete(listener);
            };
          },
        },
        fetch: get,
        transports: new Map([...world.env.transports, ["sse", openStream]]),
      },
      outside: { hold, open: channel },
      isFrozen: () => state === "frozen",
      look(event) {
        isVisible = event === "visible";
        for (const listener of [...listeners]) listener(event);
      },
      freeze() {
        state = "frozen";
      },
      thaw() {
        state = "runs";
        const waiting = due;
        due = [];
        for (const what of waiting) happen(what);
      },
      close() {
        state = "closed";
        due = [];
        for (const stop of timers) stop();
        for (const request of requests) request.abort();
        for (const [request, name] of own) drop(name, request);
      },
    };
  };

  return { open, held: () => [...locks.keys()] };
}
