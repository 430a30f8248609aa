// The digest of a roster: how a client sees that what it shows is not what the server has.

const encoder = new TextEncoder();

/** 32-bit FNV-1a (Fowler, Noll, Vo). */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of encoder.encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** The sum, modulo 2³², of the hash of `id:connectionCount` of every user, in eight hex digits. */
export function digestOf(users: Iterable<{ readonly id: string; readonly connectionCount: number }>): string {
  let sum = 0;
  for (const { id, connectionCount } of users) sum = (sum + fnv1a(`${id}:${connectionCount}`)) >>> 0;
  return sum.toString(16).padStart(8, "0");
}
