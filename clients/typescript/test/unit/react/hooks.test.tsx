// @vitest-environment happy-dom
// The hooks: what each shows, when it is drawn again, and what it leaves behind.
import { type ReactNode, useState } from "react";
import { describe, expect, test } from "vitest";
import type { Json } from "../../../src/api.ts";
import {
  PresenceProvider,
  Room,
  shallow,
  useClient,
  useClientEvent,
  useConnection,
  useCursors,
  useMe,
  useMessages,
  useOthers,
  useRoom,
  useRoomEvent,
  useSnapshot,
  useStatus,
  useTyping,
  useUsers,
} from "../../../src/react/index.ts";
import { createFake, message, person, pointing } from "./fake.ts";
import { happen, render } from "./render.tsx";

const ann = person("Ann");
const bob = person("Bob");

/** Shows what a hook gives, and counts how often it was drawn. */
function Show({ use, drawn }: { use: () => unknown; drawn?: { count: number } }): ReactNode {
  const value = use();
  if (drawn) drawn.count += 1;
  return <output>{JSON.stringify(value)}</output>;
}

function shown(use: () => unknown) {
  const fake = createFake();
  const drawn = { count: 0 };
  const page = render(
    fake.client,
    <Room id="doc">
      <Show use={use} drawn={drawn} />
    </Room>,
  );
  return { fake, drawn, page, room: fake.room("doc"), value: (): Json => JSON.parse(page.text()) };
}

describe("what hooks show", () => {
  test("everybody, the others, who types, where they point, what they say", () => {
    const { room, value } = shown(() => [
      useUsers((users) => users.map((user) => user.name)),
      useOthers((users) => users.map((user) => user.name)),
      useTyping().map((user) => user.name),
      useCursors().map(({ cursor }) => cursor.x),
      useMessages().map(({ data }) => data),
    ]);
    expect(value()).toEqual([[], [], [], [], []]);
    happen(() =>
      room.show({
        users: [ann, bob],
        others: [bob],
        typing: [bob],
        cursors: [pointing(bob, { x: 7, y: 8 })],
        messages: [message(bob, "hi")],
      }),
    );
    expect(value()).toEqual([["Ann", "Bob"], ["Bob"], ["Bob"], [7], ["hi"]]);
  });

  test("this session, and the way to change it", () => {
    const { fake, room, value } = shown(() => {
      const [me, update] = useMe();
      useRoomEvent("restored", () => update({ tool: "pen" }));
      return me.state;
    });
    happen(() => room.emit("restored", { state: {} }));
    expect(fake.said.at(-1)).toBe('update doc {"tool":"pen"}');
    happen(() => room.show({ me: { ...room.room.me, state: { tool: "pen" } } }));
    expect(value()).toEqual({ tool: "pen" });
  });

  test("the connection", () => {
    const { fake, value } = shown(() => useConnection((connection) => [connection.status, connection.attempt]));
    expect(value()).toEqual(["idle", 0]);
    happen(() => fake.connect({ status: "connecting", transport: "ws", attempt: 2 }));
    expect(value()).toEqual(["connecting", 2]);
  });

  test("how a user stands", () => {
    const { fake, page, value } = shown(() => useStatus("bob"));
    expect(value()).toBeNull();
    happen(() => fake.stand({ id: "bob", status: "away", lastOnline: 5 }));
    expect(value()).toEqual({ id: "bob", status: "away", lastOnline: 5 });
    page.unmount();
    expect(fake.held().watchers).toBe(0);
  });

  test("any room by name, beside the nearest", () => {
    const { fake, value } = shown(() => [useRoom().id, useSnapshot(useRoom("other"), ({ id }) => id)]);
    expect(value()).toEqual(["doc", "other"]);
    expect(fake.said).toEqual(["join other null", "join doc null"]);
  });

  test("without a provider or a room they say what is missing", () => {
    const fake = createFake();
    const Lost = (): ReactNode => {
      useUsers();
      return null;
    };
    expect(() => render(fake.client, <Lost />)).toThrow("there is no <Room> around");
    const Clientless = (): ReactNode => useClient().identity?.userId;
    const other = createFake();
    expect(() =>
      render(other.client, <PresenceProvider client={null as never}>{<Clientless />}</PresenceProvider>),
    ).toThrow("there is no <PresenceProvider> around");
  });
});

