// The head of the page: which room this is, who is here, and how the connection stands.
import { type FormEvent, type ReactNode, useState } from "react";
import { useRoom } from "../src/react/index.ts";
import { ConnectionIndicator } from "../src/react/parts/index.ts";

interface HeaderProps {
  readonly go: (room: string) => void;
  /** Who is here, in short. */
  readonly children?: ReactNode;
}

export function Header({ go, children }: HeaderProps): ReactNode {
  return (
    <header>
      <h1>
        <svg width="26" height="26" viewBox="0 0 26 26" aria-hidden="true">
          <circle className="mark-one" cx="10" cy="10" r="8" />
          <circle className="mark-two" cx="17" cy="17" r="7" />
        </svg>
        Presence
      </h1>
      <RoomForm go={go} />
      {children}
      <ConnectionIndicator rtt />
    </header>
  );
}

function RoomForm({ go }: { readonly go: (room: string) => void }): ReactNode {
  const { id } = useRoom();
  const [name, setName] = useState(id);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    go(name.trim() || "lobby");
  };
  return (
    <form className="room" onSubmit={submit} aria-label="Choose a room">
      <label htmlFor="room">Room</label>
      <input
        id="room"
        value={name}
        maxLength={128}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      {name.trim() !== id && <button type="submit">Go</button>}
    </form>
  );
}
