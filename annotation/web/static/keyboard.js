// Single keys as commands; they rest while somebody types, while a dialog is open, and when they are switched off.
// Those for looking at frames and guidelines are the same on every page.

import { toggleZoom } from "./frames.js";
import { byId } from "./notices.js";
import { _ } from "./texts.js";

const WHILE_ZOOMED = new Set(["z", "x", "arrowleft", "arrowright"]);
const TYPING = "textarea, input, select, [contenteditable]";

// The command that a key stands for, or null. Its character goes first, so that letters mean what the layout writes; then
// its place: 1, 2, 3 are where AZERTY writes &, é, ", and a letter is where a layout without Latin letters has another one,
// or a mark that goes on one, as in Thai and Hindi.
function commandOf(event, keys) {
  const key = event.key.toLowerCase();
  if (key in keys) return key;
  if (event.shiftKey || (key.length > 1 && key !== "dead")) return null;
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1];
  const letter = /^(?!\p{Script=Latin})[\p{L}\p{M}]$/u.test(key) ? /^Key([A-Z])$/.exec(event.code)?.[1].toLowerCase() : undefined;
  return [digit, letter].find((each) => each in keys) ?? null;
}

// frames: gives the Frames to look at, if there are any; commands: the page's own, key in lower case -> function
export function keyboard(frames, commands) {
  const guidelines = byId("guidelines");
  const open = () => guidelines.showModal();
  const keys = {
    z: () => frames() && toggleZoom(frames()),
    arrowleft: () => frames()?.step(-1),
    arrowright: () => frames()?.step(1),
    v: () => frames()?.toggleFilm(),
    g: open,
    "?": open,
    ...commands,
  };
  let on = localStorage.getItem("ytb-ads.keys") !== "off";
  const paint = () => {
    byId("keys")?.setAttribute("aria-pressed", String(on));
    if (byId("keys")) byId("keys").textContent = on ? _("Keys are on") : _("Keys are off");
    document.body.classList.toggle("keys-off", !on);
  };
  byId("keys")?.addEventListener("click", () => {
    on = !on;
    localStorage.setItem("ytb-ads.keys", on ? "on" : "off");
    paint();
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches(TYPING)) {
      if (event.key === "Escape") document.querySelector(".entry:not([hidden])")?.focus({ preventScroll: true });
      return;
    }
    const key = commandOf(event, keys);
    if (event.target.matches("video") && key?.startsWith("arrow")) return; // it winds
    if (!on || key === null || event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing) return;
    if (guidelines.open) {
      if (keys[key] === open) guidelines.close();
      return;
    }
    if (byId("flag")?.open) return;
    if (byId("zoom").open && !WHILE_ZOOMED.has(key)) return;
    event.preventDefault();
    keys[key]();
  });
  // a screen without keys has them as buttons, some of which come and go
  document.addEventListener("click", (event) => event.target.closest("[data-undo]:enabled") && keys.u?.());
  byId("open-guidelines")?.addEventListener("click", open);
  guidelines.querySelector("[data-close]").addEventListener("click", () => guidelines.close());
  paint();
}
