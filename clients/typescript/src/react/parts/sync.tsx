// Whether what is shown and what was said is in step with the server.
import type { ComponentPropsWithoutRef, ReactNode } from "react";
import { useConnection } from "../hooks.ts";
import { useSteps } from "./countdown.ts";
import { useWords } from "./words.tsx";

/** What {@link SyncStatus} is given, beside what any `p` takes. */
export type SyncStatusProps = Omit<ComponentPropsWithoutRef<"p">, "children">;

/** How many messages wait, and since when what is shown may be out of date. */
export function SyncStatus(props: SyncStatusProps): ReactNode {
  const words = useWords();
  const { pending, stale, syncedAt } = useConnection(({ pending, stale, syncedAt }) => ({
    pending,
    stale,
    // While all is well it goes on with every check, and nobody sees it.
    syncedAt: stale ? syncedAt : syncedAt && 0,
  }));
  const minutes = useSteps(stale ? syncedAt : null, 60_000);
  const parts = [
    ...(pending > 0 ? [words.pending(pending)] : []),
    ...(minutes === null ? [] : [words.lastInStep(Math.max(0, -minutes))]),
  ];
  const isInStep = parts.length === 0 && syncedAt !== null;
  const state = stale ? "stale" : pending > 0 ? "pending" : isInStep ? "in-step" : "none";
  return (
    <p {...props} data-presence="sync" data-state={state}>
      {isInStep ? words.inStep : parts.join(" · ")}
    </p>
  );
}
