// What was said and who came and went, as one list, in the order in which this tab saw it.
import { useEffect, useRef, useState } from "react";
import type { Message, User } from "../src/index.ts";
import type { People } from "../src/people.ts";
import { useMessages, useRoom, useRoomEvent, useSnapshot } from "../src/react/index.ts";

/** Somebody came or went; told after the message of that key, or before all. */
export interface Notice {
  readonly key: string;
  readonly text: string;
  readonly name: string;
  readonly after: string | null;
}

export type Line =
  | { readonly kind: "message"; readonly key: string; readonly message: Message; readonly isFirst: boolean }
  | { readonly kind: "notice"; readonly key: string; readonly notice: Notice };

const NOTICES = 50;
/** What was said before this tab came is shown as far as so many requests reach. */
const PAGES = 10;
const PAGE = 200;
const SHOWN = 100;

export function useFeed(people: People): readonly Line[] {
  const messages = useMessages();
  const earlier = useEarlier(people);
  const isThere = new Set(messages.map(({ key }) => key));
  const all = [...earlier.filter(({ key }) => !isThere.has(key)), ...messages];
  return lines(all, useNotices(all.at(-1)?.key ?? null));
}

function lines(messages: readonly Message[], notices: readonly Notice[]): readonly Line[] {
  const keys = new Set(messages.map(({ key }) => key));
  const after = (place: string | null): readonly Line[] =>
    notices
      .filter((notice) => (notice.after !== null && keys.has(notice.after) ? notice.after : null) === place)
      .map((notice) => ({ kind: "notice", key: notice.key, notice }));
  const found = [...after(null)];
  for (const message of messages) {
    const before = found.at(-1);
    const isFirst = before?.kind !== "message" || before.message.userId !== message.userId;
    found.push({ kind: "message", key: message.key, message, isFirst }, ...after(message.key));
  }
  return found;
}

function useNotices(after: string | null): readonly Notice[] {
  const [notices, setNotices] = useState<readonly Notice[]>([]);
  const count = useRef(0);
  const add = ({ name }: User, text: string): void => {
    count.current += 1;
    const notice = { key: `notice ${count.current}`, text, name, after };
    setNotices((before) => [...before.slice(1 - NOTICES), notice]);
  };
  useRoomEvent("join", ({ user }) => add(user, "came in"));
  useRoomEvent("leave", ({ user }) => add(user, "left"));
  return notices;
}

/** What was said in the room before. It is asked for once; what comes from then on comes by itself. */
function useEarlier(people: People): readonly Message[] {
  const room = useRoom();
  const isIn = useSnapshot(room, ({ status }) => status.kind === "live");
  const [earlier, setEarlier] = useState<readonly Message[] | null>(null);
  useEffect(() => {
    if (!isIn || earlier !== null) return;
    let isWanted = true;
    // Without it the page shows what comes, which is no error.
    const shown = (messages: readonly Message[]): void => void (isWanted && setEarlier(messages));
    history(people, room.id).then(shown, () => shown([]));
    return () => {
      isWanted = false;
    };
  }, [isIn, earlier, people, room]);
  return earlier ?? [];
}

async function history(people: People, room: string): Promise<readonly Message[]> {
  let found: readonly Message[] = [];
  let after = 0;
  for (let page = 0; page < PAGES; page += 1) {
    const { messages, more } = await people.history(room, { after, limit: PAGE });
    found = [...found, ...messages].slice(-SHOWN);
    const last = messages.at(-1);
    if (!more || last?.delivery.state !== "stored") break;
    after = last.delivery.seq;
  }
  return found;
}
