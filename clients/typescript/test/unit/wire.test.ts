// The server's messages are parsed as its own golden files have them, and nothing else passes.
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readListed, readStatuses } from "../../src/directory.ts";
import { PresenceError } from "../../src/index.ts";
import { type News, readNews } from "../../src/messages/news.ts";
import { digestOf, fnv1a } from "../../src/room/digest.ts";
import { readWindow } from "../../src/windows.ts";
import { json, same } from "../../src/wire/json.ts";
import { parse as parseCore } from "../../src/wire/parse.ts";

const GOLDEN = resolve(import.meta.dirname, "../../../../presence-core/tests/golden");
const golden = new Map(
  readdirSync(GOLDEN).map((file) => [file.replace(".json", ""), readFileSync(`${GOLDEN}/${file}`, "utf8")] as const),
);
/** Answers over HTTP, which have no type. */
const BODIES = new Set(["room_presence"]);
/** What only those read who have asked for it. */
const ELSEWHERE = new Map([
  ["user_status", readStatuses],
  ["online_users", readListed],
]);
/** What only those read who watch a window. */
const WINDOWS = ["window", "window_totals"];
/** What this client leaves aside: it takes rooms as they are told. */
const LEFT_ASIDE = new Set(WINDOWS);
const messages = [...golden].filter(([name]) => !BODIES.has(name));
const read = messages.filter(([name]) => !LEFT_ASIDE.has(name));

/** What a line says to a client that has loaded all of its parts. */
function parse(line: string): ReturnType<typeof parseCore> | (News & { readonly ref: unknown }) {
  const message = parseCore(line);
  const news = message.type === "unknown" ? readNews(message.message) : null;
  return news ? { ...news, ref: message.ref } : message;
}

describe("the server's golden files", () => {
  it.each([...ELSEWHERE])("%s is known to whoever has asked", (name, read) => {
    const { users } = JSON.parse(golden.get(name) ?? "");
    expect(read(users, "users")).toMatchSnapshot();
  });

  it.each(WINDOWS)("%s is known to whoever watches one", (name) => {
    expect(readWindow(JSON.parse(golden.get(name) ?? ""), name)).toMatchSnapshot();
  });

  it.each(read.filter(([name]) => !ELSEWHERE.has(name)))("%s is known", (_, line) => {
    expect(parse(line).type).not.toBe("unknown");
    expect(parse(line)).toMatchSnapshot();
  });

  it.each([...LEFT_ASIDE])("%s is left aside", (name) => {
    expect(parse(golden.get(name) ?? "").type).toBe("unknown");
  });

  it.each(messages)("%s without any one of its fields is refused or the same without it", (_, line) => {
    const message: { [name: string]: unknown } = JSON.parse(line);
    for (const name of Object.keys(message)) {
      const { [name]: __, ...rest } = message;
      try {
        parse(JSON.stringify(rest));
      } catch (error) {
        expect(error).toBeInstanceOf(PresenceError);
      }
      expect(() => parse(JSON.stringify({ ...message, unknown_field: { deep: [1] } }))).not.toThrow();
    }
  });
});

describe("parsing", () => {
  it("never throws anything but its own error, whatever comes", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.json(), fc.constantFrom(...messages.map(([, line]) => line))),
        fc.nat(),
        (line, cut) => {
          try {
            parse(cut % 3 === 0 ? line : line.slice(0, cut % (line.length + 1)));
          } catch (error) {
            expect(error).toBeInstanceOf(PresenceError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it("takes names that mean something to objects as any other", () => {
    const line = golden.get("current_users")?.replace('"tool"', '"__proto__"').replaceAll('"ann"', '"__proto__"') ?? "";
    const message = parse(line);
    if (message.type !== "presence:currentUsers") throw new Error("not a snapshot");
    const [first] = message.users;
    const state = first?.sessions[0]?.state ?? {};
    expect(Object.keys(state)).toEqual(["__proto__"]);
    expect(state["toString"]).toBeUndefined();
    expect(Object.getPrototypeOf(state)).toBeNull();
    expect(first?.id).toBe("__proto__");
    expect({}).not.toHaveProperty("kind");
  });

  it("leaves unknown types to whoever knows them", () => {
    expect(parse('{"type":"news","n":1}')).toMatchObject({ type: "unknown", message: { n: 1 } });
  });

  it("compares JSON by what it says", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        expect(same(json(a), json(JSON.parse(JSON.stringify(a))))).toBe(true);
        if (same(json(a), json(b)))
          expect(JSON.parse(JSON.stringify(json(a)))).toEqual(JSON.parse(JSON.stringify(json(b))));
      }),
    );
  });
});

describe("the digest", () => {
  it("is FNV-1a by its published vectors", () => {
    expect(fnv1a("")).toBe(0x811c9dc5);
    expect(fnv1a("a")).toBe(0xe40c292c);
    expect(fnv1a("foobar")).toBe(0xbf9cf968);
  });

  it("is the one that the server computes", () => {
    const message = parse(golden.get("current_users") ?? "");
    if (message.type !== "presence:currentUsers") throw new Error("not a snapshot");
    expect(digestOf(message.users)).toBe(message.digest);
  });
});
