// The dialog in which a reviewer says what is wrong with an ad, or takes that back.

import { newKey, serverTime, whole } from "./api.js";
import { byId, notice, refusal, say } from "./notices.js";
import { submit } from "./submit.js";
import { _ } from "./texts.js";

const dialog = byId("flag");
const form = dialog.querySelector("form");
const remark = byId("flag-remark");
let asked = null; // { round, id, dataset, shownAt, done }

// element: what has the ad's id and flag as data attributes; done(element): called when the server has it
export function openFlag(element, round, done = () => {}) {
  const { entry: id, flag = "", remark: said = "" } = element.dataset;
  asked = { round, id, element, shownAt: serverTime(), done };
  for (const option of form.elements.reason) option.checked = option.value === flag;
  remark.value = said;
  byId("unflag").hidden = !flag;
  dialog.showModal();
}

async function send(address, more, flag, text) {
  const { round, id, element, shownAt, done } = asked;
  dialog.close();
  try {
    await submit(address, { round, entry_id: id, key: newKey(), shown_at: shownAt, ...more });
    Object.assign(element.dataset, { flag, remark: more.remark ?? "" });
    say("saved", text);
    done(element);
  } catch (error) {
    notice(refusal(error, ""));
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const reason = form.elements.reason.value;
  send("/mine/flag", { reason, remark: whole(remark.value) }, reason, _("Flagged."));
});
byId("unflag").addEventListener("click", () => send("/mine/unflag", {}, "", _("Flag taken back.")));
dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
