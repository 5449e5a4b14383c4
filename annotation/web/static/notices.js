// What a page tells its person: whether all is saved, what was refused and why, what may be done next.

import { ended, ServerError } from "./api.js";
import { _ } from "./texts.js";

export const byId = (id) => document.getElementById(id);

export function say(state, text) {
  byId("saved").dataset.state = state;
  byId("saved").textContent = text;
}

export function notice(text) {
  byId("notice-text").textContent = text;
  byId("notice").hidden = !text;
}

export function hint(text) {
  byId("judge-hint").textContent = text;
}

// How many ads are being discussed, and in how many discussions something is new, in the head of the page.
export function discussed(count, unread) {
  byId("discussed-count").textContent = count;
  byId("discussed").hidden = !Number(count);
  byId("unread-count").textContent = unread;
  byId("unread").hidden = !Number(unread);
}

// What to tell somebody whose submission was refused, or who cannot be shown something.
export function refusal(error, kept = _("What you typed is kept on this device.")) {
  if (ended(error)) return `${_("Your session has ended. Open your invitation link again, or load this page anew.")} ${kept}`;
  if (error.kind === "round_closed") return _("The round is closed; this came too late and was not saved.");
  if (error instanceof ServerError) return error.text || error.title;
  return `${_("There is no connection just now.")} ${kept}`;
}

byId("notice-close").addEventListener("click", () => notice(""));
addEventListener("offline", () => say("lost", _("No connection.")));
addEventListener("online", () => say("idle", _("Connected again.")));
