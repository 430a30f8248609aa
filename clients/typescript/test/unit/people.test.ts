// What lasts of people, over HTTP: paths, parsing, and documents that are shown before they are saved.
import { beforeEach, describe, expect, it } from "vitest";
import { type Client, createClient } from "../../src/index.ts";
import { createPeople, type People } from "../../src/people.ts";
import { asAnn, connected, createWorld, type World } from "./world.ts";

interface Call {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body: unknown;
}

let world: World;
let calls: Call[];
let answer: (call: Call) => Response;
let client: Client;
let people: People;

beforeEach(async () => {
  world = createWorld();
  world.onDial = (wire) => wire.say(connected());
  calls = [];
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const body: unknown = typeof init.body === "string" ? JSON.parse(init.body) : undefined;
    const call = { method: init.method ?? "GET", url, headers: new Headers(init.headers), body };
    calls.push(call);
    return answer(call);
  };
  client = createClient({ ...asAnn, env: { ...world.env, fetch: fetch as typeof globalThis.fetch } });
  client.connect();
  people = createPeople(client);
  await world.pass();
});

const ANN = {
  id: "ann",
  username: "Ann 💡",
  name: "Ann 💡",
  color: null,
  avatar: null,
  status: "online",
  last_online: 5,
};

describe("people", () => {
  it("are asked for by name, in the name of this user", async () => {
    answer = () => Response.json(ANN);
    expect(await people.person("a/b?")).toMatchObject({ id: "ann", username: "Ann 💡", lastOnline: 5 });
    expect(calls[0]?.url).toBe("https://rt.example.org/v1/users/a%2Fb%3F?user_id=ann");
    await people.rename("Ann 💡");
    expect(calls[1]).toMatchObject({ method: "PUT", body: { username: "Ann 💡" } });
    answer = () => Response.json({ users: [ANN] });
    expect(await people.persons(["ann", "x,y"])).toHaveLength(1);
    expect(calls[2]?.url).toContain("?ids=ann,x%2Cy");
  });

  it("are invited, and say yes or no", async () => {
    answer = () => Response.json({ room: "r", user_id: "bob", invited_by: "ann", created_at: 1 }, { status: 201 });
    expect(await people.invite("r", "bob")).toEqual({ room: "r", userId: "bob", invitedBy: "ann", createdAt: 1 });
    await people.accept("r");
    expect(calls[1]).toMatchObject({ method: "PUT", body: { action: "accept" } });
    expect(calls[1]?.url).toContain("/v1/rooms/r/invites/ann");
  });

  it("tell what went wrong by its code", async () => {
    answer = () => Response.json({ error: { code: "conflict", message: "invited already" } }, { status: 409 });
    await expect(people.invite("r", "bob")).rejects.toMatchObject({ code: "conflict", status: 409 });
    answer = () => new Response("<html>", { status: 502 });
    await expect(people.members("r")).rejects.toMatchObject({ code: "unknown", status: 502 });
    answer = () => Response.json({ members: [{ user_id: 7 }] });
    await expect(people.members("r")).rejects.toMatchObject({ code: "bad_answer" });
  });

  it("have said things before", async () => {
    const stored = {
      id: "m",
      room: "r",
      seq: 3,
      user_id: "bob",
      user_name: "Bob",
      snapshot: { text: "hi" },
      timestamp: 9,
    };
    answer = () => Response.json({ messages: [stored], more: true });
    expect(await people.history("r", { after: 2, limit: 1 })).toMatchObject({
      more: true,
      messages: [{ data: { text: "hi" }, own: false, delivery: { state: "stored", seq: 3 } }],
    });
  });
});

/** A server's document, with a revision that grows. */
function keeper(): { value: unknown; revision: number } {
  const kept: { value: unknown; revision: number } = { value: undefined, revision: 0 };
  answer = ({ method, headers, body }) => {
    const tag = `"${kept.revision}"`;
    if (method === "GET") {
      return kept.value === undefined
        ? Response.json({ error: { code: "not_found", message: "none" } }, { status: 404 })
        : Response.json(kept.value, { headers: { etag: tag } });
    }
    const [match, none] = [headers.get("if-match"), headers.get("if-none-match")];
    if ((match !== null && match !== tag) || (none === "*" && kept.value !== undefined))
      return Response.json({ error: { code: "conflict", message: "another revision" } }, { status: 412 });
    kept.value = method === "DELETE" ? undefined : body;
    kept.revision += 1;
    return new Response(null, { status: 204, headers: { etag: `"${kept.revision}"` } });
  };
  return kept;
}

describe("documents", () => {
  it("are shown as changed at once, and saved in order", async () => {
    const kept = keeper();
    const document = people.document("settings");
    expect(people.document("settings")).toBe(document);
    const [one, two] = [document.set({ n: 1 }), document.update((value) => ({ ...(value as object), m: 2 }))];
    expect(document.snapshot).toMatchObject({ value: { n: 1 }, status: "saving" });
    await Promise.all([one, two]);
    expect(kept.value).toEqual({ n: 1, m: 2 });
    expect(document.snapshot).toMatchObject({ value: { n: 1, m: 2 }, status: "saved", error: null });
    await document.remove();
    expect(kept.value).toBeUndefined();
    await document.remove();
  });

  it("are shown as others have made them if a change comes too late", async () => {
    const kept = keeper();
    const document = people.document("settings");
    await document.set({ n: 1 });
    kept.value = { theirs: true };
    kept.revision += 1;
    await expect(document.set({ n: 2 })).rejects.toMatchObject({ status: 412, code: "precondition_failed" });
    expect(document.snapshot).toMatchObject({ value: { theirs: true }, status: "failed" });
  });

  it("can be changed whatever others do meanwhile", async () => {
    const kept = keeper();
    const document = people.document("counter");
    await document.set(1);
    kept.value = 10;
    kept.revision += 1;
    await document.update((value) => Number(value) + 1);
    expect(kept.value).toBe(11);
  });

  it("are as before if the server is not there", async () => {
    keeper();
    const document = people.document("settings");
    await document.set("old");
    answer = () => {
      throw new Error("no network");
    };
    const change = document.set("new");
    await expect(change).rejects.toMatchObject({ code: "connection" });
    expect(document.snapshot).toMatchObject({ value: "old", status: "failed", error: { code: "connection" } });
  });
});
