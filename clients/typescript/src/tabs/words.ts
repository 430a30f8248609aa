// What tabs say to one another. The other side may be a page of another day: what is no word is not heard.
import { isObject } from "../wire/json.ts";
import { object, type Read } from "../wire/read.ts";

/** What each kind of word has. */
interface Words {
  /** "Who leads?" */
  readonly ask: { readonly port: string };
  /** "I lead, and this is the stream." Who leads later has a larger `term`. */
  readonly lead: { readonly term: number; readonly stream: string };
  /** "This connection on the stream is mine." */
  readonly here: { readonly stream: string; readonly port: string; readonly connection: string };
  /** The server says this, to one tab alone. */
  readonly tell: { readonly stream: string; readonly data: string };
  /** The stream has ended, and the server had said this of coming back. */
  readonly over: { readonly stream: string; readonly data: string | null };
}

/** One word. */
export type Word = { [Kind in keyof Words]: { readonly kind: Kind } & Words[Kind] }[keyof Words];

const SHAPES: ReadonlyMap<string, Read<object>> = new Map([
  ["ask", object("port")],
  ["lead", object("term:n stream")],
  ["here", object("stream port connection")],
  ["tell", object("stream data")],
  ["over", object("stream data?")],
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
