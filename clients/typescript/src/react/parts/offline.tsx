// A banner for when there is no connection: what that means, and what is done about it.
import { type ComponentPropsWithoutRef, type ReactNode, useEffect, useState } from "react";
import { useConnection } from "../hooks.ts";
import { Announce } from "./announce.tsx";
import { isTroubled, RetryButton, RetryDetail, useConnectionNews } from "./connection.tsx";
import { useWords } from "./words.tsx";

/** What {@link OfflineBanner} is given, beside what any `section` takes. */
export interface OfflineBannerProps extends ComponentPropsWithoutRef<"section"> {
  /** For how many milliseconds something has to be wrong before the banner shows: most troubles are over in a moment. */
  readonly after?: number;
}

/** Shows itself while there is no connection. Screen readers hear once that it was lost, and once that it is back. */
export function OfflineBanner({ after = 1_500, children, ...rest }: OfflineBannerProps): ReactNode {
  const words = useWords();
  const connection = useConnection((now) => ({ ...now, rtt: null }));
  const news = useConnectionNews(connection, words);
  const isShown = useLasting(isTroubled(connection), after);
  return (
    <>
      {isShown && (
        <section aria-label={words.connectionLabel} {...rest} data-presence="offline" data-status={connection.status}>
          <p data-presence="offline-text">
            <strong>{words.connection(connection)}</strong> {children ?? words.offline}{" "}
            {connection.pending > 0 && <span data-presence="offline-pending">{words.pending(connection.pending)}</span>}
          </p>
          <RetryDetail connection={connection} />
          <RetryButton connection={connection} />
        </section>
      )}
      <Announce text={news} after={after} />
    </>
  );
}

/** Whether something has been so for a while. It ends at once. */
function useLasting(isSo: boolean, after: number): boolean {
  const [lasts, setLasts] = useState(false);
  if (!isSo && lasts) setLasts(false);
  useEffect(() => {
    if (!isSo) return;
    const timer = setTimeout(() => setLasts(true), after);
    return () => clearTimeout(timer);
  }, [isSo, after]);
  return isSo && lasts;
}
