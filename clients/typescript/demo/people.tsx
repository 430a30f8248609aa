// Who is in the room now.
import type { ReactNode } from "react";
import { useMe, useUsers } from "../src/react/index.ts";
import { RoomRoster, StatusDot } from "../src/react/parts/index.ts";

export function PeopleHere(): ReactNode {
  const count = useUsers((users) => users.length);
  const [{ id }] = useMe();
  return (
    <section className="panel" aria-labelledby="here">
      <h2 id="here">
        Here now <span className="count">{count}</span>
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
