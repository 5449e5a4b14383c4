// One example of the training: judged, with the answer told at once.

import { Frames } from "./frames.js";
import { keyboard } from "./keyboard.js";
import { Look } from "./looking.js";
import { byId, notice, refusal, say } from "./notices.js";
import { submit } from "./submit.js";

const place = byId("entries");
const element = place.querySelector("[data-entry]");
const frames = new Frames(element);
const look = new Look(Number(place.dataset.leastLook));
const buttons = [...document.querySelectorAll(".choice")];
let judged = false;

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
frames.show(0);
element.focus({ preventScroll: true });
look.begin(frames.image, () => {});
