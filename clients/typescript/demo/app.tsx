// The page: one room, who is in it, where they point, what they say, and how the connection stands.
import { type ReactNode, useEffect } from "react";
import type { Client } from "../src/index.ts";
import type { People } from "../src/people.ts";
import { PresenceProvider, Room, useRoom, useSnapshot } from "../src/react/index.ts";
import { OfflineBanner } from "../src/react/parts/index.ts";
import { useRoomName } from "./address.ts";
import { Chat } from "./chat.tsx";
import { Header } from "./header.tsx";
import { Invitations } from "./invitations.tsx";
import { Members } from "./members.tsx";
import { PeopleHere } from "./people.tsx";
import { Stage } from "./stage.tsx";
import { You } from "./you.tsx";

export function App({ client, people }: { readonly client: Client; readonly people: People }): ReactNode {
  const [room, go] = useRoomName();
  return (
    <PresenceProvider client={client}>
      <Room id={room} key={room}>
        <Title />
        <Header go={go} />
        <OfflineBanner />
        <Invitations people={people} go={go} />
        <main>
          <Stage />
          <aside aria-label="People">
            <PeopleHere />
            <Members people={people} />
            <You people={people} />
          </aside>
          <Chat people={people} />
        </main>
      </Room>
    </PresenceProvider>
  );
}

/** The window's title says how many are here. */
function Title(): ReactNode {
  const room = useRoom();
  const count = useSnapshot(room, ({ users }) => users.length);
  useEffect(() => {
    document.title = `${count} in ${room.id} · Presence`;
  }, [count, room]);
  return null;
}
