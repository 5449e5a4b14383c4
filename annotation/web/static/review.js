// The reviewer's page: one ad at a time, the next one loaded behind it, judgements on their way to the server.

import { fragment, newKey, person, whole } from "./api.js";
import { Frames, toggleZoom } from "./frames.js";
import { Outbox } from "./outbox.js";

const byId = (id) => document.getElementById(id);
const shelf = byId("entries");
const note = byId("note");
const round = Number(shelf.dataset.round);
// this device's clock may be wrong; the server's counts
const ahead = Date.parse(shelf.dataset.now) - Date.now();
const serverTime = () => new Date(Date.now() + ahead).toISOString();
const KEPT = 8;
const NAMES = { positive: "Positive", negative: "Negative", uncertain: "Uncertain" };

let queue = [...shelf.children]; // the entry that is shown, then those that wait behind it
let judged = shelf.dataset.lastJudged ? [shelf.dataset.lastJudged] : []; // what undo goes back to, the latest at the end
let current = null; // { element, id, frames, shownAt }
let finished = false;
let fetching = null;
const seen = new Map(queue.map((element) => [element.dataset.entry, element]));
const tabs = "BroadcastChannel" in globalThis ? new BroadcastChannel(`ytb-ads.${person}.${round}`) : null;

// ---- what is being written, kept on this device until it is saved

const draftName = (id) => `ytb-ads.draft.${person}.${round}.${id}`;

function keepDraft() {
  if (!current) return;
  const draft = { note: note.value, excluded: [...current.frames.excluded] };
  try {
    localStorage.setItem(draftName(current.id), JSON.stringify(draft));
  } catch (error) {
    console.warn("the draft is not kept on this device", error);
  }
}

function draftOf(element) {
  const { entry, note = "", excluded = "[]" } = element.dataset;
  try {
    const kept = localStorage.getItem(draftName(entry));
    return kept ? JSON.parse(kept) : { note, excluded: JSON.parse(excluded) };
  } catch {
    return { note: "", excluded: [] };
  }
}

// ---- what is shown

function show() {
  const element = queue[0] ?? null;
  for (const each of shelf.children) each.hidden = each !== element;
  byId("judge").hidden = !element;
  byId("done").hidden = Boolean(element) || !finished;
  byId("waiting").hidden = Boolean(element) || finished;
  byId("undo").disabled = !judged.length;
  if (!element) {
    current = null;
    byId(finished ? "done" : "waiting").focus();
    return;
  }
  if (current?.element === element) return;
  element.frames ??= new Frames(element, keepDraft);
  current = { element, id: element.dataset.entry, frames: element.frames, shownAt: serverTime() };
  const draft = draftOf(element);
  note.value = draft.note;
  grow();
  current.frames.exclude(draft.excluded);
  current.frames.show(0);
  hint(element.dataset.choice ? `You said ${NAMES[element.dataset.choice]}; judge again to change it.` : "");
  for (const button of document.querySelectorAll("[data-choice].choice"))
    button.classList.toggle("was", button.dataset.choice === element.dataset.choice);
  scrollTo({ top: 0, behavior: "instant" });
  element.focus({ preventScroll: true });
}

function hint(text) {
  byId("judge-hint").textContent = text;
  byId("judge-hint").hidden = !text;
}

function notice(text) {
  byId("notice-text").textContent = text;
  byId("notice").hidden = false;
}

function say(state, text) {
  byId("saved").dataset.state = state;
  byId("saved").textContent = text;
}

function grow() {
  note.rows = Math.min(4, note.value.split("\n").length);
}

function progress({ done, total, pace }) {
  byId("progress").max = Math.max(total, 1);
  byId("progress").value = done;
  byId("progress-text").textContent = `${done} of ${total}`;
  byId("pace").textContent = pace;
}

// ---- the next entry, fetched while this one is looked at

function prefetch() {
  if (finished || fetching || queue.length >= 2) return;
  const unsent = outbox.items.filter((item) => item.address === "/review/vote").map((item) => item.body.entry_id);
  const held = new Set([...queue.map((element) => element.dataset.entry), ...unsent]);
  const query = new URLSearchParams([["round", round], ...[...held].map((id) => ["held", id])]);
  fetching = fragment(`/review/next?${query}`)
    .then((element) => {
      fetching = null;
      finished = element === null;
      if (element) add(element);
      if (!current) show();
      prefetch();
    })
    .catch((error) => {
      fetching = null;
      if (error.status === 401) return ended();
      if (error.status === 409) return notice(error.text);
      setTimeout(prefetch, 2_000);
    });
}

function add(element, first = false) {
  const id = element.dataset.entry;
  if (queue.some((each) => each.dataset.entry === id)) return;
  seen.get(id)?.remove();
  seen.set(id, element);
  element.hidden = true;
  shelf.append(element);
  if (first) queue.unshift(element);
  else queue.push(element);
}

// ---- judging and taking back

function judge(choice) {
  if (!current) return;
  const { id, element, frames, shownAt } = current;
  const body = {
    round,
    entry_id: id,
    key: newKey(),
    shown_at: shownAt,
    choice,
    note: whole(note.value),
    excluded_frames: [...frames.excluded],
  };
  Object.assign(element.dataset, { choice, note: note.value, excluded: JSON.stringify(body.excluded_frames) });
  judged = [...judged.filter((each) => each !== id), id];
  queue.shift();
  tabs?.postMessage({ id, choice });
  outbox.add("/review/vote", body, NAMES[choice]);
  forgetOldest();
  show();
  prefetch();
}

