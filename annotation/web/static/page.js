// What every page of somebody who is logged in can do: log out, and say when the round ends.

import { post } from "./api.js";
import { _ } from "./texts.js";
import { watchEnding } from "./ending.js";

watchEnding();

document.getElementById("log-out").addEventListener("click", async () => {
  try {
    location.assign((await post("/logout", {})).to);
  } catch (error) {
    // whoever is not logged in any more is where they wanted to be
    if (error.status === 401) location.assign("/goodbye");
    else alert(_("Not logged out: there is no connection. Try again."));
  }
});

// browsers scroll to what gets the focus only where none of it is on the screen
document.addEventListener("focusin", ({ target }) => {
  if (target.matches("a:focus-visible, button:focus-visible")) target.scrollIntoView({ block: "nearest", inline: "nearest" });
});
