// Which session this is: one for each tab, which a reload keeps and a duplicated tab does not share.
import type { Env } from "../api.ts";

/** The session's name: the given one, or that of this tab. Nobody else holds it until `signal` is aborted. */
export async function sessionName(
  env: Env,
  given: string | undefined,
  base: string,
  signal: AbortSignal,
): Promise<string> {
  if (given !== undefined) return given;
  const key = `presence.session ${base}`;
  let name = read(env, key) ?? env.uniqueId();
  // A duplicated tab begins with a copy of the storage, while the first one holds the name.
  while (!signal.aborted && !(await env.claim(`presence.session ${name}`, signal))) name = env.uniqueId();
  try {
    env.storage?.setItem(key, name);
  } catch {
    // The next load of this tab will be another session.
  }
  return name;
}

function read(env: Env, key: string): string | null {
  try {
    return env.storage?.getItem(key) || null;
  } catch {
    return null;
  }
}
