// Sends somebody away, after asking whether that is meant.

import { $, say } from "/admin/elements.js";
import { remove } from "/admin/server.js";

let meant = null;
let done = () => {};

// whom: {connection, user}; ended() when the server has taken it.
export function askToKick(whom, ended) {
  [meant, done] = [whom, ended];
  say($("kick-user"), whom.user ?? "somebody whom nobody knows yet");
  say($("kick-connection"), whom.connection);
  $("kick-all").checked = false;
  $("kick-all-row").hidden = whom.user === null;
  say($("kick-error"), "");
  $("kick").showModal();
}

async function kick() {
  const { connection, user } = meant;
  const path = $("kick-all").checked
    ? `/v1/users/${encodeURIComponent(user)}/sessions`
    : `/v1/connections/${encodeURIComponent(connection)}`;
  $("kick-yes").disabled = true;
  try {
    await remove(path);
  } catch (error) {
    // Gone already is gone.
    if (error.status !== 404) {
      say($("kick-error"), error.message);
      return;
    }
  } finally {
    $("kick-yes").disabled = false;
  }
  $("kick").close();
  done();
}

$("kick-form").addEventListener("submit", (event) => {
  event.preventDefault();
  kick();
});
$("kick-no").addEventListener("click", () => $("kick").close());
