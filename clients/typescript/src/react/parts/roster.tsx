// Who is in the room, as a list.
import { type ComponentPropsWithoutRef, type ReactNode, useEffect, useRef, useState } from "react";
import type { User } from "../../api.ts";
import { useRoom } from "../context.tsx";
import { useRoomEvent } from "../events.ts";
import { useSnapshot } from "../hooks.ts";
import { Announce } from "./announce.tsx";
import { Avatar } from "./avatar.tsx";
import { StatusDot } from "./status.tsx";
import { useWords } from "./words.tsx";

/** For how long comings and goings are gathered before they are said in one go. */
const GATHER = 2_000;
const NAMES = 3;

/** What {@link RoomRoster} is given, beside what any `ul` takes. */
export interface RoomRosterProps extends Omit<ComponentPropsWithoutRef<"ul">, "children"> {
  /** How many people to show at most; the others are counted. Default: 100. */
  readonly max?: number;
  /** What to show beside a name. Default: whether it is you, and how the user stands. */
  readonly children?: (user: User) => ReactNode;
  /** Whether screen readers say by themselves who came and went. Default: no. */
  readonly announce?: boolean;
}

/** Who is in the room: pictures, names, and how they stand. */
export function RoomRoster({ max = 100, children, announce = false, ...rest }: RoomRosterProps): ReactNode {
  const words = useWords();
  const [users, stale, myId] = useSnapshot(useRoom(), ({ users, stale, me }) => [users, stale, me.id] as const);
  const more = users.length - max;
  return (
    <>
      <ul aria-label={words.here(users.length)} {...rest} data-presence="roster" data-stale={stale}>
        {users.slice(0, max).map((user) => (
          <li key={user.id} data-presence="person" data-status={user.status} data-own={user.id === myId}>
            <Avatar user={user} role="presentation" aria-label={undefined} title={undefined} aria-hidden="true" />
            <span data-presence="name">
              <bdi>{user.name}</bdi>
            </span>
            {children?.(user) ?? (
              <>
                {user.id === myId && <span data-presence="note">{words.you}</span>}
                <StatusDot status={user.status} />
              </>
            )}
          </li>
        ))}
        {more > 0 && <li data-presence="rest">{words.more(more)}</li>}
      </ul>
      {announce && <RosterNews />}
    </>
  );
}

/** Says who came and went. Who did both in the meantime is not spoken of. */
function RosterNews(): ReactNode {
  const words = useWords();
  const [text, setText] = useState("");
  const gathered = useRef(new Map<string, { readonly name: string; readonly isHere: boolean }>());
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);

  const note = ({ id, name }: User, isHere: boolean): void => {
    const before = gathered.current.get(id);
    if (before && before.isHere !== isHere) gathered.current.delete(id);
    else gathered.current.set(id, { name, isHere });
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      const all = [...gathered.current.values()];
      gathered.current.clear();
      const came = all.filter(({ isHere }) => isHere).map(({ name }) => name);
      const went = all.filter(({ isHere }) => !isHere).map(({ name }) => name);
      const news = [
        ...(came.length > 0 ? [words.came(came.slice(0, NAMES), came.length)] : []),
        ...(went.length > 0 ? [words.went(went.slice(0, NAMES), went.length)] : []),
      ];
      if (news.length > 0) setText(news.join(" "));
    }, GATHER);
  };
  useRoomEvent("join", ({ user }) => note(user, true));
  useRoomEvent("leave", ({ user }) => note(user, false));
  useEffect(
    () => () => {
      clearTimeout(timer.current);
      timer.current = undefined;
    },
    [],
  );
  return <Announce text={text} after={0} />;
}
