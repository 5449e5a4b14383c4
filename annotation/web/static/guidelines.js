// The guidelines, read before the first judgement.

import { byId, notice, refusal } from "./notices.js";
import { submit } from "./submit.js";

byId("acknowledge").addEventListener("click", async () => {
  try {
    location.assign((await submit("/guidelines", { version: byId("proceed").dataset.version })).to);
  } catch (error) {
    notice(refusal(error, ""));
  }
});
