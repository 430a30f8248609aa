// Says things to those who listen to a page: only what lasts, and never the same twice.
import { type CSSProperties, type ReactNode, useEffect, useState } from "react";

/** For screen readers alone; without a stylesheet too. */
const UNSEEN: CSSProperties = {
  position: "absolute",
  width: 1,
  height: 1,
  margin: -1,
  overflow: "hidden",
  clipPath: "inset(50%)",
  whiteSpace: "nowrap",
};

/** A live region. What is replaced within `after` milliseconds is not said: a connection may come and go. */
export function Announce({ text, after = 1_000 }: { readonly text: string; readonly after?: number }): ReactNode {
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (text === said) return;
    const timer = setTimeout(() => setSaid(text), after);
    return () => clearTimeout(timer);
  }, [text, said, after]);
  return (
    <span role="status" style={UNSEEN}>
      {said}
    </span>
  );
}

/** Text in the place of what only eyes understand. */
export function Unseen({ children }: { readonly children: ReactNode }): ReactNode {
  return <span style={UNSEEN}>{children}</span>;
}
