// This user: the name that the others see, and the id to be invited by.
import { type FormEvent, type ReactNode, useState } from "react";
import { PresenceError } from "../src/index.ts";
import type { People } from "../src/people.ts";
import { useMe } from "../src/react/index.ts";
import { SyncStatus } from "../src/react/parts/index.ts";
import { useTask } from "./task.ts";

/** The server says so too, but then browsers complain on their console. */
const SHORTEST = 3;
const TOO_SHORT = `A name has at least ${SHORTEST} characters.`;

export function You({ people }: { readonly people: People }): ReactNode {
  const [{ id, user }] = useMe();
  // What is being written; `null` while nothing is, and the field shows the name as it is.
  const [draft, setDraft] = useState<string | null>(null);
  const [task, run] = useTask();
  const name = user?.name ?? "";
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const next = (draft ?? name).trim();
    if (next === name || next === "") return setDraft(null);
    void run(async () => {
      if (Array.from(next).length < SHORTEST) throw new PresenceError("bad_message", TOO_SHORT);
      await people.rename(next);
      setDraft(null);
    });
  };
  return (
    <section className="panel" aria-labelledby="you">
      <h2 id="you">You</h2>
      <form className="line" onSubmit={submit}>
        <label htmlFor="name">Name</label>
        <input
          id="name"
          value={draft ?? name}
          maxLength={64}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setDraft(event.currentTarget.value)}
        />
        {draft !== null && draft.trim() !== name && <button type="submit">Rename</button>}
      </form>
      <p className="quiet">
        Your id is <code>{id ?? "…"}</code>
      </p>
      <p className="problem" role="alert">
        {task.kind === "failed" && task.error.message}
      </p>
      <SyncStatus />
    </section>
  );
}
