// The verifier's page: one ad with everybody's votes; decided, sent to the discussion, or left for later.

import { fragment, newKey, whole } from "./api.js";
import { Draft } from "./drafts.js";
import { Frames, toggleZoom } from "./frames.js";
import { keyboard } from "./keyboard.js";
import { notice, refusal, say, submit } from "./submit.js";

const byId = (id) => document.getElementById(id);
const place = byId("desk");
const note = byId("note");
const round = Number(place.dataset.round);
// this device's clock may be wrong; the server's counts
const ahead = Date.parse(place.dataset.now) - Date.now();
const serverTime = () => new Date(Date.now() + ahead).toISOString();

let desk = null; // what the server last said
let current = null; // { id, revision, may, frames, draft, shownAt }
let busy = false;
const typed = new Map(); // what stood in the note of an entry when it was saved, for an undo

// ---- what is shown

function show(element) {
  current?.draft.leave();
  desk = element;
  if (!place.contains(desk)) place.replaceChildren(desk);
  const entry = desk.querySelector(".entry");
  current = entry && {
    id: entry.dataset.entry,
    revision: Number(entry.dataset.revision),
    may: entry.dataset.may.split(" "),
    frames: new Frames(entry),
    draft: new Draft(note, `${round}.${entry.dataset.entry}`),
    shownAt: serverTime(),
  };
  current?.frames.show(0);
  for (const link of desk.querySelectorAll("[data-open]"))
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      load(link.dataset.open);
    });
  byId("waiting-count").textContent = `${desk.dataset.waiting} wait${desk.dataset.waiting === "1" ? "s" : ""}`;
  byId("discussed-count").textContent = `${desk.dataset.discussed} in discussion`;
  byId("discussed-count").hidden = desk.dataset.discussed === "0";
  hint("");
  paint();
  grow();
  scrollTo({ top: 0, behavior: "instant" });
  desk.querySelector(".queue [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  (entry ?? byId("done"))?.focus({ preventScroll: true });
}

function paint() {
  byId("judge").hidden = !current && !desk.dataset.back;
  for (const button of document.querySelectorAll("[data-label]")) button.disabled = busy || !may("decision");
  byId("discuss").disabled = busy || !may("discuss");
  byId("later").disabled = busy || !following();
  byId("undo").disabled = busy || !desk.dataset.back;
  note.disabled = !current;
}

const may = (kind) => Boolean(current?.may.includes(kind));

function hint(text) {
  byId("judge-hint").textContent = text;
  byId("judge-hint").hidden = !text;
}

function grow() {
  note.rows = Math.min(4, note.value.split("\n").length);
}

// The entry after the current one in the queue, round and round; null when there is no other.
function following() {
  const ids = [...desk.querySelectorAll("[data-open]")].map((link) => link.dataset.open);
  const next = ids[(ids.indexOf(current?.id) + 1) % ids.length];
  return next && next !== current?.id ? next : null;
}

async function load(id) {
  const query = new URLSearchParams([["round", round], ...(id ? [["entry", id]] : [])]);
  try {
    show(await fragment(`/verify/desk?${query}`));
    return true;
  } catch (error) {
    notice(refusal(error));
    return false;
  }
}

// ---- deciding and taking back

async function act(address, more, done) {
  if (!current || busy) return;
  const { id, revision, shownAt, draft } = current;
  const text = note.value;
  busy = true;
  paint();
  try {
    const key = draft.key;
    await submit(address, { round, entry_id: id, key, shown_at: shownAt, seen: revision, ...more });
    typed.set(id, text);
    draft.saved(text);
    notice("");
    if (await load(following())) say("saved", done);
  } catch (error) {
    current.draft.keep(); // what is tried again is another submission
    if (error.kind === "outdated" || error.kind === "not_possible") await anew(id, error);
    else notice(refusal(error));
  } finally {
    busy = false;
    paint();
  }
}

// The entry as it is now, with what was typed.
async function anew(id, error) {
  if (!(await load(id))) return;
  const still = may("decision") ? "Look again, then decide." : "It does not wait for you any more.";
  const kept = note.value ? " What you typed is still there." : "";
  notice(`${error.kind === "outdated" ? "This ad has changed since you looked" : error.text}: nothing was saved. ${still}${kept}`);
}

const decide = (label) => may("decision") && act("/verify/decide", { label, note: whole(note.value) }, `Decided: ${label}.`);

function discuss() {
  if (!may("discuss") || busy) return;
  if (!note.value.trim() && byId("judge-hint").hidden) {
    hint("Say what the discussion is to be about, then press Ctrl + Enter; or press D once more to send it without a remark.");
    return;
  }
  act("/verify/discuss", { text: whole(note.value) }, "Sent to the discussion.");
}

async function undo() {
  const { back, backRevision } = desk.dataset;
  if (busy) return;
  if (!back) return say("idle", "There is nothing to take back.");
  busy = true;
  paint();
  try {
    await submit("/verify/undo", { round, entry_id: back, key: newKey(), shown_at: serverTime(), seen: Number(backRevision) });
    if ((await load(back)) && typed.has(back) && !note.value) {
      note.value = typed.get(back);
      current.draft.keep();
      grow();
    }
    say("saved", "Taken back: decide again.");
  } catch (error) {
    await load(error.status === 409 ? back : current?.id);
    notice(error.kind === "outdated" ? "That ad has changed meanwhile: nothing was taken back. Look again." : refusal(error));
  } finally {
    busy = false;
    paint();
  }
}

// ---- keys and buttons

keyboard({
  1: () => decide("positive"),
  2: () => decide("negative"),
  d: discuss,
  s: later,
  u: undo,
  z: () => current && toggleZoom(current.frames),
  n: () => note.focus(),
  g: () => byId("guidelines").showModal(),
  "?": () => byId("guidelines").showModal(),
  arrowleft: () => current?.frames.step(-1),
  arrowright: () => current?.frames.step(1),
});

function later() {
  const next = following();
  if (next && !busy) load(next);
}

for (const button of document.querySelectorAll("[data-label]")) button.addEventListener("click", () => decide(button.dataset.label));
byId("discuss").addEventListener("click", discuss);
byId("later").addEventListener("click", later);
byId("undo").addEventListener("click", undo);
note.addEventListener("input", grow);
note.addEventListener("keydown", (event) => {
  if (event.key === "Escape") desk.querySelector(".entry")?.focus({ preventScroll: true });
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && note.value.trim()) discuss();
});

show(place.querySelector("[data-desk]"));
