// The reviewer's page: one ad at a time, the next one loaded behind it, judgements on their way to the server.

import { Ads } from "./ads.js";
import { ended, mayPass, newKey, person, serverTime, whole } from "./api.js";
import { Drawer } from "./device.js";
import { grow } from "./drafts.js";
import { openFlag } from "./flag.js";
import { Frames } from "./frames.js";
import { keyboard } from "./keyboard.js";
import { Look } from "./looking.js";
import { byId, discussed, hint, notice, refusal, say } from "./notices.js";
import { Outbox } from "./outbox.js";
import { _, capital, many } from "./texts.js";

const NAMES = { positive: capital(_("positive")), negative: capital(_("negative")), uncertain: capital(_("uncertain")) };
const place = byId("entries");
const note = byId("note");
const round = Number(place.dataset.round);
const ads = new Ads(place, round);
const look = new Look(Number(place.dataset.leastLook));
const drafts = new Drawer("draft");
const draftName = (id) => `${round}.${id}`;
const tabs = "BroadcastChannel" in globalThis ? new BroadcastChannel(`ytb-ads.${person}.${round}`) : null;

let judged = place.dataset.lastJudged ? [place.dataset.lastJudged] : []; // what undo goes back to, the latest at the end
let current = null; // { element, id, frames, shownAt }
let closed = false; // the round ended under this page

// ---- what is shown

function show() {
  const element = closed ? null : ads.first;
  const instead = element ? null : closed ? "closed" : ads.finished ? "done" : "waiting";
  for (const each of ["closed", "done", "waiting"]) byId(each).hidden = each !== instead;
  for (const each of place.children) each.hidden = each !== element;
  byId("judge").hidden = !element;
  paintUndo();
  if (!element) {
    current?.frames.rest();
    current = null;
    byId(instead).focus();
    return;
  }
  if (current?.element === element) return;
  current?.frames.rest();
  element.frames ??= new Frames(element, keepDraft);
  current = { element, id: element.dataset.entry, frames: element.frames, shownAt: serverTime() };
  const { choice, note: said = "", excluded = "[]" } = element.dataset;
  const draft = drafts.get(draftName(current.id)) ?? { note: said, excluded: JSON.parse(excluded) };
  note.value = draft.note;
  grow(note);
  current.frames.exclude(draft.excluded);
  current.frames.show(0);
  hint(choice ? _("You said %(choice)s; judge again to change it.", { choice: NAMES[choice] }) : "");
  for (const button of document.querySelectorAll(".choice")) button.classList.toggle("was", button.dataset.choice === choice);
  paintFlag();
  scrollTo({ top: 0, behavior: "instant" });
  element.focus({ preventScroll: true });
  const showing = current;
  look.begin(current.frames.image, (seen) => {
    showing.shownAt = serverTime();
    if (!seen) hint(_("The picture of this ad cannot be loaded: judge by the rest of it, or say so in a note."));
  });
}

function paintUndo() {
  for (const button of document.querySelectorAll("[data-undo]")) button.disabled = !judged.length;
  byId("done-undo").hidden = !judged.length;
}

function keepDraft() {
  if (current) drafts.keep(draftName(current.id), { note: note.value, excluded: [...current.frames.excluded] });
}

function progress({ done, total, pace }) {
  byId("progress").max = Math.max(total, 1);
  byId("progress").value = done;
  byId("progress-text").textContent = _("%(done)s of %(total)s", { done, total });
  byId("pace").textContent = pace;
}

function tellDiscussed(count, unread) {
  discussed(count, unread);
  byId("done-discussed").hidden = !count;
  byId("done-count").textContent = many("%(n)s ad is being discussed.", "%(n)s ads are being discussed.", count);
}

// ---- the next ad, fetched while this one is looked at

const unsent = () => outbox.items.filter((item) => item.address === "/review/vote").map((item) => item.body.entry_id);

function prefetch() {
  if (closed) return;
  ads.fill(unsent, () => current || show()).catch((error) => {
    if (error.kind === "round_closed") end();
    else if (mayPass(error)) setTimeout(prefetch, 2_000);
    else tellRefusal(error);
  });
}

function tellRefusal(error) {
  if (ended(error)) say("lost", _("Not logged in."));
  notice(refusal(error, outbox.waiting ? _("What you have judged is kept on this device and sent then.") : ""));
}

