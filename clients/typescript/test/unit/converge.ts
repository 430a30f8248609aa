// Whatever happens on the way, in whatever order: in the end a client shows what the server has, and has taken each
// message once and in order.
import fc from "fast-check";
import { expect } from "vitest";
import { createClient, type Message } from "../../src/index.ts";
import { createModel, type Model } from "./model.ts";
import { asAnn, createWorld } from "./world.ts";

type Action =
  | { readonly kind: "join" | "leave" | "update" | "post"; readonly user: string; readonly value: number }
  | { readonly kind: "send" | "set" | "pass"; readonly value: number }
  | {
      readonly kind:
        | "lose"
        | "repeat"
        | "drop"
        | "dropBeforeAck"
        | "ackElsewhere"
        | "down"
        | "up"
        | "offline"
        | "online";
    }
  | { readonly kind: "restart"; readonly keeps: boolean };

const user = fc.constantFrom("bob", "cid", "__proto__");
const value = fc.integer({ min: 0, max: 5 });
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom("join", "leave", "update", "post"), user, value }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom("send", "set", "pass"), value }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "lose",
        "repeat",
        "drop",
        "dropBeforeAck",
        "ackElsewhere",
        "down",
        "up",
        "offline",
        "online",
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart"), keeps: fc.boolean() }) },
);

function shown(users: Iterable<{ id: string; sessions: readonly { sessionId: string; state: unknown }[] }>): string[] {
  const one = ({ id, sessions }: { id: string; sessions: readonly { sessionId: string; state: unknown }[] }): string =>
    JSON.stringify([id, sessions.map(({ sessionId, state }) => [sessionId, Object.entries(state ?? {}).sort()])]);
  return [...users].map(one).sort();
}

async function act(model: Model, world: ReturnType<typeof createWorld>, action: Action, number: number): Promise<void> {
  switch (action.kind) {
    case "join":
      return model.join(action.user);
    case "leave":
      return model.leave(action.user);
    case "update":
      return model.update(action.user, { n: action.value });
    case "post":
      return model.post(action.user, `m-${number}`, number);
    case "pass":
      return world.pass([0, 20, 200, 2_000, 20_000, 120_000][action.value]);
    case "lose":
      model.loseNext = true;
      return;
    case "repeat":
      model.repeatNext = true;
      return;
    case "drop":
      return model.drop();
    case "dropBeforeAck":
      return model.dropBeforeAck();
    case "ackElsewhere":
      return model.ackElsewhere();
    case "down":
      model.isDown = true;
      return model.drop();
    case "up":
      model.isDown = false;
      return;
    case "offline":
    case "online":
      return world.page.tell(action.kind);
    case "restart":
      return model.restart(action.keeps);
    case "send":
    case "set":
  }
}

/** Lets a client and a server live through accidents of all kinds. `time` is long enough for all to be well again. */
export async function converge(runs: number, time: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 40 }),
      fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      async (actions, chance) => {
        const world = createWorld();
        world.random = () => chance.next().value;
        const model = createModel(world);
        const client = createClient({ ...asAnn, env: world.env });
        const room = client.room(model.room);
        const got: Message[] = [];
        const present = new Set<string>();
        room.on("message", (message) => got.push(message));
        room.on("join", ({ user }) => {
          expect(present.has(user.id)).toBe(false);
          present.add(user.id);
        });
        let wanted = {};
        const sent: number[] = [];
        await world.pass();
        for (const { id } of room.others) present.add(id);
        room.on("leave", ({ user }) => expect(present.delete(user.id)).toBe(true));
        let lostStreams = false;
        for (const [number, one] of actions.entries()) {
          await act(model, world, one, number);
          if (one.kind === "send") void room.send(number);
          if (one.kind === "send") sent.push(number);
          if (one.kind === "set") room.update({ n: one.value });
          if (one.kind === "set") wanted = { n: one.value };
          if (one.kind === "restart" && !one.keeps) lostStreams = true;
        }
        model.loseNext = false;
        model.isDown = false;
        world.page.tell("online");
        // Long enough for the longest wait, and for a look whether all is still as it was.
        await world.pass(time);
        expect(client.connection.snapshot.status).toBe("live");
        expect(room.snapshot.status.kind).toBe("live");
        expect(shown(room.users)).toEqual(shown(model.users().values()));
        expect(room.me.state).toEqual(wanted);
        expect(client.connection.snapshot.pending).toBe(0);
        const ids = got.map((message) => message.id);
        expect(new Set(ids).size).toBe(ids.length);
        const theirs = model.stream().flatMap((one) => (one.userId === "ann" ? [] : [one.id]));
        // What a server has forgotten was taken before; what it has now was taken too, in its order.
        expect(lostStreams ? ids.filter((id) => theirs.includes(id)) : ids).toEqual(theirs);
        const mine = model.stream().filter((one) => one.userId === "ann");
        if (!lostStreams) expect(mine.map((one) => one.data)).toEqual(sent);
        client.disconnect({ permanent: true });
        // A file that is on its way is not called back.
        await world.pass(30_000);
        expect(world.timers()).toBe(0);
      },
    ),
    {
      numRuns: Number(process.env["FC_RUNS"] ?? runs),
      ...(process.env["FC_SEED"] && { seed: Number(process.env["FC_SEED"]) }),
    },
  );
}
