// The operator's page: lets its user in, asks the server every second, and says so when there is no answer.

import { startConnections, stopConnections } from "/admin/connections.js";
import { $, say } from "/admin/elements.js";
import { show } from "/admin/overview.js";
import { startRooms, stopRooms } from "/admin/rooms.js";
import { ask, couldBeKey, forgetKey, Gone, hasKey, metrics, NotLetIn, Refused, useKey } from "/admin/server.js";
import { closeTrace, onSignOut } from "/admin/trace.js";

const EVERY = 1_000;
const LONGEST_WAIT = 15_000;

let timer = 0;
let failures = 0;
let round = 0;

const STATES = new Map([
  ["opening", "Connecting …"],
  ["live", "Live"],
  ["gone", "No answer; trying again"],
  ["out", "Signed out"],
]);

function become(state) {
  document.body.dataset.state = state;
  say($("state-text"), STATES.get(state));
  $("gone").hidden = state !== "gone";
  $("forget").hidden = !hasKey();
}

// Asks for something that only operators get, so that a wrong key shows at once.
async function enter() {
  become("opening");
  try {
    await ask("/v1/rooms", { limit: 1 });
  } catch (error) {
    if (error instanceof NotLetIn) return signOut(hasKey() ? error.message : "");
    if (!(error instanceof Gone || error instanceof Refused)) throw error;
  }
  failures = 0;
  startConnections(listFailed);
  startRooms(listFailed);
  beat((round += 1));
}

function signOut(why) {
  round += 1;
  clearTimeout(timer);
  stopConnections();
  stopRooms();
  closeTrace();
  forgetKey();
  become("out");
  say($("sign-in-error"), why);
  if (!$("sign-in").open) $("sign-in").showModal();
  $("key").focus();
}

async function beat(mine) {
  let wait = EVERY;
  try {
    const [stats, text] = await Promise.all([ask("/v1/stats"), metrics()]);
    if (mine !== round) return;
    show(stats, text);
    failures = 0;
    become("live");
  } catch (error) {
    if (mine !== round) return;
    if (error instanceof NotLetIn) return signOut(error.message);
    if (!(error instanceof Gone || error instanceof Refused)) throw error;
    failures += 1;
    wait = Math.max(Math.min(EVERY * 2 ** (failures - 1), LONGEST_WAIT), error.retryAfter ?? 0);
    say($("gone-text"), `${error.message} What you see is as it was. Trying again …`);
    become("gone");
  }
  timer = setTimeout(beat, wait, mine);
}

// What to do when a list can not be read: how long to wait, or null to give up.
function listFailed(error, where) {
  if (error instanceof NotLetIn) {
    signOut(error.message);
    return null;
  }
  if (error instanceof Refused && error.status === 404) {
    say(where, "The server does not show this: `debug_access` is off.");
    return null;
  }
  // Of no answer the whole page tells.
  if (error instanceof Refused) say(where, error.message);
  else if (!(error instanceof Gone)) throw error;
  return error.retryAfter ?? 2_000;
}

$("sign-in").addEventListener("cancel", (event) => event.preventDefault());
$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = $("key").value.trim();
  if (!couldBeKey(key)) {
    say($("sign-in-error"), "A key has letters, digits and signs of ASCII only.");
    return;
  }
  $("key").value = "";
  useKey(key);
  $("sign-in").close();
  enter();
});
$("forget").addEventListener("click", () => signOut(""));
$("again").addEventListener("click", () => {
  clearTimeout(timer);
  beat((round += 1));
});
onSignOut(signOut);
enter();
