// Something that was asked of the server and takes its time: how it stands.
import { useCallback, useState } from "react";
import { PresenceError } from "../src/index.ts";

export type Task =
  | { readonly kind: "idle" }
  | { readonly kind: "running" }
  | { readonly kind: "failed"; readonly error: PresenceError };

/** How the last task stands, and a way to begin one. */
export function useTask(): readonly [task: Task, run: (work: () => Promise<void>) => Promise<void>] {
  const [task, setTask] = useState<Task>({ kind: "idle" });
  const run = useCallback(async (work: () => Promise<void>) => {
    setTask({ kind: "running" });
    try {
      await work();
      setTask({ kind: "idle" });
    } catch (cause) {
      const error = cause instanceof PresenceError ? cause : new PresenceError("unknown", String(cause), { cause });
      setTask({ kind: "failed", error });
    }
  }, []);
  return [task, run];
}
