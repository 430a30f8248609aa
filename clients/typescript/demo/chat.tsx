// What is said in the room: each message with what has become of it, who is typing, and a place to write.
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from "react";
import type { Json, Message, User } from "../src/index.ts";
import type { People } from "../src/people.ts";
import { useRoom, useUsers } from "../src/react/index.ts";
import { Avatar, TypingIndicator } from "../src/react/parts/index.ts";
import { type Line, useFeed } from "./feed.ts";

export function Chat({ people }: { readonly people: People }): ReactNode {
  return (
    <section className="chat panel" aria-labelledby="chat">
      <h2 id="chat">Messages</h2>
      <Feed lines={useFeed(people)} />
      <TypingIndicator />
      <Composer />
    </section>
  );
}

function Feed({ lines }: { readonly lines: readonly Line[] }): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const last = lines.at(-1)?.key;
  useEffect(() => {
    const element = box.current;
    if (last !== undefined && element && isAtEnd.current) element.scrollTop = element.scrollHeight;
  }, [last]);
  return (
    <div
      ref={box}
      className="feed"
      role="log"
      aria-label="Messages"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys.
      tabIndex={0}
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
        isAtEnd.current = scrollHeight - scrollTop - clientHeight < 40;
      }}
    >
      <ol>
        {lines.length === 0 && <li className="notice">Nothing has been said yet.</li>}
        {lines.map((line) =>
          line.kind === "notice" ? (
            <li key={line.key} className="notice">
              <bdi>{line.notice.name}</bdi> {line.notice.text}
            </li>
          ) : (
            <Said key={line.key} message={line.message} isFirst={line.isFirst} />
          ),
        )}
      </ol>
    </div>
  );
}

function Said({ message, isFirst }: { readonly message: Message; readonly isFirst: boolean }): ReactNode {
  const user = useUsers((users) => users.find(({ id }) => id === message.userId)) ?? absent(message);
  return (
    <li className="message" data-own={message.own} data-delivery={message.delivery.state}>
      {isFirst && !message.own && (
        <>
          <Avatar user={user} role="presentation" aria-label={undefined} aria-hidden="true" />
          <span className="author">
            <bdi>{user.name}</bdi>
          </span>
        </>
      )}
      <p dir="auto">{textOf(message.data)}</p>
      {message.own && <DeliveryState message={message} />}
    </li>
  );
}

/** Somebody who has left, as far as their message says. */
function absent({ userId, userName, timestamp }: Message): User {
  const id = userId ?? "";
  const unknown = { color: "", avatar: null, email: null, status: "away", connectionCount: 0, sessions: [] } as const;
  return { ...unknown, id, name: userName ?? id, joinedAt: timestamp, lastSeen: timestamp };
}

function DeliveryState({ message: { id, delivery, timestamp } }: { readonly message: Message }): ReactNode {
  const room = useRoom();
  switch (delivery.state) {
    case "pending":
      return <span className="delivery">Sending…</span>;
    case "stored":
      return (
        <span className="delivery">
          <time dateTime={new Date(timestamp).toISOString()}>
            {new Date(timestamp).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}
          </time>{" "}
          · Stored
        </span>
      );
    case "failed":
      return (
        <span className="delivery">
          Not sent: {delivery.error.message}{" "}
          <button type="button" onClick={() => void room.resend(id).catch(() => {})}>
            Send again
          </button>{" "}
          <button type="button" onClick={() => room.discard(id)}>
            Discard
          </button>
        </span>
      );
  }
}

/** What this page sends is `{text}`; another client may send any JSON. */
function textOf(data: Json): string {
  const said = typeof data === "object" && data !== null && "text" in data ? data.text : null;
  return typeof said === "string" ? said : JSON.stringify(data);
}

function Composer(): ReactNode {
  const room = useRoom();
  const [text, setText] = useState("");
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (text.trim() === "") return;
    // What becomes of it is shown beside it.
    room.send({ text: text.trim() }).catch(() => {});
    setText("");
  };
  return (
    <form className="composer" onSubmit={submit}>
      <input
        aria-label="Write a message"
        placeholder="Write a message"
        value={text}
        maxLength={2000}
        autoComplete="off"
        dir="auto"
        onChange={(event) => {
          setText(event.currentTarget.value);
          room.typing(event.currentTarget.value !== "");
        }}
      />
      <button type="submit" className="primary" disabled={text.trim() === ""}>
        Send
      </button>
    </form>
  );
}
