// One example of the training: judged, with the answer told at once.

import { Frames } from "./frames.js";
import { keyboard } from "./keyboard.js";
import { Look } from "./looking.js";
import { byId, notice, refusal, say } from "./notices.js";
import { submit } from "./submit.js";

const place = byId("entries");
const element = place.querySelector("[data-entry]");
const frames = new Frames(element);
const leastMs = Number(place.dataset.leastLook);
const look = new Look(leastMs);
const buttons = [...document.querySelectorAll(".choice")];
let judged = false;
let toldAt = Infinity;

async function judge(choice) {
  if (judged || !look.counts()) return;
  judged = true;
  for (const button of buttons) button.classList.toggle("was", button.dataset.choice === choice);
  const { round, attempt } = place.dataset;
  const said = { round: Number(round), attempt: Number(attempt), entry_id: element.dataset.entry, choice };
  try {
    const { right, text } = await submit("/training/answer", said);
    for (const button of buttons) button.disabled = true;
    byId("feedback-text").textContent = text;
    byId("feedback").classList.add(right ? "right" : "wrong");
    byId("feedback").hidden = false;
    say("idle", "");
    byId("next").focus();
    toldAt = performance.now();
  } catch (error) {
    judged = false;
    notice(refusal(error, ""));
  }
}

keyboard(() => frames, {
  1: () => judge("positive"),
  2: () => judge("negative"),
  3: () => judge("uncertain"),
});
for (const button of buttons) button.addEventListener("click", () => judge(button.dataset.choice));
byId("next").addEventListener("click", () => location.assign("/training"));
// the key that answered, held down or pressed twice, does not take away what it was told
byId("next").addEventListener("keydown", (event) => {
  if (event.repeat || performance.now() - toldAt < leastMs) event.preventDefault();
});
frames.show(0);
element.focus({ preventScroll: true });
look.begin(frames.image, () => {});
