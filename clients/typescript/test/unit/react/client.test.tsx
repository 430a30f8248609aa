// @vitest-environment happy-dom
// The hooks with the real client, in a world of the test's: what a server hears of what React does.
import { act, type ReactNode } from "react";
import { expect, test } from "vitest";
import { createClient } from "../../../src/index.ts";
import { Room, useMe, useOthers, useStatus, useUsers } from "../../../src/react/index.ts";
import { asAnn, connected, createWorld, type World } from "../world.ts";
import { render } from "./render.tsx";

function Names(): ReactNode {
  const users = useUsers((all) => all.map((user) => user.name));
  const others = useOthers((all) => all.length);
  const status = useStatus("eve");
  return `${users.join("+")} ${others} ${useMe()[0].id} ${status?.status ?? "unknown"}`;
}

const user = (name: string): object => ({
  id: name.toLowerCase(),
  name,
  color: "#17727d",
  joinedAt: 1,
  lastSeen: 1,
  status: "online",
  connectionCount: 1,
  sessions: [{ sessionId: "tab-1", connectedAt: 1, active: true, state: {}, cursor: null }],
});

const pass = (world: World, milliseconds = 0): Promise<void> => act(() => world.pass(milliseconds));
const heard = (world: World): unknown[] =>
  world.wires.flatMap(({ sent }) => sent.map(({ type }) => type)).filter((type) => type !== "stream:sync");

test("a component is there, moves, goes, and the server hears of it once", async () => {
  const world = createWorld();
  const client = createClient({ ...asAnn, env: world.env });
  const room = (key: string): ReactNode => (
    <Room key={key} id="doc">
      <Names />
    </Room>
  );
  const page = render(client, room("one"), { strict: true });
  expect(page.text()).toBe(" 0 ann unknown");
  await pass(world);
  await act(async () => world.wire().say(connected()));
  await pass(world);
  expect(heard(world)).toEqual(["presence:join", "watch"]);

  const everybody = { epoch: "e", version: 1, digest: "0", reason: "join", users: [user("Ann"), user("Bob")] };
  await act(async () => {
    const ref = world.wire().sent.find(({ type }) => type === "presence:join")?.["ref"];
    world.wire().say({ type: "presence:currentUsers", room: "doc", ref, ...everybody });
    world.wire().say({ type: "user_status", users: [{ id: "eve", status: "away", last_online: 5 }] });
  });
  await pass(world);
  expect(page.text()).toBe("Ann+Bob 1 ann away");

  // Another key is another component in the same place: the room is released and held in one go.
  page.show(room("two"));
  await pass(world, 5_000);
  expect(heard(world)).toEqual(["presence:join", "watch"]);
  expect(page.text()).toBe("Ann+Bob 1 ann away");

  page.unmount();
  await pass(world, 5_000);
  expect(heard(world)).toEqual(["presence:join", "watch", "unwatch", "presence:leave"]);
  client.disconnect({ permanent: true });
  await pass(world);
  expect(world.timers()).toBe(0);
});
