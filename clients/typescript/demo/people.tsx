// Who is in the room now.
import type { ReactNode } from "react";
import { useMe, useRoom, useUsers } from "../src/react/index.ts";
import { RoomRoster, StatusDot } from "../src/react/parts/index.ts";
import { addressOf } from "./address.ts";

export function PeopleHere(): ReactNode {
  const count = useUsers((users) => users.length);
  const [{ id }] = useMe();
  const room = useRoom();
  return (
    <section className="panel" aria-labelledby="here">
      <h2 id="here">
        Here now <span className="count">{count}</span>
        <a href={addressOf(room.id, true, "crowd")}>As a crowd</a>
      </h2>
      <RoomRoster aria-label="People here now" announce>
        {(user) => {
          const notes = [
            ...(user.id === id ? ["you"] : []),
            ...(user.status === "away" ? ["away"] : []),
            ...(user.connectionCount > 1 ? [`${user.connectionCount} tabs`] : []),
          ];
          return (
            <>
              <span data-presence="note">{notes.join(" · ")}</span>
              <StatusDot status={user.status} />
            </>
          );
        }}
      </RoomRoster>
    </section>
  );
}
