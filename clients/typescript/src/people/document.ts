// A user's own document: shown as it was changed at once, and as it was before if the server does not take that.
import type { Client, Json, Release } from "../api.ts";
import { type Changing, createEmitter } from "../emitter.ts";
import { PresenceError } from "../errors.ts";

/** How often `update` begins anew when others change the document at the same time. */
const TRIES = 5;

/** A document at one moment. */
export interface DocumentSnapshot {
  /** `null` while it is not known, and if there is none. */
  readonly value: Json;
  readonly status: "unknown" | "saving" | "saved" | "failed";
  /** Why the last change was not taken. */
  readonly error: PresenceError | null;
}

/** A JSON document of this user's own, which outlives connections. */
export interface Document {
  /** The same object until something changes. */
  readonly snapshot: DocumentSnapshot;
  readonly subscribe: (listener: () => void) => Release;
  /** Reads it from the server. `null` if there is none. */
  readonly load: () => Promise<Json>;
  /** Replaces it, unless somebody else has changed it since it was loaded: then it is shown as they have it. */
  readonly set: (value: Json) => Promise<void>;
  /** Makes it out of what it is, also if that has changed meanwhile. */
  readonly update: (change: (value: Json) => Json) => Promise<void>;
  readonly remove: () => Promise<void>;
}

/** A document at a path of the server's. */
export function createDocument(client: Client, path: () => string): Document {
  const { on, emit } = createEmitter<Changing>((call) => call());
  let snapshot: DocumentSnapshot = { value: null, status: "unknown", error: null };
  /** As the server has it: `revision` is `null` if there is none. */
  let kept: { readonly value: Json; readonly revision: string | null } | null = null;
  /** Changes one after the other: each is about the outcome of the one before. */
  let queue: Promise<unknown> = Promise.resolve();

  const show = (next: DocumentSnapshot): void => {
    snapshot = Object.freeze(next);
    emit("change", undefined);
  };

  const read = async (): Promise<Json> => {
    const answer = await client.request("GET", path()).catch((error: unknown) => {
      if (error instanceof PresenceError && error.status === 404) return { body: null, etag: null };
      throw error;
    });
    kept = { value: answer.body, revision: answer.etag };
    return kept.value;
  };

  const write = async (value: Json | undefined): Promise<void> => {
    const revision = kept?.revision ?? null;
    // What is not there need not go.
    if (value === undefined && revision === null) return;
    const headers = new Map([revision === null ? ["If-None-Match", "*"] : ["If-Match", revision]] as const);
    const method = value === undefined ? "DELETE" : "PUT";
    const { etag } = await client.request(method, path(), { headers, ...(value !== undefined && { body: value }) });
    kept = { value: value ?? null, revision: value === undefined ? null : etag };
  };

  const isStale = (error: unknown): boolean => error instanceof PresenceError && error.status === 412;

  const save = async (change: (value: Json) => Json | undefined, tries: number): Promise<void> => {
    if (!kept) await read();
    const value = change(kept?.value ?? null);
    show({ value: value ?? null, status: "saving", error: null });
    try {
      await write(value);
    } catch (error) {
      if (isStale(error)) await read();
      if (isStale(error) && tries > 1) return save(change, tries - 1);
      throw error;
    }
  };

  const queued = (change: (value: Json) => Json | undefined, tries: number): Promise<void> => {
    const done = queue.then(async () => {
      try {
        await save(change, tries);
        show({ value: kept?.value ?? null, status: "saved", error: null });
      } catch (cause) {
        const error = cause instanceof PresenceError ? cause : new PresenceError("unknown", String(cause), { cause });
        // What was shown in advance was not taken: it is as it was, or as others have made it.
        show({ value: kept?.value ?? null, status: "failed", error });
        throw error;
      }
    });
    queue = done.catch(() => {});
    return done;
  };

  return {
    get snapshot() {
      return snapshot;
    },
    subscribe: (listener) => on("change", listener),
    load() {
      const done = queue.then(async () => {
        const value = await read();
        show({ value, status: "saved", error: null });
        return value;
      });
      queue = done.catch(() => {});
      return done;
    },
    set(value) {
      if (snapshot.status !== "saving") show({ value, status: "saving", error: null });
      return queued(() => value, 1);
    },
    update: (change) => queued(change, TRIES),
    remove: () => queued(() => undefined, 1),
  };
}
