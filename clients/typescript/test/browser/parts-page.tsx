// A page with all parts on it, for tests that look at it: with a client that shows whatever state is asked for.
import type { ReactNode } from "react";
import { PresenceError } from "../../src/errors.ts";
import { PresenceProvider, Room } from "../../src/react/index.ts";
import {
  ConnectionIndicator,
  CursorArea,
  Facepile,
  OfflineBanner,
  RoomRoster,
  StatusDot,
  SyncStatus,
  TypingIndicator,
} from "../../src/react/parts/index.ts";
import { createFake, type FakeClient, person, pointing } from "../unit/react/fake.ts";

/** What the page can show: all well, a slow connection, none for the moment, none any more. */
export type Scene = "live" | "poor" | "waiting" | "closed";

export const scenes: readonly Scene[] = ["live", "poor", "waiting", "closed"];

const people = [
  person("Ada Lovelace", { color: "#17727d" }),
  person("Grace Hopper", { color: "#a23b72", status: "away" }),
  person("Chien-Shiung Wu", { color: "#ffd166" }),
  person("Katherine Johnson", { color: "#3d5a98" }),
  person("مريم ميرزاخاني", { color: "#6a4c93" }),
  person("Hedy Lamarr", { color: "#b5541c" }),
  person("Emmy Noether", { color: "#2f7d32" }),
];

/** Has the client show a scene. */
export function play(fake: FakeClient, scene: Scene): void {
  const { room, show } = fake.room("doc");
  const others = people.slice(1);
  const isStale = scene === "waiting" || scene === "closed";
  show({
    users: people,
    others,
    me: { ...room.me, id: "ada lovelace" },
    typing: isStale ? [] : others.slice(0, 2),
    cursors: others.slice(0, 3).map((user, at) => pointing(user, { x: 0.15 + at * 0.3, y: 0.2 + at * 0.18 })),
    stale: isStale,
  });
  fake.stand({ id: "hedy lamarr", status: "offline", lastOnline: 0 });
  const facts = { attempt: 0, rtt: 24, pending: 0, stale: false, syncedAt: Date.now(), quality: "good" } as const;
  const lost = { ...facts, attempt: 3, stale: true, pending: 2, quality: "disconnected" } as const;
  const error = new PresenceError("connection", "the connection was lost");
  if (scene === "live") fake.connect({ ...facts, status: "live", transport: "ws" });
  if (scene === "poor")
    fake.connect({ ...facts, status: "live", transport: "ws", quality: "poor", rtt: 840, pending: 1 });
  if (scene === "waiting") fake.connect({ ...lost, status: "waiting", nextTryAt: Date.now() + 8_000, error });
  if (scene === "closed") fake.connect({ ...lost, status: "closed", reason: "superseded", error: null });
}

export function PartsPage({ fake }: { readonly fake: FakeClient }): ReactNode {
  return (
    <PresenceProvider client={fake.client}>
      <Room id="doc">
        <header>
          <h1>All parts</h1>
          <Facepile max={4} />
          <ConnectionIndicator rtt announce />
        </header>
        <OfflineBanner after={0} />
        <main>
          <CursorArea className="area">
            <p>Point somewhere.</p>
          </CursorArea>
          <aside aria-label="Room">
            <h2>Here</h2>
            <RoomRoster announce />
            <p>
              Hedy <StatusDot userId="hedy lamarr" /> Nobody <StatusDot userId="nobody" />
            </p>
            <TypingIndicator announce />
            <SyncStatus />
          </aside>
        </main>
      </Room>
    </PresenceProvider>
  );
}

export { createFake };
