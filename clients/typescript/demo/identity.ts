// Who this tab is: the user that the address names, or a guest of its own, so that two tabs see two people.

const ANIMALS = [
  "Otter",
  "Heron",
  "Lynx",
  "Badger",
  "Swift",
  "Marten",
  "Ibex",
  "Puffin",
  "Hare",
  "Newt",
  "Wren",
  "Seal",
] as const;

const KEY = "presence.guest";

/** A user with a name. */
export interface Guest {
  readonly id: string;
  readonly name: string;
}

/** A reload keeps the guest. `named` is a user's id, which is their first name too. */
export function identify(named: string | null, storage: Storage | null): Guest {
  if (named !== null) return { id: named.slice(0, 128), name: named.slice(0, 64) };
  const guest = stored(storage) ?? stranger();
  try {
    storage?.setItem(KEY, JSON.stringify(guest));
  } catch {
    // The next load of this tab will be somebody else.
  }
  return guest;
}

function stranger(): Guest {
  const [pick = 0, ...rest] = crypto.getRandomValues(new Uint32Array(3));
  const id = rest.map((part) => part.toString(36)).join("");
  const name = ANIMALS[pick % ANIMALS.length] ?? ANIMALS[0];
  return { id: `${name.toLowerCase()}-${id.slice(0, 6)}`, name };
}

function stored(storage: Storage | null): Guest | null {
  const found = parse(storage?.getItem(KEY) ?? "null");
  if (typeof found !== "object" || found === null || !("id" in found) || !("name" in found)) return null;
  const { id, name } = found;
  return typeof id === "string" && typeof name === "string" ? { id, name } : null;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
