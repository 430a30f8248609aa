// Who is typing, as a line.
import type { ComponentPropsWithoutRef, ReactNode } from "react";
import { useTyping } from "../hooks.ts";
import { Announce } from "./announce.tsx";
import { useWords } from "./words.tsx";

/** How long somebody has to type before it is said aloud. */
const SETTLED = 2_000;

/** What {@link TypingIndicator} is given, beside what any `p` takes. */
export interface TypingIndicatorProps extends Omit<ComponentPropsWithoutRef<"p">, "children"> {
  /** How many names to show at most; the others are counted. Default: 3. */
  readonly max?: number;
  /** Whether screen readers say it by themselves. Default: no, since it never ends. */
  readonly announce?: boolean;
}

/** Who is typing. It keeps its line while nobody is, so that nothing jumps. */
export function TypingIndicator({ max = 3, announce = false, ...rest }: TypingIndicatorProps): ReactNode {
  const words = useWords();
  const names = useTyping((users) => users.map((user) => user.name));
  const text = names.length > 0 ? words.typing(names.slice(0, max), names.length) : "";
  return (
    <>
      <p {...rest} data-presence="typing" data-count={names.length}>
        {text !== "" && <span data-presence="typing-dots" aria-hidden="true" />}
        {text}
      </p>
      {announce && <Announce text={text} after={SETTLED} />}
    </>
  );
}