// a day's work must not pile up in the page; an undo further back fetches its entry
function forgetOldest() {
  for (const [id, element] of seen) {
    if (seen.size <= KEPT) return;
    if (queue.includes(element)) continue;
    element.remove();
    seen.delete(id);
  }
}

async function undo() {
  const id = judged.at(-1);
  if (!id) return say("idle", "There is nothing to take back.");
  judged = judged.slice(0, -1);
  outbox.add("/review/undo", { round, entry_id: id, key: newKey(), shown_at: serverTime() }, "Undo");
  finished = false;
  try {
    const element = seen.get(id) ?? (await fragment(`/review/entries/${id}?round=${round}`));
    queue = queue.filter((each) => each !== element);
    delete element.dataset.choice;
    if (!shelf.contains(element)) add(element, true);
    else queue.unshift(element);
  } catch {
    notice("The ad that you take back cannot be fetched just now; it comes again later.");
  }
  show();
  prefetch();
}

const outbox = new Outbox({
  onState(state, waiting) {
    const judgements = waiting === 1 ? "1 judgement" : `${waiting} judgements`;
    if (state === "saving") say("saving", "Saving…");
    if (state === "lost") say("lost", `No connection: ${judgements} kept on this device.`);
    if (state === "ended") ended();
  },
  onSaved(item, answer) {
    progress(answer.progress);
    if (item.address === "/review/vote") {
      if (item.body.entry_id !== current?.id) localStorage.removeItem(draftName(item.body.entry_id));
      say("saved", `${item.about} saved.`);
    } else {
      say("saved", "Taken back: judge again.");
      if (answer.choice && item.body.entry_id === current?.id) hint(`What you said before, ${NAMES[answer.choice]}, counts again.`);
    }
    // the server knows what other tabs did; what is still on its way it does not
    if (!outbox.waiting) judged = answer.last_judged ? [answer.last_judged] : [];
    byId("undo").disabled = !judged.length;
    prefetch();
  },
  onRefused(item, error) {
    say("refused", "Not saved.");
    const lost = item.body.note ? ` Your note was: “${item.body.note}”` : "";
    notice(`${item.about}: ${error.text}${lost}`);
    judged = judged.filter((id) => id !== item.body.entry_id);
    if (item.address === "/review/undo") {
      queue = queue.filter((element) => element.dataset.entry !== item.body.entry_id);
      show();
    }
    prefetch();
  },
});

function ended() {
  say("lost", "Not logged in.");
  const kept = outbox.waiting ? " What you have judged is kept on this device and sent then." : "";
  notice(`Your session has ended. Open your invitation link again, or load this page anew.${kept}`);
}

// ---- keys, buttons, other tabs

const keys = {
  1: () => judge("positive"),
  2: () => judge("negative"),
  3: () => judge("uncertain"),
  u: undo,
  z: () => current && toggleZoom(current.frames),
  x: () => current?.frames.toggleExcluded(),
  n: () => note.focus(),
  g: () => byId("guidelines").showModal(),
  "?": () => byId("guidelines").showModal(),
  arrowleft: () => current?.frames.step(-1),
  arrowright: () => current?.frames.step(1),
};
const WHILE_ZOOMED = new Set(["z", "x", "arrowleft", "arrowright"]);
let keysOn = localStorage.getItem("ytb-ads.keys") !== "off";

document.addEventListener("keydown", (event) => {
  if (event.target === note) {
    if (event.key === "Escape") current?.element.focus({ preventScroll: true });
    return;
  }
  const key = event.key.toLowerCase();
  if (!(key in keys) || !keysOn || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  if (byId("guidelines").open) {
    if (key === "g" || key === "?") byId("guidelines").close();
    return;
  }
  if (byId("zoom").open && !WHILE_ZOOMED.has(key)) return;
  event.preventDefault();
  keys[key]();
});

function paintKeys() {
  byId("keys").setAttribute("aria-pressed", String(keysOn));
  byId("keys").textContent = keysOn ? "Keys are on" : "Keys are off";
  document.body.classList.toggle("keys-off", !keysOn);
}

byId("keys").addEventListener("click", () => {
  keysOn = !keysOn;
  localStorage.setItem("ytb-ads.keys", keysOn ? "on" : "off");
  paintKeys();
});
document.querySelectorAll(".choice").forEach((button) => button.addEventListener("click", () => judge(button.dataset.choice)));
byId("undo").addEventListener("click", undo);
byId("open-guidelines").addEventListener("click", keys.g);
byId("guidelines").querySelector("[data-close]").addEventListener("click", () => byId("guidelines").close());
byId("notice-close").addEventListener("click", () => (byId("notice").hidden = true));
note.addEventListener("input", () => (grow(), keepDraft()));
addEventListener("offline", () => say("lost", "No connection."));
addEventListener("online", () => (outbox.waiting || say("idle", "Connected again."), prefetch()));
tabs?.addEventListener("message", ({ data }) => {
  if (data.id === current?.id) hint(`You said ${NAMES[data.choice]} in another tab; judging here replaces it.`);
  else queue = queue.filter((element) => element.dataset.entry !== data.id);
  prefetch();
});

// what an earlier page could not send is judged already
const unsent = new Set(outbox.items.filter((item) => item.address === "/review/vote").map((item) => item.body.entry_id));
queue = queue.filter((element) => !unsent.has(element.dataset.entry));
finished = !queue.length && !unsent.size;
paintKeys();
show();
outbox.start();
prefetch();