describe("when hooks draw again", () => {
  test("a part of the room only for changes of that part", () => {
    const { room, drawn } = shown(() => useUsers().length);
    happen(() => room.show({ users: [ann] }));
    expect(drawn.count).toBe(2);
    happen(() => room.show({ cursors: [pointing(bob, { x: 1, y: 1 })], stale: true }));
    happen(() => room.show({ messages: [message(bob, "hi")] }));
    expect(drawn.count).toBe(2);
  });

  test("a selection only when it is not equal, though it is written in place and makes new lists", () => {
    const { room, drawn, value } = shown(() => useOthers((others) => others.map((user) => user.name)));
    happen(() => room.show({ others: [bob] }));
    const before = drawn.count;
    happen(() => room.show({ others: [{ ...bob, lastSeen: 99 }] }));
    happen(() => room.show({ others: [{ ...bob, status: "away" }] }));
    expect(drawn.count).toBe(before);
    happen(() => room.show({ others: [bob, ann] }));
    expect(drawn.count).toBe(before + 1);
    expect(value()).toEqual(["Bob", "Ann"]);
  });

  test("a selection stays the same object while it is equal, also over a render for another reason", () => {
    const fake = createFake();
    const seen = new Set<unknown>();
    const Names = ({ turn }: { turn: number }): ReactNode => {
      seen.add(useOthers((others) => others.map((user) => user.name)));
      return turn;
    };
    const at = (turn: number): ReactNode => (
      <Room id="doc">
        <Names turn={turn} />
      </Room>
    );
    const page = render(fake.client, at(1));
    seen.clear();
    happen(() => fake.room("doc").show({ others: [bob] }));
    page.show(at(2));
    happen(() => fake.room("doc").show({ others: [{ ...bob }] }));
    page.show(at(3));
    expect(seen.size).toBe(1);
  });

  test("with the equality that is asked for", () => {
    const { room, drawn } = shown(() =>
      useOthers(
        (others) => others.length,
        (a, b) => a > 2 === b > 2,
      ),
    );
    happen(() => room.show({ others: [ann] }));
    happen(() => room.show({ others: [ann, bob] }));
    expect(drawn.count).toBe(1);
    happen(() => room.show({ others: [ann, bob, person("Cem")] }));
    expect(drawn.count).toBe(2);
  });

  test("a selector sees the latest props", () => {
    const fake = createFake();
    const Has = ({ name }: { name: string }): ReactNode =>
      String(useOthers((others) => others.some((user) => user.name === name)));
    const at = (name: string): ReactNode => (
      <Room id="doc">
        <Has name={name} />
      </Room>
    );
    const page = render(fake.client, at("Ann"));
    happen(() => fake.room("doc").show({ others: [bob] }));
    expect(page.text()).toBe("false");
    page.show(at("Bob"));
    expect(page.text()).toBe("true");
  });
});

describe("what hooks do elsewhere", () => {
  test("a room is entered once for all who show it, and left when the last has gone", () => {
    const fake = createFake();
    const two = (
      <>
        <Room id="doc" state={{ tool: "pen" }} />
        <Room id="doc" />
      </>
    );
    const page = render(fake.client, two);
    expect(fake.said).toEqual(['join doc {"tool":"pen"}']);
    page.show(<Room id="doc" />);
    fake.linger();
    expect(fake.said).toHaveLength(1);
    page.unmount();
    expect(fake.said).toHaveLength(1);
    fake.linger();
    expect(fake.said).toEqual(['join doc {"tool":"pen"}', "leave doc"]);
  });

  test("StrictMode says nothing more, and nothing else", () => {
    const fake = createFake();
    const page = render(
      fake.client,
      <Room id="doc">
        <Show use={() => [useUsers(), useStatus("bob"), useConnection()]} />
      </Room>,
      { strict: true },
    );
    fake.linger();
    expect(fake.said).toEqual(["join doc null"]);
    expect(fake.room("doc").held()).toEqual({ holds: 1, listeners: 1, handlers: 0 });
    page.unmount();
    fake.linger();
    expect(fake.said).toEqual(["join doc null", "leave doc"]);
  });

  test("a room that is only looked at is not entered until it is", () => {
    const fake = createFake();
    const page = render(fake.client, <Room id="doc" enter={false} />);
    expect(fake.said).toEqual([]);
    page.show(<Room id="doc" enter />);
    expect(fake.said).toEqual(["join doc null"]);
  });

  test("another id is another room; a state that is written in place is not another hold", () => {
    const fake = createFake();
    const page = render(fake.client, <Room id="one" state={{ a: 1 }} />);
    page.show(<Room id="one" state={{ a: 1 }} />);
    page.show(<Room id="two" state={{ a: 2 }} />);
    fake.linger();
    expect(fake.said).toEqual(['join one {"a":1}', 'join two {"a":2}', "leave one"]);
  });

  test("nothing is left behind, and the client is never closed", () => {
    const { fake, page, room } = shown(() => {
      useRoomEvent("join", () => {});
      useClientEvent("error", () => {});
      return [useUsers(), useConnection(), useStatus("bob"), useMe()[0]];
    });
    expect(fake.held()).toEqual({ watchers: 1, listeners: 1, handlers: 1 });
    page.unmount();
    expect(room.held()).toEqual({ holds: 0, listeners: 0, handlers: 0 });
    expect(fake.held()).toEqual({ watchers: 0, listeners: 0, handlers: 0 });
    expect(fake.said).not.toContain("disconnect");
  });

  test("handlers are always those of the latest render", () => {
    const fake = createFake();
    const heard: string[] = [];
    const Listener = (): ReactNode => {
      const [count, setCount] = useState(0);
      useRoomEvent("join", ({ user }) => {
        heard.push(`${user.name} ${count}`);
        setCount(count + 1);
      });
      useClientEvent("drift", ({ room }) => heard.push(`${room} ${count}`));
      return null;
    };
    render(
      fake.client,
      <Room id="doc">
        <Listener />
      </Room>,
    );
    happen(() => fake.room("doc").emit("join", { user: ann }));
    happen(() => fake.room("doc").emit("join", { user: bob }));
    happen(() => fake.emit("drift", { room: "doc", kind: "gap", count: 1 }));
    expect(heard).toEqual(["Ann 0", "Bob 1", "doc 2"]);
  });
});

test.each<[unknown, unknown, boolean]>([
  [1, 1, true],
  [Number.NaN, Number.NaN, true],
  [[ann, bob], [ann, bob], true],
  [[ann], [{ ...ann }], false],
  [{ a: 1 }, { a: 1 }, true],
  [{ a: undefined }, { b: undefined }, false],
  [{ length: 0 }, [], false],
  [{}, null, false],
  [new Map([[1, 1]]), new Map([[1, 2]]), false],
  [new Date(1), new Date(2), false],
  [Object.fromEntries([["__proto__", 1]]), Object.fromEntries([["__proto__", 2]]), false],
])("shallow(%o, %o) is %o", (a, b, equal) => {
  expect(shallow(a, b)).toBe(equal);
});
