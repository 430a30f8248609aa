// @vitest-environment happy-dom
// The hook that shows a window: what it shows meanwhile, when it moves, and what it leaves behind.
import { act, type ReactNode, useRef } from "react";
import { expect, test } from "vitest";
import { PresenceError } from "../../../src/errors.ts";
import { useRoom, useWindow } from "../../../src/react/index.ts";
import { createFake, person } from "./fake.ts";
import { happen, render } from "./render.tsx";

const ann = person("Ann");
const bob = person("Bob");

function Crowd({ from, id = "hall" }: { readonly from: number; readonly id?: string }): ReactNode {
  const drawn = useRef(0);
  drawn.current += 1;
  const crowd = useWindow(useRoom(id, { enter: false }), { from, count: 20 }, { state: { seat: 1 } });
  const names = crowd.users.map((user) => user.name).join();
  return `${crowd.status.kind} ${crowd.total} ${names} ${crowd.error?.code ?? ""}`;
}

/** Lets what waits for promises happen. */
const settle = (): Promise<void> => act(async () => {});

test("shows nobody until the rows are there, then rows and totals, and does not enter by itself", async () => {
  const fake = createFake();
  fake.room("hall").look({ users: [ann, bob], total: 9 });
  const page = render(fake.client, <Crowd from={0} />);
  expect(page.text()).toBe("joining 0  ");
  await settle();
  expect(page.text()).toBe("live 9 Ann,Bob ");
  happen(() => fake.room("hall").look({ total: 8, users: [bob], stale: true, status: { kind: "stale" } }));
  expect(page.text()).toBe("stale 8 Bob ");
  expect(fake.said[0]).toBe('window hall 0+20 {"seat":1}');
  expect(fake.said.some((one) => one.startsWith("join"))).toBe(false);
});

test("other rows move it, another room has another, and in the end it is closed", async () => {
  const fake = createFake();
  const page = render(fake.client, <Crowd from={0} />);
  await settle();
  page.show(<Crowd from={40} />);
  page.show(<Crowd from={40} />);
  expect(fake.said.slice(1)).toEqual(["move hall 0+20", "move hall 40+20"]);
  page.show(<Crowd from={40} id="lobby" />);
  expect(page.text()).toBe("joining 0  ");
  await settle();
  page.unmount();
  expect(fake.said.slice(3)).toEqual([
    "close hall",
    'window lobby 40+20 {"seat":1}',
    "move lobby 40+20",
    "close lobby",
  ]);
  expect(fake.room("lobby").held()).toMatchObject({ holds: 0, listeners: 0 });
});

test("says why it was refused, and asks again for other rows", async () => {
  const fake = createFake();
  fake.room("hall").look(new PresenceError("bad_message", "must be from 1 to 200", { field: "count" }));
  const page = render(fake.client, <Crowd from={0} />);
  await settle();
  expect(page.text()).toBe("refused 0  bad_message");
  fake.room("hall").look({ total: 3 });
  await settle();
  expect(fake.said).toEqual([]);
  page.show(<Crowd from={20} />);
  await settle();
  expect(page.text()).toBe("live 3  ");
});

test("StrictMode opens one, and closes it", async () => {
  const fake = createFake();
  const page = render(fake.client, <Crowd from={0} />, { strict: true });
  await settle();
  page.unmount();
  expect(fake.said.map((one) => one.split(" ")[0])).toEqual(["window", "move", "close"]);
});
