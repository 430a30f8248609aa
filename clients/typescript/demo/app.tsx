// The page: one room, who is in it, where they point, what they say, and how the connection stands.
import { type ReactNode, useEffect } from "react";
import type { Client } from "../src/index.ts";
import type { People } from "../src/people.ts";
import { PresenceProvider, Room, useRoom, useSnapshot } from "../src/react/index.ts";
import { Facepile, OfflineBanner } from "../src/react/parts/index.ts";
import { useRoomName } from "./address.ts";
import { Chat } from "./chat.tsx";
import { Crowd } from "./crowd.tsx";
import { Header } from "./header.tsx";
import { Invitations } from "./invitations.tsx";
import { Members } from "./members.tsx";
import { PeopleHere } from "./people.tsx";
import { Stage } from "./stage.tsx";
import { You } from "./you.tsx";

interface AppProps {
  readonly client: Client;
  readonly people: People;
  /** Whether rooms are shown as crowds, of which only a part is read. */
  readonly isCrowd: boolean;
}

export function App({ client, people, isCrowd }: AppProps): ReactNode {
  const [room, go] = useRoomName();
  if (isCrowd) return <CrowdApp client={client} people={people} room={room} go={go} />;
  return (
    <PresenceProvider client={client}>
      <Room id={room} key={room}>
        <Title />
        <Header go={go}>
          <Facepile max={6} />
        </Header>
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

type CrowdAppProps = Omit<AppProps, "isCrowd"> & { readonly room: string; readonly go: (room: string) => void };

/** The same for a room of which only a window is read: that enters it. */
function CrowdApp({ client, people, room, go }: CrowdAppProps): ReactNode {
  return (
    <PresenceProvider client={client}>
      <Room id={room} key={room} enter={false}>
        <Header go={go} />
        <OfflineBanner />
        <main className="of-crowd">
          <Crowd />
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
