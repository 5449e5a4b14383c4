// An invitation's link: its token stands behind the #, and leaves the address at once, so that going back on a shared
// computer lets nobody in.

import { post } from "./api.js";
import { _ } from "./texts.js";

const begin = document.getElementById("begin");
const say = (text) => (document.getElementById("join-text").textContent = text);
let token = "";

function take() {
  if (!location.hash) return;
  token = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  begin.disabled = false;
  begin.focus();
  say("");
}

begin.addEventListener("click", async () => {
  begin.disabled = true;
  try {
    location.replace((await post("/join", { token })).to);
  } catch (error) {
    say(error.title ? `${error.title}. ${error.text}` : _("There is no connection. Try again."));
    begin.disabled = error.status === 401;
  }
});
addEventListener("hashchange", take);
addEventListener("pagehide", () => {
  token = "";
  begin.disabled = true;
});
take();
if (!token) say(_("Open your personal invitation link to begin."));
