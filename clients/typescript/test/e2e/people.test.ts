// What lasts of people, through a real server: invitations, names, who stands how, and documents.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  type Client,
  type ClientOptions,
  createClient,
  type InvitationAccepted,
  type TransportKind,
} from "../../src/index.ts";
import { createPeople, type People } from "../../src/people.ts";
import { type RealServer, realServer, until } from "./server.ts";

const clients: Client[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect({ permanent: true });
});

describe.each<TransportKind>(["ws", "sse"])("people, over %s", (transport) => {
  let server: RealServer;
  let round = 0;
  beforeAll(async () => {
    server = await realServer();
    await server.start();
  });
  afterAll(() => server.stop());

  const start = async (id: string): Promise<{ client: Client; people: People }> => {
    const client = createClient({ url: server.url, user: { id, name: id.toUpperCase() }, transport } as ClientOptions);
    clients.push(client);
    client.connect();
    await until(`${id} is live`, () => client.connection.snapshot.status === "live");
    return { client, people: createPeople(client) };
  };
  /** Names that no other test of this server has. */
  const names = (): { ann: string; bob: string; doc: string } => {
    round += 1;
    return { ann: `ann-${round}`, bob: `bob-${round}`, doc: `doc-${round}` };
  };

  it("are invited live, say yes, and the others hear of it", async () => {
    const { ann, bob, doc } = names();
    const [one, other] = [await start(ann), await start(bob)];
    await one.people.addMember(doc, ann);
    const invited: string[] = [];
    other.client.on("invitation", ({ room, invitedBy }) => invited.push(`${room} by ${invitedBy}`));
    const accepted: InvitationAccepted[] = [];
    one.client.on("accepted", (event) => accepted.push(event));
    await one.people.invite(doc, bob);
    await until("bob is invited", () => invited.length > 0);
    expect(invited).toEqual([`${doc} by ${ann}`]);
    expect(await other.people.invites()).toMatchObject([{ room: doc, userId: bob, invitedBy: ann }]);
    await other.people.accept(doc);
    await until("ann hears of it", () => accepted.length > 0);
    expect(accepted).toMatchObject([{ room: doc, userId: bob }]);
    expect((await one.people.members(doc)).map(({ userId }) => userId)).toEqual([ann, bob]);
    expect(await other.people.invites()).toEqual([]);
  });

  it("find an invitation that came while they were away, once", async () => {
    const { ann, bob, doc } = names();
    const one = await start(ann);
    await one.people.addMember(doc, ann);
    await one.people.invite(doc, bob);
    const come = async (): Promise<string[]> => {
      let going = 0;
      const counted = async (...call: Parameters<typeof fetch>): Promise<Response> => {
        going += 1;
        return fetch(...call).finally(() => {
          going -= 1;
        });
      };
      const env = { fetch: counted };
      const client = createClient({ url: server.url, user: { id: bob }, transport, env } as ClientOptions);
      const invited: string[] = [];
      client.on("invitation", ({ room }) => invited.push(room));
      client.connect();
      await until("bob is live", () => client.connection.snapshot.status === "live");
      await until("bob has heard", () => invited.length > 0, 500).catch(() => {});
      client.disconnect({ permanent: true });
      // What was taken is known to the server when it has been posted.
      await until("all is said", () => going === 0);
      return invited;
    };
    expect(await come()).toEqual([doc]);
    expect(await come()).toEqual([]);
  });

  it("have a new name for everybody at once", async () => {
    const { ann, bob, doc } = names();
    const [one, other] = [await start(ann), await start(bob)];
    const [here, there] = [one.client.room(doc), other.client.room(doc)];
    await until("they see each other", () => here.others.length === 1 && there.others.length === 1);
    const profiles: unknown[] = [];
    other.client.on("profile", ({ userId, username }) => profiles.push([userId, username]));
    await one.people.rename("Ann of Green Gables");
    await until("bob sees it", () => there.others[0]?.name === "Ann of Green Gables");
    await until("bob is told", () => profiles.length > 0);
    expect(profiles).toEqual([[ann, "Ann of Green Gables"]]);
    expect(await other.people.person(ann)).toMatchObject({
      id: ann,
      username: "Ann of Green Gables",
      status: "online",
    });
  });

  it("are watched and listed wherever they are", async () => {
    const { ann, bob, doc } = names();
    const one = await start(ann);
    const told: string[] = [];
    one.client.watch([bob], ({ status }) => told.push(status));
    await until("it is known", () => one.client.status(bob) !== null);
    const other = await start(bob);
    await until("bob is there", () => one.client.status(bob)?.status === "online");
    const [here, there] = [one.client.room(doc), other.client.room(doc)];
    await until("they see each other", () => here.others.length === 1 && there.others.length === 1);
    const listed = await one.client.listUsers(doc);
    expect(listed.map(({ id, status }) => [id, status]).sort()).toEqual([
      [ann, "online"],
      [bob, "online"],
    ]);
    other.client.disconnect({ permanent: true });
    await until("bob is gone", () => one.client.status(bob)?.status === "offline");
    expect(told).toEqual(["offline", "online", "offline"]);
    expect(one.client.status(bob)?.lastOnline).toBeGreaterThan(0);
  });

  it("keep documents, which do not undo each other's changes", async () => {
    const { ann } = names();
    const [here, there] = [await start(ann), await start(ann)].map(({ people }) => people.document("settings"));
    if (!here || !there) throw new Error("no documents");
    expect(await here.load()).toBeNull();
    await here.set({ n: 1 });
    expect(await there.load()).toEqual({ n: 1 });
    await there.update((value) => ({ ...(value as object), m: 2 }));
    await expect(here.set({ n: 3 })).rejects.toMatchObject({ code: "precondition_failed", status: 412 });
    expect(here.snapshot).toMatchObject({ value: { n: 1, m: 2 }, status: "failed" });
    await here.update((value) => ({ ...(value as object), n: 3 }));
    expect(await there.load()).toEqual({ n: 3, m: 2 });
    await there.remove();
    expect(await here.load()).toBeNull();
  });
});
