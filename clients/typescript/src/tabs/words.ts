// What tabs say to one another. The other side may be a page of another day: what is no word is not heard.
import { field, isObject, list, number, object, or, type Shape, text } from "../wire/fields.ts";

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

const SHAPES: { readonly [Kind in keyof Words]: Shape<Words[Kind]> } = {
  open: { tab: text },
  say: { hub: number, tab: text, line: text },
  close: { tab: text, code: number },
  lead: { hub: number, session: text },
  tell: { hub: number, tabs: list(text), line: text },
  over: { hub: number, code: number, reason: text, after: or(number, null) },
};

/** Reads a word; `null` if it is none. */
export function wordOf(said: unknown): Word | null {
  const kind = isObject(said) ? field(said, "kind") : null;
  const shape = typeof kind === "string" ? field(SHAPES, kind) : null;
  if (!isObject(shape)) return null;
  try {
    // The shape of a kind reads just what that kind has.
    return { kind, ...object<object>(shape)(said, "word") } as Word;
  } catch {
    return null;
  }
}