function end() {
  closed = true;
  judged = [];
  show();
}

// ---- judging and taking back

function judge(choice) {
  if (!current || !look.counts()) return;
  const { id, element, frames, shownAt } = current;
  const excluded = [...frames.excluded];
  Object.assign(element.dataset, { choice, note: note.value, excluded: JSON.stringify(excluded) });
  judged = [...judged.filter((each) => each !== id), id];
  ads.pass();
  tabs?.postMessage({ id, choice });
  const said = { choice, note: whole(note.value), excluded_frames: excluded };
  outbox.add("/review/vote", { round, entry_id: id, key: newKey(), shown_at: shownAt, ...said }, NAMES[choice]);
  show();
  prefetch();
}

async function undo() {
  const id = judged.at(-1);
  if (!look.countsAsUndo()) return;
  if (!id) return say("idle", _("There is nothing to take back."));
  judged = judged.slice(0, -1);
  outbox.add("/review/undo", { round, entry_id: id, key: newKey(), shown_at: serverTime() }, _("Undo"));
  try {
    await ads.putBack(id);
  } catch {
    notice(_("The ad that you take back cannot be fetched just now; it comes again later."));
  }
  show();
  prefetch();
}

const outbox = new Outbox({
  onState(state, waiting) {
    if (state === "saving") say("saving", _("Saving…"));
    if (state === "lost") say("lost", many("No connection: %(n)s judgement kept on this device.", "No connection: %(n)s judgements kept on this device.", waiting));
  },
  onSaved(item, answer) {
    progress(answer.progress);
    tellDiscussed(answer.discussed, answer.unread);
    if (item.address === "/review/vote") {
      if (item.body.entry_id !== current?.id) drafts.forget(draftName(item.body.entry_id));
      say("saved", _("%(what)s saved.", { what: item.about }));
    } else {
      say("saved", _("Taken back: judge again."));
      if (answer.choice && item.body.entry_id === current?.id) hint(_("What you said before, %(choice)s, counts again.", { choice: NAMES[answer.choice] }));
    }
    // the server knows what other tabs did; what is still on its way it does not
    if (!outbox.waiting) judged = answer.last_judged ? [answer.last_judged] : [];
    paintUndo();
    prefetch();
  },
  onEnded: tellRefusal,
  onRefused(item, error) {
    const { entry_id: id, note: lost } = item.body;
    say("refused", _("Not saved."));
    // one refusal must not take another's note from the screen
    const before = byId("notice").hidden ? "" : `${byId("notice-text").textContent} `;
    notice(`${before}${item.about}: ${refusal(error)}${lost ? ` ${_("Your note was: “%(note)s”", { note: lost })}` : ""}`);
    judged = judged.filter((each) => each !== id);
    // what was left over from an earlier round says nothing of this one
    if (error.kind === "round_closed" && item.body.round === round) return end();
    if (item.address === "/review/undo") {
      ads.drop(id);
      show();
    }
    prefetch();
  },
});

const flag = () => current && openFlag(current.element, round, paintFlag);

// A flag stands beside the ad, whichever page it was given on.
function paintFlag() {
  byId("open-flag").setAttribute("aria-pressed", String(Boolean(current?.element.dataset.flag)));
}

// ---- keys, buttons, other tabs

keyboard(() => current?.frames, {
  1: () => judge("positive"),
  2: () => judge("negative"),
  3: () => judge("uncertain"),
  u: undo,
  x: () => current?.frames.toggleExcluded(),
  n: () => note.focus(),
  f: flag,
});
for (const button of document.querySelectorAll(".choice")) button.addEventListener("click", () => judge(button.dataset.choice));
byId("open-flag").addEventListener("click", flag);
note.addEventListener("input", () => (grow(note), keepDraft()));
addEventListener("resize", () => grow(note));
addEventListener("online", prefetch);
tabs?.addEventListener("message", ({ data }) => {
  if (data.id === current?.id) hint(_("You said %(choice)s in another tab; judging here replaces it.", { choice: NAMES[data.choice] }));
  else ads.drop(data.id);
  prefetch();
});

// what an earlier page could not send is judged already
for (const id of unsent()) ads.drop(id);
ads.finished = !ads.first && !outbox.waiting;
show();
outbox.start();
prefetch();
