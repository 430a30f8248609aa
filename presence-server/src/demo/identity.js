// Who this tab is. Every tab is a guest of its own, so that two tabs see two people; a reload keeps the guest, and a
// duplicated tab, which gets a copy of its storage, becomes somebody else.

const ANIMALS = ["Otter", "Heron", "Lynx", "Badger", "Swift", "Marten", "Ibex", "Puffin", "Hare", "Newt", "Wren", "Seal"];
const KEY = "presence.identity";

function random(length) {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function stranger() {
  const pick = crypto.getRandomValues(new Uint32Array(1))[0] % ANIMALS.length;
  return { user: `guest-${random(6)}`, session: random(8), name: ANIMALS[pick] };
}

function stored() {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    const whole = found && [found.user, found.session, found.name].every((part) => typeof part === "string");
    return whole ? found : null;
  } catch {
    return null; // Storage that is switched off or full of something else is no reason to stay away.
  }
}

export function keep(identity) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(identity));
  } catch {
    // The next load of this tab will be somebody else.
  }
}

// Resolves to true if no other tab has the session. The lock is held until the tab goes away, without a word.
function claim(session) {
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    navigator.locks.request(`presence.${session}`, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock === null ? undefined : new Promise(() => {});
    }).catch(() => resolve(true));
  });
}

// `?as=NAME` makes this tab another session of the user of that name.
export async function identify(parameters) {
  const as = parameters.get("as")?.trim().slice(0, 40);
  let identity = stored() ?? stranger();
  if (as) identity = { user: `as-${as}`, session: identity.session, name: as };
  if (!(await claim(identity.session))) {
    identity = as ? { ...identity, session: random(8) } : stranger();
    await claim(identity.session);
  }
  keep(identity);
  return identity;
}
