// The end of the round, on every page: a countdown when everything is judged, which a verifier or admin can hold, and
// word to the server that somebody is in the middle of something.

import { get, post } from "./api.js";
import { _ } from "./texts.js";

const LOOK_MS = 10_000;
const LOOK_NEAR_MS = 3_000;
const AT_WORK_MS = 30_000; // who has touched nothing for so long has nothing in hand
const LEFT_MS = 3_600_000; // a page that nobody has touched for so long asks nothing, so that its session can end

let round = null; // the one that was open when this page was loaded
let endsAt = null;
let touchedAt = Date.now();
let next = null;

const byId = (id) => document.getElementById(id);

for (const name of ["keydown", "pointerdown", "input", "wheel"])
  addEventListener(name, touched, { capture: true, passive: true });

function touched() {
  const wasLeft = isLeft();
  touchedAt = Date.now();
  if (wasLeft) look();
}

const isLeft = () => Date.now() - touchedAt > LEFT_MS;

function hasInHand() {
  if (document.hidden || Date.now() - touchedAt > AT_WORK_MS) return false;
  const shown = [...document.querySelectorAll("article.entry, textarea")].filter((each) => each.checkVisibility());
  return shown.some((each) => each.matches("article") || each.value.trim());
}

function paint(told) {
  const over = round !== null && told.round !== round;
  round ??= told.round;
  endsAt = told.ends_in_s === null || over ? null : Date.now() + told.ends_in_s * 1000;
  const text = over
    ? _("The round is closed; nothing in it changes any more.")
    : told.held
      ? _("Everything is judged. %(who)s holds the round open.", { who: told.holder || _("A verifier or admin") })
      : endsAt !== null
        ? _("Everything is judged, and the round ends soon. Until then all can be taken back.")
        : "";
  if (byId("ending-text").textContent !== text) byId("ending-text").textContent = text;
  // a landmark only while it says something
  byId("ending").role = text ? "region" : null;
  byId("ending").ariaLabel = text ? _("End of the round") : null;
  byId("ending-hold").hidden = over || !told.may_hold || !text;
  byId("ending-hold").textContent = told.held ? _("Let it end") : _("Hold");
  byId("ending-hold").dataset.act = told.held ? "resume" : "hold";
  tick();
}

function tick() {
  const left = endsAt === null ? null : Math.max(0, Math.round((endsAt - Date.now()) / 1000));
  byId("ending-timer").textContent = left === null ? "" : `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
}

async function look() {
  clearTimeout(next);
  try {
    if (!document.hidden && !isLeft()) {
      const near = endsAt !== null;
      paint(near && hasInHand() ? await post("/round/hands", { round }) : await get("/round/end"));
    }
  } catch (error) {
    // a closed round, a lost connection, an ended session: the page says so when it is used
    if (error.kind === "round_closed") paint({ round: null, ends_in_s: null, held: false, may_hold: false });
    if (error.status === 401) return;
  }
  next = setTimeout(look, endsAt === null ? LOOK_MS : LOOK_NEAR_MS);
}

export function watchEnding() {
  byId("ending-hold").addEventListener("click", async ({ currentTarget }) => {
    currentTarget.disabled = true;
    try {
      paint(await post(`/round/${currentTarget.dataset.act}`, { round }));
    } catch (error) {
      console.warn("not held", error);
      look();
    } finally {
      byId("ending-hold").disabled = false;
    }
  });
  document.addEventListener("visibilitychange", () => document.hidden || look());
  setInterval(tick, 1_000);
  look();
}
