// Invitations to this user, as they come: to accept, which goes to the room, or to decline.
import { type ReactNode, useCallback, useEffect, useState } from "react";
import type { Invite, People, Person } from "../src/people.ts";
import { useClientEvent, useConnection } from "../src/react/index.ts";
import { useTask } from "./task.ts";

export interface InvitationsProps {
  readonly people: People;
  readonly go: (room: string) => void;
}

export function Invitations({ people, go }: InvitationsProps): ReactNode {
  const [invites, reload] = useInvites(people);
  const [task, run] = useTask();
  const answer = (invite: Shown, how: "accept" | "decline"): void =>
    void run(async () => {
      await people[how](invite.room);
      await reload();
      if (how === "accept") go(invite.room);
    });
  return (
    <section className="invitations" aria-label="Invitations" aria-live="polite">
      {invites.map((invite) => (
        <div className="invitation" key={invite.room}>
          <p>
            <strong>
              <bdi>{invite.name}</bdi>
            </strong>{" "}
            invites you to{" "}
            <strong>
              <bdi>{invite.room}</bdi>
            </strong>
          </p>
          <button type="button" className="primary" onClick={() => answer(invite, "accept")}>
            Accept and enter
          </button>
          <button type="button" onClick={() => answer(invite, "decline")}>
            Decline
          </button>
        </div>
      ))}
      {task.kind === "failed" && <p className="problem">{task.error.message}</p>}
    </section>
  );
}

interface Shown extends Invite {
  readonly name: string;
}

function useInvites(people: People): readonly [readonly Shown[], reload: () => Promise<void>] {
  const [invites, setInvites] = useState<readonly Shown[]>([]);
  const reload = useCallback(async () => setInvites(await openInvites(people)), [people]);
  const isLive = useConnection(({ status }) => status === "live");
  // What can not be asked now is asked again when there is a connection.
  useEffect(() => {
    if (isLive) reload().catch(() => {});
  }, [isLive, reload]);
  useClientEvent("invitation", () => void reload().catch(() => {}));
  return [invites, reload];
}

async function openInvites(people: People): Promise<readonly Shown[]> {
  const invites = await people.invites();
  const hosts = [...new Set(invites.map(({ invitedBy }) => invitedBy))].slice(0, 100);
  const persons: readonly Person[] = hosts.length > 0 ? await people.persons(hosts) : [];
  const names = new Map(persons.map(({ id, name }) => [id, name]));
  return invites.map((invite) => ({ ...invite, name: names.get(invite.invitedBy) ?? invite.invitedBy }));
}
