// A room as a crowd: its totals, and a list that scrolls through everybody while only a window of it is read.
import { type ReactNode, useEffect, useState } from "react";
import type { User, WindowSnapshot } from "../src/index.ts";
import { useMe, useRoom, useWindow } from "../src/react/index.ts";
import { Avatar, StatusDot } from "../src/react/parts/index.ts";
import { addressOf } from "./address.ts";

/** As high as a row of the stylesheet. */
const ROW = 44;

/** About as many as a screen shows. */
const SCREEN = 20;

export function Crowd(): ReactNode {
  const room = useRoom();
  const [first, setFirst] = useState(0);
  // A screen more on either side is there before it is seen.
  const crowd = useWindow(room, { from: Math.max(0, first - SCREEN), count: 3 * SCREEN });
  const { total } = crowd;
  useEffect(() => {
    document.title = `${total} in ${room.id} · Presence`;
  }, [total, room]);
  return (
    <section className="crowd panel" aria-labelledby="crowd">
      <h2 id="crowd">
        Here now <span className="count">{total}</span>
        <a href={addressOf(room.id, true, null)}>Read the whole room</a>
      </h2>
      <Facts crowd={crowd} />
      <section
        className="scroll"
        aria-label="Everybody"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys.
        tabIndex={0}
        onScroll={({ currentTarget: { scrollTop } }) => setFirst(Math.floor(scrollTop / ROW))}
      >
        <ol aria-label="People here now" style={{ height: total * ROW }}>
          {crowd.users.map((user, at) => (
            <Row key={user.id} user={user} place={crowd.from + at} total={total} />
          ))}
        </ol>
      </section>
    </section>
  );
}

function Facts({ crowd: { status, stale, error, users, from, sessions, mode } }: { crowd: WindowSnapshot }): ReactNode {
  const problem = status.kind === "refused" ? status.error : error;
  const rows = users.length > 0 ? `rows ${from + 1} to ${from + users.length} are read` : "no rows are read";
  const pace = mode === "wide" ? "changes within a quarter of a second" : "changes at once";
  return (
    <>
      <p className="quiet">
        In {sessions} {sessions === 1 ? "tab" : "tabs"} · {rows} · {stale ? "as it was last" : pace}
      </p>
      <p className="problem" role="alert">
        {problem?.message}
      </p>
    </>
  );
}

interface RowProps {
  readonly user: User;
  readonly place: number;
  readonly total: number;
}

function Row({ user, place, total }: RowProps): ReactNode {
  const [{ id }] = useMe();
  return (
    <li style={{ top: place * ROW }} aria-posinset={place + 1} aria-setsize={total}>
      <span className="place">{place + 1}</span>
      <Avatar user={user} role="presentation" aria-label={undefined} aria-hidden="true" />
      <bdi>{user.name}</bdi>
      <span data-presence="note">{user.id === id && "you"}</span>
      <StatusDot status={user.status} />
    </li>
  );
}
