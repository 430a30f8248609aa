// Parts of the client that not every page needs come when they are needed.
import { PresenceError } from "./errors.ts";
import type { Hub } from "./hub.ts";
import { backoff } from "./link/endings.ts";

/** A part that comes when it is needed. */
export interface Later<Part> {
  /** The part, if it is there. */
  readonly now: Part | undefined;
  /** Gives the part to `call`: at once if it is there, or when it has come. */
  readonly use: <Answer>(call: (part: Part) => Answer | Promise<Answer>) => Answer | Promise<Answer>;
}

/** Gets a file of the client's, or says that it does not come. */
export function fetched<File>(file: Promise<File>): Promise<File> {
  return file.catch((cause: unknown) => {
    throw new PresenceError("connection", "not loaded", { cause });
  });
}

/**
 * Gets a file of the client's, again and again if it does not come: the page's own server may be away, too. It is not
 * asked for without a connection, since to some browsers a file that did not come once is one that never comes; unless
 * there is a store, since what was kept is shown before there is a connection.
 */
async function load<File>(hub: Hub, get: () => Promise<File>, failed?: () => void): Promise<File> {
  const { env, emit, life, isOpen, on, options } = hub;
  for (let tries = 1; ; tries += 1) {
    await new Promise<unknown>((done) => (isOpen() || options.outboxStore ? done(null) : on("identity", done)));
    try {
      return await fetched(get());
    } catch (error) {
      if (error instanceof PresenceError) emit("error", error);
      failed?.();
      // A client that is spent waits for ever, and is forgotten.
      await new Promise<void>((done) => life.aborted || env.after(backoff(tries, env.random), done));
    }
  }
}

/** A part that its file makes for a client. */
export interface Maker<Part> {
  readonly create: (hub: Hub) => Part;
}

/** A part whose file is only asked for when somebody wants the part. */
export function later<Part>(hub: Hub, get: () => Promise<Maker<Part>>, failed?: () => void): Later<Part> {
  let part: Part | undefined;
  let coming: Promise<Part> | undefined;
  const come = async (): Promise<Part> => {
    const { create } = await load(hub, get, failed);
    part = create(hub);
    return part;
  };
  return {
    get now() {
      return part;
    },
    use(call) {
      if (part) return call(part);
      coming ??= come();
      return coming.then(call);
    },
  };
}
