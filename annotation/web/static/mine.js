// The reviewer's own judgements: notes and flags are changed in the list, judgements on the page of the ad.

import { newKey, serverTime, whole } from "./api.js";
import { openFlag } from "./flag.js";
import { byId, notice, refusal } from "./notices.js";
import { submit } from "./submit.js";
import { _ } from "./texts.js";

const list = byId("own");
const round = Number(list.dataset.round);
const dialog = byId("write");
const note = byId("note");
let written = null; // { id, shownAt }

const again = () => location.reload();

// until now nobody would have listened to them
for (const button of list.querySelectorAll("button:disabled")) button.disabled = false;

list.addEventListener("click", ({ target }) => {
  const entry = target.closest("[data-entry]");
  if (target.closest("[data-open-flag]")) openFlag(entry, round, again);
  if (target.closest("[data-write]")) {
    written = { id: entry.dataset.entry, shownAt: serverTime() };
    note.value = entry.dataset.note;
    dialog.showModal();
  }
});

dialog.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  dialog.close();
  try {
    const { id, shownAt } = written;
    await submit("/mine/note", { round, entry_id: id, key: newKey(), shown_at: shownAt, note: whole(note.value) });
    again();
  } catch (error) {
    notice(`${refusal(error, "")} ${_("Your note was: “%(note)s”", { note: note.value })}`);
  }
});
dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
