// How a user stands, as a dot.
import type { ComponentPropsWithoutRef, ReactNode } from "react";
import type { UserStatus } from "../../api.ts";
import { useStatus } from "../hooks.ts";
import { useWords } from "./words.tsx";

/** What {@link StatusDot} is given, beside what any `span` takes: a user to watch, or what is known already. */
export type StatusDotProps = Omit<ComponentPropsWithoutRef<"span">, "children"> &
  (
    | { readonly userId: string; readonly status?: never }
    | { readonly status: UserStatus["status"]; readonly userId?: never }
  );

/** How a user stands: filled, half or hollow, so that it does not take colours to tell. */
export function StatusDot({ userId, status, ...rest }: StatusDotProps): ReactNode {
  if (userId === undefined) return <Dot {...rest} status={status} />;
  return <WatchedDot {...rest} userId={userId} />;
}

function WatchedDot({ userId, ...rest }: { readonly userId: string }): ReactNode {
  return <Dot {...rest} status={useStatus(userId)?.status ?? null} />;
}

function Dot({ status, ...rest }: { readonly status: UserStatus["status"] | null }): ReactNode {
  const words = useWords();
  const label =
    status === null ? { "aria-hidden": true } : { "aria-label": words.status(status), title: words.status(status) };
  return <span role="img" {...label} {...rest} data-presence="dot" data-status={status ?? "unknown"} />;
}
