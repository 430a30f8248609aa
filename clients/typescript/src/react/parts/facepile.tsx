// Who is here, as a stack of pictures with a count.
import type { ComponentPropsWithoutRef, ReactNode } from "react";
import type { User } from "../../api.ts";
import { useUsers } from "../hooks.ts";
import { Avatar } from "./avatar.tsx";
import { useWords } from "./words.tsx";

/** What {@link Facepile} is given, beside what any `ul` takes. */
export interface FacepileProps extends Omit<ComponentPropsWithoutRef<"ul">, "children"> {
  /** How many pictures to show at most; the others are counted. Default: 5. */
  readonly max?: number;
  /** Whom to show. Default: everybody in the room. */
  readonly users?: readonly User[];
}

/** Who is here, as a stack of pictures with a count. */
export function Facepile({ max = 5, users, ...rest }: FacepileProps): ReactNode {
  const words = useWords();
  const present = useUsers();
  const all = users ?? present;
  // One more picture takes no more room than the count of one.
  const shown = all.length === max + 1 ? all : all.slice(0, max);
  const more = all.length - shown.length;
  return (
    <ul aria-label={words.here(all.length)} {...rest} data-presence="facepile">
      {shown.map((user) => (
        <li key={user.id}>
          <Avatar user={user} />
        </li>
      ))}
      {more > 0 && (
        <li>
          <span data-presence="more" role="img" aria-label={words.more(more)}>
            +{more}
          </span>
        </li>
      )}
    </ul>
  );
}
