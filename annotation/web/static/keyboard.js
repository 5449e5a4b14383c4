// Single keys as commands; they rest while somebody types, while a dialog is open, and when they are switched off.
// Those for looking at frames and guidelines are the same on every page.

import { toggleZoom } from "./frames.js";
import { byId } from "./notices.js";

const WHILE_ZOOMED = new Set(["z", "x", "arrowleft", "arrowright"]);
const TYPING = "textarea, input, select, [contenteditable]";

// frames: gives the Frames to look at, if there are any; commands: the page's own, key in lower case -> function
export function keyboard(frames, commands) {
  const guidelines = byId("guidelines");
  const open = () => guidelines.showModal();
  const keys = {
    z: () => frames() && toggleZoom(frames()),
    arrowleft: () => frames()?.step(-1),
    arrowright: () => frames()?.step(1),
    g: open,
    "?": open,
    ...commands,
  };
  let on = localStorage.getItem("ytb-ads.keys") !== "off";
  const paint = () => {
    byId("keys")?.setAttribute("aria-pressed", String(on));
    if (byId("keys")) byId("keys").textContent = on ? "Keys are on" : "Keys are off";
    document.body.classList.toggle("keys-off", !on);
  };
  byId("keys")?.addEventListener("click", () => {
    on = !on;
    localStorage.setItem("ytb-ads.keys", on ? "on" : "off");
    paint();
  });
  document.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    if (event.target.matches(TYPING)) {
      if (key === "escape") document.querySelector(".entry:not([hidden])")?.focus({ preventScroll: true });
      return;
    }
    if (!on || !(key in keys) || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
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
