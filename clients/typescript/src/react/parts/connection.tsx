// How the connection stands: its quality, what it waits for, and a way to hurry it.
import { type ComponentPropsWithoutRef, type ReactNode, useState } from "react";
import type { ConnectionSnapshot } from "../../api.ts";
import { useClient } from "../context.tsx";
import { useConnection } from "../hooks.ts";
import { Announce } from "./announce.tsx";
import { useSteps } from "./countdown.ts";
import { useWords, type Words } from "./words.tsx";

/** Whether something is wrong that a person would want to know: not the first try, nor what was asked for. */
export function isTroubled(connection: ConnectionSnapshot): boolean {
  switch (connection.status) {
    case "idle":
    case "live":
      return false;
    case "closed":
      return connection.reason !== "disconnected";
    case "waiting":
      return true;
    default:
      return connection.attempt > 0 || connection.stale;
  }
}

/** What has to be said aloud about a connection: that it was lost, and that it is back. Nothing at first. */
export function useConnectionNews(connection: ConnectionSnapshot, words: Words): string {
  // What was said when it was lost; nothing once it is back, and `null` if it never was.
  const [lost, setLost] = useState<string | null>(null);
  const troubled = isTroubled(connection);
  if (troubled && !lost) setLost(words.connection(connection));
  if (!troubled && lost) setLost("");
  if (connection.status === "live") return lost === null ? "" : words.back;
  // From one try to the next the words change; only the end of all tries is news.
  if (connection.status === "closed" && troubled) return words.connection(connection);
  return troubled && lost ? lost : "";
}

/** A button that tries again at once. It stays where it is while it tries, so that the focus does too. */
export function RetryButton({ connection }: { readonly connection: ConnectionSnapshot }): ReactNode {
  const client = useClient();
  const words = useWords();
  const { status } = connection;
  if (!isTroubled(connection)) return null;
  const isTrying = status === "connecting" || status === "syncing";
  return (
    <button
      type="button"
      data-presence="retry"
      aria-disabled={isTrying}
      onClick={() => {
        if (!isTrying) client.connection.retryNow();
      }}
    >
      {words.retry(status === "closed" ? connection.reason : null)}
    </button>
  );
}

/** Which try it is, and when the next one is. */
export function RetryDetail({ connection }: { readonly connection: ConnectionSnapshot }): ReactNode {
  const words = useWords();
  const isWaiting = connection.status === "waiting";
  const seconds = useSteps(isWaiting ? connection.nextTryAt : null, 1_000);
  if (!isTroubled(connection) || connection.attempt === 0) return null;
  const next = seconds === null ? [] : [words.nextTry(Math.max(0, seconds))];
  return <span data-presence="connection-detail">{[words.attempt(connection.attempt), ...next].join(" · ")}</span>;
}

/** What {@link ConnectionIndicator} is given, beside what any `div` takes. */
export interface ConnectionIndicatorProps extends Omit<ComponentPropsWithoutRef<"div">, "children"> {
  /** Whether to show how long a heartbeat takes. Default: no. */
  readonly rtt?: boolean;
  /** Whether screen readers say it by themselves when it changes. Default: no, as an `OfflineBanner` does. */
  readonly announce?: boolean;
}

/** How the connection stands. */
export function ConnectionIndicator({ rtt = false, announce = false, ...rest }: ConnectionIndicatorProps): ReactNode {
  const words = useWords();
  // The time of a heartbeat is another one each time; only who shows it has to be drawn for that.
  const connection = useConnection((now) => (rtt ? now : { ...now, rtt: null }));
  const news = useConnectionNews(connection, words);
  const { status, quality, stale } = connection;
  return (
    <div {...rest} data-presence="connection" data-status={status} data-quality={quality} data-stale={stale}>
      <span data-presence="signal" aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      <span data-presence="connection-text">{words.connection(connection)}</span>
      {rtt && status === "live" && connection.rtt !== null && (
        <span data-presence="connection-detail">{words.rtt(Math.round(connection.rtt))}</span>
      )}
      <RetryDetail connection={connection} />
      <RetryButton connection={connection} />
      {announce && <Announce text={news} />}
    </div>
  );
}
