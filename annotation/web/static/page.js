// What every page of somebody who is logged in can do: log out.

import { post } from "./api.js";

document.getElementById("log-out").addEventListener("click", async () => {
  try {
    location.assign((await post("/logout", {})).to);
  } catch (error) {
    // whoever is not logged in any more is where they wanted to be
    if (error.status === 401) location.assign("/goodbye");
    else alert("Not logged out: there is no connection. Try again.");
  }
});
