// The room's roster: who belongs to it, whether here or not, and who is invited.
import { type FormEvent, type ReactNode, useState } from "react";
import type { People } from "../src/people.ts";
import { useMe, useOthers, useRoom } from "../src/react/index.ts";
import { StatusDot } from "../src/react/parts/index.ts";
import { type Belonging, useBelonging } from "./belonging.ts";
import { useTask } from "./task.ts";

export function Members({ people }: { readonly people: People }): ReactNode {
  const room = useRoom();
  const [{ id }] = useMe();
  const [belonging, reload] = useBelonging(people, room.id);
  const [task, run] = useTask();
  const act = (work: () => Promise<unknown>): void =>
    void run(async () => {
      await work();
      await reload();
    });
  return (
    <section className="panel" aria-labelledby="members">
      <h2 id="members">
        Members {belonging.kind === "member" && <span className="count">{belonging.members.length}</span>}
      </h2>
      {belonging.kind === "member" && (
        <Roster belonging={belonging} withdraw={(user) => act(() => people.withdraw(room.id, user))} />
      )}
      {belonging.kind === "member" && (
        <InviteForm belonging={belonging} invite={(user) => act(() => people.invite(room.id, user))} />
      )}
      {belonging.kind === "stranger" && (
        <>
          <p className="quiet">Members get what is said while they are away, and may invite others.</p>
          <button
            type="button"
            disabled={id === null || task.kind === "running"}
            onClick={() => id !== null && act(() => people.addMember(room.id, id))}
          >
            Become a member
          </button>
        </>
      )}
      <p className="problem" role="alert">
        {task.kind === "failed" && task.error.message}
      </p>
    </section>
  );
}

type Member = Extract<Belonging, { readonly kind: "member" }>;

interface RosterProps {
  readonly belonging: Member;
  readonly withdraw: (user: string) => void;
}

function Roster({ belonging, withdraw }: RosterProps): ReactNode {
  return (
    <ul className="roster" aria-label="Members of this room">
      {belonging.members.map(({ userId, name }) => (
        <li key={userId}>
          <bdi>{name ?? userId}</bdi>
          <StatusDot userId={userId} />
        </li>
      ))}
      {belonging.invites.map(({ userId }) => (
        <li key={userId} className="invited">
          <bdi>{userId}</bdi> <span className="quiet">invited</span>
          <button type="button" aria-label={`Withdraw the invitation of ${userId}`} onClick={() => withdraw(userId)}>
            <svg width="12" height="12" viewBox="0 0 12 12" stroke="currentColor" strokeWidth="1.5" aria-hidden="true">
              <path d="M2 2l8 8M10 2l-8 8" />
            </svg>
          </button>
        </li>
      ))}
    </ul>
  );
}

interface InviteFormProps {
  readonly belonging: Member;
  readonly invite: (user: string) => void;
}

/** Anybody may be invited by their id; those who are here are proposed. */
function InviteForm({ belonging, invite }: InviteFormProps): ReactNode {
  const [user, setUser] = useState("");
  const known = new Set([...belonging.members, ...belonging.invites].map(({ userId }) => userId));
  const guests = useOthers((others) => others).filter(({ id }) => !known.has(id));
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (user.trim() === "") return;
    invite(user.trim());
    setUser("");
  };
  return (
    <>
      {guests.length > 0 && (
        <ul className="chips" aria-label="Invite who is here">
          {guests.slice(0, 5).map(({ id, name }) => (
            <li key={id}>
              <button type="button" onClick={() => invite(id)}>
                Invite <bdi>{name}</bdi>
              </button>
            </li>
          ))}
        </ul>
      )}
      <form className="line" onSubmit={submit}>
        <label htmlFor="invite">Invite</label>
        <input
          id="invite"
          value={user}
          placeholder="a user’s id"
          maxLength={128}
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          onChange={(event) => setUser(event.currentTarget.value)}
        />
        {user.trim() !== "" && <button type="submit">Send</button>}
      </form>
    </>
  );
}
