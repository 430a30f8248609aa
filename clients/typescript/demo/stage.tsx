// The shared space: everybody's pointers, and what to do here.
import { type ReactNode, useState } from "react";
import { useCursors, useRoom, useSnapshot } from "../src/react/index.ts";
import { CursorArea } from "../src/react/parts/index.ts";
import { addressOf } from "./address.ts";

export function Stage(): ReactNode {
  const room = useRoom();
  const status = useSnapshot(room, ({ status }) => status);
  const isAlone = useSnapshot(room, ({ others }) => others.length === 0);
  const someonePoints = useCursors((cursors) => cursors.length > 0);
  const [hasMoved, setMoved] = useState(false);
  const hint = !hasMoved && !someonePoints ? "Move your pointer here: everybody in the room sees it." : "";
  return (
    <CursorArea className="stage" aria-label="Shared space" role="region" onPointerMove={() => setMoved(true)}>
      {status.kind === "refused" ? (
        <p className="hint" role="alert">
          <strong>This room can not be entered.</strong>
          <br />
          {status.error.message}
        </p>
      ) : (
        <p className="hint">
          {hint}
          {isAlone && (
            <>
              {hint && <br />}
              <a href={addressOf(room.id, false)} target="_blank" rel="noopener">
                Open a second tab
              </a>{" "}
              and you meet yourself.
            </>
          )}
        </p>
      )}
    </CursorArea>
  );
}
