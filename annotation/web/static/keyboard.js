// Single keys as commands; they rest while somebody types, while a dialog is open, and when they are switched off.

const WHILE_ZOOMED = new Set(["z", "arrowleft", "arrowright"]);
const TYPING = "textarea, input, select, [contenteditable]";
const byId = (id) => document.getElementById(id);

// commands: key in lower case -> function
export function keyboard(commands) {
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
    if (!on || event.target.matches(TYPING) || !(key in commands) || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    if (byId("guidelines").open) {
      if (key === "g" || key === "?") byId("guidelines").close();
      return;
    }
    if (byId("zoom").open && !WHILE_ZOOMED.has(key)) return;
    event.preventDefault();
    commands[key]();
  });
  byId("guidelines").querySelector("[data-close]").addEventListener("click", () => byId("guidelines").close());
  paint();
}
