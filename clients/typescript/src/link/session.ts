// Which session this is: one for each tab, which a reload keeps and a duplicated tab does not share.
import type { Env } from "../api.ts";

/** This tab's name for its session, unless it was given one. Nobody else holds it until `signal` is aborted. */
export async function sessionName(
  { storage, uniqueId, claim }: Env,
  given: string | undefined,
  base: string,
  signal: AbortSignal,
): Promise<string> {
  if (given) return given;
  const key = `presence.session ${base}`;
  let name = storage?.getItem(key) || uniqueId();
  // A duplicated tab begins with a copy of the storage, while the first one holds the name.
  while (!signal.aborted && !(await claim(`presence.session ${name}`, signal))) name = uniqueId();
  try {
    storage?.setItem(key, name);
  } catch {
    // It is full: the next load of this tab will be another session.
  }
  return name;
}
