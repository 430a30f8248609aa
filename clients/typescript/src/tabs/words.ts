// What tabs say to one another. The other side may be a page of another day: what is no word is not heard.
import { isObject } from "../wire/json.ts";
import { object, type Read } from "../wire/read.ts";

/** What each kind of word has. A hub is one connection that is shared: a later one has a larger number. */
interface Words {
  /** A tab wants to be part of it, or to know whether anybody leads. */
  readonly open: { readonly tab: string };
  /** A tab says this to the server. */
  readonly say: { readonly hub: number; readonly tab: string; readonly line: string };
  /** A tab wants no more of it. */
  readonly close: { readonly tab: string; readonly code: number };
  /** "I lead, and to the server we are this session." */
  readonly lead: { readonly hub: number; readonly session: string };
  /** The server says this to these tabs. */
  readonly tell: { readonly hub: number; readonly tabs: readonly string[]; readonly line: string };
  /** The connection has ended. */
  readonly over: {
    readonly hub: number;
    readonly code: number;
    readonly reason: string;
    readonly after: number | null;
  };
}

/** One word. */
export type Word = { [Kind in keyof Words]: { readonly kind: Kind } & Words[Kind] }[keyof Words];

const SHAPES: ReadonlyMap<string, Read<object>> = new Map([
  ["open", object("tab")],
  ["say", object("hub:n tab line")],
  ["close", object("tab code:n")],
  ["lead", object("hub:n session")],
  ["tell", object("hub:n tabs:texts line")],
  ["over", object("hub:n code:n reason after:n?")],
]);

/** Reads a word; `null` if it is none. */
export function wordOf(said: unknown): Word | null {
  const kind = isObject(said) ? said["kind"] : null;
  const read = typeof kind === "string" ? SHAPES.get(kind) : undefined;
  if (!read) return null;
  try {
    // The shape of a kind reads just what that kind has.
    return { kind, ...read(said, "word") } as Word;
  } catch {
    return null;
  }
}
