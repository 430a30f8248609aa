// @vitest-environment happy-dom
// The parts: what they show, and what they say to those who listen.
import type { ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { PresenceError } from "../../../src/errors.ts";
import { Room } from "../../../src/react/index.ts";
import { initials, personStyle } from "../../../src/react/parts/avatar.tsx";
import {
  ConnectionIndicator,
  CursorArea,
  Cursors,
  Facepile,
  OfflineBanner,
  RoomRoster,
  StatusDot,
  SyncStatus,
  TypingIndicator,
  WordsProvider,
} from "../../../src/react/parts/index.ts";
import { createFake, type FakeClient, type FakeRoom, person, pointing } from "./fake.ts";
import { happen, type Page, render } from "./render.tsx";

const ann = person("Ann");
const bob = person("Bob", { status: "away" });
const cem = person("Cem");
const START = Date.UTC(2030, 0, 1);
const LIVE = { status: "live", transport: "ws", attempt: 0, quality: "good", stale: false, syncedAt: START } as const;
const lost = (nextTryAt: number | null, attempt = 1) =>
  ({
    status: "waiting",
    nextTryAt,
    attempt,
    quality: "disconnected",
    stale: true,
    error: new PresenceError("connection", "lost"),
  }) as const;

interface Shown {
  readonly page: Page;
  readonly fake: FakeClient;
  readonly room: FakeRoom;
  /** What the page says aloud now. */
  readonly aloud: () => string;
}

function show(part: ReactNode): Shown {
  const fake = createFake();
  const page = render(fake.client, <Room id="doc">{part}</Room>);
  const aloud = (): string => page.find("[role=status]").textContent.replaceAll(/[\u2068\u2069]/gu, "");
  return { page, fake, room: fake.room("doc"), aloud };
}

const pass = (milliseconds: number): void => happen(() => vi.advanceTimersByTime(milliseconds));

beforeEach(() => {
  vi.useFakeTimers({ now: START });
});

afterEach(() => {
  // What a test has shown is gone with it, and so are all timers.
  document.body.replaceChildren();
  vi.useRealTimers();
});

describe("people", () => {
  test("a pile shows so many, counts the others, and says all of it", () => {
    const { page, room } = show(<Facepile max={2} id="pile" />);
    happen(() => room.show({ users: [ann, bob, cem, person("Dee")] }));
    const pile = page.find("#pile");
    expect(pile.getAttribute("aria-label")).toBe("4 people here");
    const labels = [...pile.querySelectorAll("[role=img]")].map((one) => one.getAttribute("aria-label"));
    expect(labels).toEqual(["Ann, online", "Bob, away", "2 more"]);
    happen(() => room.show({ users: [ann, bob, cem] }));
    expect(page.text()).toBe("ABC");
  });

  test("a picture that does not load gives way to initials, until there is another", () => {
    const { page, room } = show(<Facepile />);
    happen(() => room.show({ users: [{ ...ann, avatar: "https://a.example/1.png" }] }));
    happen(() => void page.find("img").dispatchEvent(new Event("error")));
    expect(page.text()).toBe("A");
    happen(() => room.show({ users: [{ ...ann, avatar: "https://a.example/2.png" }] }));
    expect(page.find("img").getAttribute("src")).toBe("https://a.example/2.png");
  });

  test.each([
    ["Ada Lovelace", "AL"],
    ["  ada  augusta king ", "AK"],
    ["élise", "É"],
    ["👩‍💻 Ada", "👩‍💻A"],
    ["", ""],
  ])("the initials of %o are %o", (name, letters) => {
    expect(initials(name)).toBe(letters);
  });

  test("colours are colours, and what is written on them can be read", () => {
    expect(personStyle("#FB0")).toEqual({ "--presence-color": "#FB0", "--presence-on-color": "#000" });
    expect(personStyle("#17727d")["--presence-on-color"]).toBe("#fff");
    expect(personStyle("red;position:fixed")["--presence-color"]).toBe("#5c636b");
    for (let grey = 0; grey < 256; grey += 1) {
      const part = grey.toString(16).padStart(2, "0");
      const light = grey / 255 <= 0.04045 ? grey / 255 / 12.92 : ((grey / 255 + 0.055) / 1.055) ** 2.4;
      const ink = personStyle(`#${part}${part}${part}`)["--presence-on-color"] === "#000" ? 0 : 1;
      const contrast = (Math.max(light, ink) + 0.05) / (Math.min(light, ink) + 0.05);
      expect(contrast).toBeGreaterThanOrEqual(4.5);
    }
  });

  test("a dot for what is known, and for a user who is watched", () => {
    const { page, fake } = show(
      <>
        <StatusDot status="away" id="known" />
        <StatusDot userId="bob" id="watched" />
      </>,
    );
    expect(page.find("#known").getAttribute("aria-label")).toBe("away");
    expect(page.find("#watched").dataset.status).toBe("unknown");
    happen(() => fake.stand({ id: "bob", status: "offline", lastOnline: 1 }));
    expect(page.find("#watched").getAttribute("aria-label")).toBe("offline");
  });

  test("a roster shows everybody, and which of them is you", () => {
    const { page, room } = show(<RoomRoster max={2} />);
    happen(() => room.show({ users: [ann, bob, cem], me: { ...room.room.me, id: "bob" }, stale: true }));
    expect(page.text()).toBe("AAnnBBobyou1 more");
    expect(page.find("ul").dataset.stale).toBe("true");
    expect(page.find("[data-own=true] bdi").textContent).toBe("Bob");
  });

  test("a roster says who came and went in one go, if it is asked to", () => {
    const { page, room, aloud } = show(<RoomRoster announce />);
    happen(() => {
      room.emit("join", { user: ann });
      room.emit("join", { user: cem });
      room.emit("leave", { user: bob, cause: "left" });
      room.emit("join", { user: person("Dee") });
      room.emit("leave", { user: person("Dee"), cause: "left" });
    });
    expect(aloud()).toBe("");
    pass(2_000);
    pass(0);
    expect(aloud()).toBe("Ann and Cem joined. Bob left.");
    happen(() => room.emit("join", { user: bob }));
    page.unmount();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("cursors", () => {
  test("in pixels, in fractions, hidden, and drawn as one likes", () => {
    const { page, room } = show(
      <>
        <Cursors id="px" />
        <Cursors id="fraction" unit="fraction">
          {({ user }) => <b>{user.id}</b>}
        </Cursors>
      </>,
    );
    happen(() =>
      room.show({ cursors: [pointing(ann, { x: 0.5, y: 2 }), pointing(bob, { x: 1, y: 1, visible: false })] }),
    );
    expect(page.find("#px [data-presence=cursor]").style.transform).toBe("translate(0.5px, 2px)");
    expect(page.find("#fraction [data-presence=cursor]").style.transform).toBe("translate(50cqw, 200cqh)");
    expect(page.text()).toBe("Annann");
    expect(page.find("#px").getAttribute("aria-hidden")).toBe("true");
  });

  test("only the one that moves is drawn again", () => {
    const drawn: string[] = [];
    const draw = ({ user }: { user: { id: string } }): ReactNode => {
      drawn.push(user.id);
      return user.id;
    };
    const { room } = show(<Cursors>{draw}</Cursors>);
    const still = pointing(ann, { x: 1, y: 1 });
    happen(() => room.show({ cursors: [still, pointing(bob, { x: 1, y: 1 })] }));
    happen(() => room.show({ cursors: [still, pointing(bob, { x: 2, y: 2 })] }));
    expect(drawn).toEqual(["ann", "bob", "bob"]);
  });

  test("an area says where the pointer is in it, and nowhere when it leaves or the area goes away", () => {
    const { page, fake } = show(<CursorArea id="area">text</CursorArea>);
    const area = page.find("#area");
    area.getBoundingClientRect = () => new DOMRect(100, 50, 200, 100);
    const pointer = (type: string): void =>
      happen(() => void area.dispatchEvent(new PointerEvent(type, { clientX: 150, clientY: 75, bubbles: true })));
    pointer("pointermove");
    expect(fake.said.at(-1)).toBe('cursor doc {"x":0.25,"y":0.25}');
    pointer("pointerout");
    expect(fake.said.at(-1)).toBe("cursor doc null");
    pointer("pointermove");
    page.unmount();
    expect(fake.said.at(-1)).toBe("cursor doc null");
  });
});

describe("typing", () => {
  test.each([
    [[], ""],
    [["Ann"], "Ann is typing…"],
    [["Ann", "Bob"], "Ann and Bob are typing…"],
    [["Ann", "Bob", "Cem"], "Ann, Bob and Cem are typing…"],
    [["Ann", "Bob", "Cem", "Dee"], "Ann, Bob, Cem and 1 other are typing…"],
    [["Ann", "Bob", "Cem", "Dee", "Eve"], "Ann, Bob, Cem and 2 others are typing…"],
  ])("%o", (names, line) => {
    const { page, room } = show(<TypingIndicator />);
    happen(() => room.show({ typing: names.map((name) => person(name)) }));
    expect(page.text()).toBe(line);
    expect(page.element.querySelector("[role=status]")).toBeNull();
  });

  test("is said aloud if it is asked to, and only if it lasts", () => {
    const { room, aloud } = show(<TypingIndicator announce />);
    happen(() => room.show({ typing: [ann] }));
    pass(1_500);
    happen(() => room.show({ typing: [] }));
    pass(5_000);
    expect(aloud()).toBe("");
    happen(() => room.show({ typing: [ann] }));
    pass(2_000);
    expect(aloud()).toBe("Ann is typing…");
  });
});

describe("the connection", () => {
  test("the first try is no trouble, and a good connection needs no button", () => {
    const { page, fake } = show(<ConnectionIndicator />);
    happen(() => fake.connect({ status: "connecting", transport: "ws" }));
    expect(page.text()).toBe("Connecting…");
    happen(() => fake.connect({ ...LIVE, rtt: 20 }));
    expect(page.text()).toBe("Connected");
    happen(() => fake.connect({ quality: "poor" }));
    expect(page.text()).toBe("Connected, but slow");
    expect(page.find("[data-presence=connection]").dataset.quality).toBe("poor");
  });

  test("the time of a heartbeat is shown if it is asked for", () => {
    const { page, fake } = show(<ConnectionIndicator rtt />);
    happen(() => fake.connect({ ...LIVE, rtt: 20.4 }));
    expect(page.text()).toBe("Connected20 ms");
  });

  test("a lost one counts down to the next try, and tries at once if told to", () => {
    const { page, fake } = show(<ConnectionIndicator />);
    happen(() => fake.connect(LIVE));
    happen(() => fake.connect(lost(START + 3_500, 2)));
    expect(page.text()).toBe("Connection lostattempt 2 · next try in 4 sRetry now");
    pass(499);
    expect(page.text()).toContain("in 4 s");
    pass(1);
    expect(page.text()).toContain("in 3 s");
    pass(2_000);
    expect(page.text()).toContain("in 1 s");
    const button = page.find("button");
    happen(() => button.click());
    expect(fake.said.at(-1)).toBe("retry");
    happen(() => fake.connect({ status: "connecting", transport: "ws", attempt: 2 }));
    expect(page.text()).toBe("Reconnecting…attempt 2Retry now");
    expect(page.find("button")).toBe(button);
    expect(button.getAttribute("aria-disabled")).toBe("true");
    const said = fake.said.length;
    happen(() => button.click());
    expect(fake.said).toHaveLength(said);
    expect(vi.getTimerCount()).toBe(0);
    happen(() => fake.connect(LIVE));
    expect(page.text()).toBe("Connected");
  });

  test("a countdown that is over does not go below nothing, and ends with its page", () => {
    const { page, fake } = show(<ConnectionIndicator />);
    happen(() => fake.connect(lost(START + 1_000)));
    pass(5_000);
    expect(page.text()).toContain("attempt 1 · trying");
    page.unmount();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("without a network there is nothing to count", () => {
    const { page, fake } = show(<ConnectionIndicator />);
    happen(() => fake.connect(lost(null)));
    expect(page.text()).toBe("No networkattempt 1Retry now");
  });

  test("an end for good says why; one that was asked for offers nothing", () => {
    const { page, fake } = show(<ConnectionIndicator />);
    happen(() => fake.connect({ status: "closed", reason: "superseded", error: null }));
    expect(page.text()).toBe("Open in another placeUse here");
    happen(() => fake.connect({ status: "closed", reason: "disconnected", error: null }));
    expect(page.text()).toBe("Disconnected");
  });

  test("what is said aloud: that it was lost, once, and that it is back", () => {
    const { fake, aloud } = show(<ConnectionIndicator announce />);
    happen(() => fake.connect(LIVE));
    pass(5_000);
    expect(aloud()).toBe("");
    happen(() => fake.connect(lost(START + 7_000)));
    happen(() => fake.connect(LIVE));
    pass(5_000);
    happen(() => fake.connect(lost(START + 20_000)));
    pass(2_000);
    expect(aloud()).toBe("Connection lost");
    happen(() => fake.connect({ status: "connecting", transport: "ws", attempt: 1 }));
    pass(2_000);
    happen(() => fake.connect(lost(null, 2)));
    pass(2_000);
    expect(aloud()).toBe("Connection lost");
    happen(() => fake.connect({ ...LIVE }));
    pass(2_000);
    expect(aloud()).toBe("Connected again");
    happen(() => fake.connect({ status: "closed", reason: "kicked", error: null }));
    pass(2_000);
    expect(aloud()).toBe("Removed by an operator");
  });
});

describe("the banner", () => {
  test("shows what lasts, and goes at once", () => {
    const { page, fake } = show(<OfflineBanner id="banner" />);
    const isShown = (): boolean => page.element.querySelector("#banner") !== null;
    happen(() => fake.connect(LIVE));
    happen(() => fake.connect({ ...lost(START + 60_000), pending: 2 }));
    pass(1_499);
    expect(isShown()).toBe(false);
    pass(1);
    expect(isShown()).toBe(true);
    expect(page.find("[data-presence=offline-pending]").textContent).toBe("2 messages are waiting");
    happen(() => fake.connect(LIVE));
    expect(isShown()).toBe(false);
    happen(() => fake.connect(lost(START + 60_000)));
    pass(500);
    expect(isShown()).toBe(false);
    happen(() => fake.connect(LIVE));
    pass(5_000);
    expect(isShown()).toBe(false);
  });
});

describe("in step", () => {
  test("says so, or what waits, or since when it is not", () => {
    const { page, fake } = show(<SyncStatus />);
    expect(page.text()).toBe("");
    happen(() => fake.connect(LIVE));
    expect(page.text()).toBe("Up to date");
    happen(() => fake.connect({ pending: 1 }));
    expect(page.text()).toBe("1 message is waiting");
    happen(() => fake.connect({ ...lost(null), pending: 3 }));
    expect(page.text()).toBe("3 messages are waiting · Up to date until a moment ago");
    pass(59_999);
    expect(page.text()).toContain("a moment ago");
    pass(1);
    pass(60_000);
    expect(page.text()).toBe("3 messages are waiting · Up to date until 2 min ago");
    happen(() => fake.connect({ ...LIVE, pending: 0 }));
    expect(page.text()).toBe("Up to date");
    expect(vi.getTimerCount()).toBe(0);
  });
});

test("all words can be others, and those that are not given stay", () => {
  const { page, room } = show(
    <WordsProvider words={{ typing: (names) => `${names.join("+")} tippt` }}>
      <TypingIndicator />
      <ConnectionIndicator />
    </WordsProvider>,
  );
  happen(() => room.show({ typing: [ann] }));
  expect(page.text()).toBe("Ann tipptNot connected");
});
