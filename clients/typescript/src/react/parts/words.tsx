// All words of the parts, so that an application can put its own in their place.
import { type Context, createContext, type ReactNode, useContext } from "react";
import type { ClosedReason, ConnectionSnapshot, UserStatus } from "../../api.ts";

/** What the parts say. */
export interface Words {
  readonly here: (count: number) => string;
  readonly more: (count: number) => string;
  readonly you: string;
  readonly status: (status: UserStatus["status"]) => string;
  /** Who types: at most a few names, of so many. */
  readonly typing: (names: readonly string[], count: number) => string;
  readonly came: (names: readonly string[], count: number) => string;
  readonly went: (names: readonly string[], count: number) => string;
  readonly connectionLabel: string;
  readonly connection: (connection: ConnectionSnapshot) => string;
  readonly rtt: (milliseconds: number) => string;
  readonly attempt: (attempt: number) => string;
  readonly nextTry: (seconds: number) => string;
  readonly retry: (reason: ClosedReason | null) => string;
  readonly offline: string;
  readonly back: string;
  readonly pending: (count: number) => string;
  readonly inStep: string;
  readonly lastInStep: (minutes: number) => string;
}

/** A name in a sentence, whichever way either of them is written. */
export function isolate(name: string): string {
  return `\u2068${name}\u2069`;
}

function list(names: readonly string[], count: number): string {
  const rest = count - names.length;
  const all = [...names.map(isolate), ...(rest > 0 ? [rest === 1 ? "1 other" : `${rest} others`] : [])];
  const last = all.pop() ?? "";
  return all.length > 0 ? `${all.join(", ")} and ${last}` : last;
}

const CLOSED: Record<ClosedReason, string> = {
  disconnected: "Disconnected",
  superseded: "Open in another place",
  unauthorized: "Not signed in",
  expired: "Signed out",
  kicked: "Removed by an operator",
  refused: "This page is out of date",
  gave_up: "Cannot connect",
};

function connection(state: ConnectionSnapshot): string {
  switch (state.status) {
    case "idle":
      return "Not connected";
    case "live":
      return state.quality === "poor" ? "Connected, but slow" : "Connected";
    case "waiting":
      return state.nextTryAt === null ? "No network" : "Connection lost";
    case "closed":
      return CLOSED[state.reason];
    default:
      return state.attempt > 0 || state.stale ? "Reconnecting…" : "Connecting…";
  }
}

/** English: the words that the parts use if they are given no others. */
export const english: Words = {
  here: (count) => (count === 1 ? "1 person here" : `${count} people here`),
  more: (count) => `${count} more`,
  you: "you",
  status: (status) => status,
  typing: (names, count) => `${list(names, count)} ${count === 1 ? "is" : "are"} typing…`,
  came: (names, count) => `${list(names, count)} joined.`,
  went: (names, count) => `${list(names, count)} left.`,
  connectionLabel: "Connection",
  connection,
  rtt: (milliseconds) => `${milliseconds} ms`,
  attempt: (attempt) => `attempt ${attempt}`,
  nextTry: (seconds) => (seconds > 0 ? `next try in ${seconds} s` : "trying"),
  retry: (reason) => (reason === "superseded" ? "Use here" : "Retry now"),
  offline: "You still see what was here last. What you send goes out when the connection is back.",
  back: "Connected again",
  pending: (count) => (count === 1 ? "1 message is waiting" : `${count} messages are waiting`),
  inStep: "Up to date",
  lastInStep: (minutes) => (minutes < 1 ? "Up to date until a moment ago" : `Up to date until ${minutes} min ago`),
};

const WordsContext: Context<Words> = /* @__PURE__ */ createContext(english);

/** What {@link WordsProvider} is given. */
export interface WordsProviderProps {
  /** What is left out stays English. */
  readonly words: Partial<Words>;
  readonly children?: ReactNode;
}

/** Gives the parts in it other words: another language, another tone. */
export function WordsProvider({ words, children }: WordsProviderProps): ReactNode {
  return <WordsContext.Provider value={{ ...useWords(), ...words }}>{children}</WordsContext.Provider>;
}

export function useWords(): Words {
  return useContext(WordsContext);
}
