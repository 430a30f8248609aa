// The right to lead, which one tab has at a time, and what the ports of a tab leave to each other.
import type { Env, Release } from "../api.ts";
import type { Hold } from "./outside.ts";

/** How long a port that has won the lead may take until the next one of its tab is there to use it. */
const GAP = 5_000;

/** The right to lead. */
export interface Lease {
  readonly release: Release;
  /** Another tab has taken it. Whoever has the lease says what to do then. */
  lost: () => void;
}

/** Waits for the lease. What it gives ends the waiting; a lease that was won has its own end. */
export function claim(
  hold: Hold,
  name: string,
  how: { readonly steal: boolean; readonly won: (lease: Lease) => void; readonly failed: () => void },
): Release {
  const control = new AbortController();
  let lease: Lease | null = null;
  hold(name, {
    signal: control.signal,
    steal: how.steal,
    held() {
      lease = { release: () => control.abort(), lost: () => {} };
      how.won(lease);
    },
    lost: () => (lease ? lease.lost() : how.failed()),
  });
  return () => lease || control.abort();
}

/** All tabs that may share one connection, as one of them knows them. */
export interface Group {
  /** What they all know them by. */
  readonly name: string;
  /** As which session they are known to the server; `null` if there was no connection yet. */
  session: string | null;
  /** The latest connection that was heard of. */
  hub: number;
  /** Keeps a lease that one port has won for the next one. */
  readonly leave: (lease: Lease) => void;
  readonly take: () => Lease | null;
}

export function createGroup(env: Env, name: string): Group {
  let left: Lease | null = null;
  let stale: Release = () => {};
  const take = (): Lease | null => {
    const lease = left;
    left = null;
    stale();
    return lease;
  };
  return {
    name,
    session: null,
    hub: 0,
    leave(lease) {
      take()?.release();
      left = lease;
      lease.lost = take;
      stale = env.after(GAP, () => take()?.release());
    },
    take,
  };
}
