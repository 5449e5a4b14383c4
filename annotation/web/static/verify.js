// The verifier's page: one ad with everybody's votes; decided, sent to the discussion, or left for later.

import { fragment, newKey, serverTime, whole } from "./api.js";
import { Draft, grow } from "./drafts.js";
import { Frames } from "./frames.js";
import { keyboard } from "./keyboard.js";
import { Look } from "./looking.js";
import { byId, discussed, hint, notice, refusal, say } from "./notices.js";
import { submit } from "./submit.js";

const place = byId("desk");
const note = byId("note");
const round = Number(place.dataset.round);
const look = new Look(Number(place.dataset.leastLook));

let desk = null; // what the server last said
let current = null; // { id, revision, may, frames, draft, shownAt }
let busy = false;
let asked = null; // id of the entry for which a remark was asked for
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
    blind: Boolean(entry.dataset.blind),
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
  discussed(desk.dataset.discussed, desk.dataset.unread);
  hint("");
  asked = null;
  paint();
  grow(note);
  scrollTo({ top: 0, behavior: "instant" });
  desk.querySelector(".queue [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  (entry ?? byId("done"))?.focus({ preventScroll: true });
  const showing = current;
  if (showing)
    look.begin(showing.frames.image, (seen) => {
      showing.shownAt = serverTime();
      if (!seen) hint("The picture of this ad cannot be loaded.");
    });
}

function paint() {
  byId("judge").hidden = !current && !desk.dataset.back;
  for (const button of document.querySelectorAll("[data-label]")) button.disabled = busy || !may("decision");
  byId("discuss").disabled = busy || !may("discuss");
  byId("later").disabled = busy || (!following() && !isBehind());
  byId("undo").disabled = busy || !desk.dataset.back;
  note.disabled = !current;
}

const may = (kind) => Boolean(current?.may.includes(kind));

// The entry that is shown waits for nothing here: it was decided.
const isBehind = () => Boolean(current) && !desk.querySelector(`[data-open="${current.id}"]`);

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
    // looking loses nothing, and what was done before it may well be saved
    refused(error, error.kind === "round_closed" ? "The round is closed; nothing in it changes any more." : refusal(error));
    return false;
  }
}

// Where the round has ended under this page, nothing is left to be done on it.
function refused(error, text = refusal(error)) {
  const lost = error.kind === "round_closed" && note.value ? ` Your note was: “${note.value}”` : "";
  notice(text + lost);
  if (error.kind !== "round_closed") return;
  current = null;
  delete desk.dataset.back;
  place.hidden = true;
  paint();
  byId("closed").hidden = false;
  byId("closed").focus();
}

// ---- deciding and taking back

async function act(address, more, done) {
  if (!current || busy) return;
  const { id, revision, shownAt, draft, blind } = current;
  const text = note.value;
  busy = true;
  paint();
  try {
    const key = draft.key;
    await submit(address, { round, entry_id: id, key, shown_at: shownAt, seen: revision, ...more });
    typed.set(id, text);
    draft.saved(text);
    notice("");
    // who decides first sees the votes then
    const stays = blind && address === "/verify/decide";
    await load(stays ? id : following());
    say("saved", stays ? `${done} These are the votes; Skip goes on.` : done);
  } catch (error) {
    current.draft.keep(); // what is tried again is another submission
    if (error.kind === "outdated" || error.kind === "not_possible") await anew(id, error);
    else refused(error);
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

const decide = (label) => may("decision") && look.counts() && act("/verify/decide", { label, note: whole(note.value) }, `Decided: ${label}.`);

function discuss() {
  if (!may("discuss") || busy || !look.counts()) return;
  // the note does not get the focus: the second D of somebody in a hurry would be its text
  if (!note.value.trim() && asked !== current.id) {
    asked = current.id;
    return hint("Say in the note what the discussion is to be about, then send it by Ctrl + Enter. Discuss again sends the ad without a remark.");
  }
  act("/verify/discuss", { text: whole(note.value) }, "Sent to the discussion.");
}

async function undo() {
  const { back, backRevision } = desk.dataset;
  if (busy || !look.countsAsUndo()) return;
  if (!back) return say("idle", "There is nothing to take back.");
  busy = true;
  paint();
  try {
    await submit("/verify/undo", { round, entry_id: back, key: newKey(), shown_at: serverTime(), seen: Number(backRevision) });
    if ((await load(back)) && typed.has(back) && !note.value) {
      note.value = typed.get(back);
      current.draft.keep();
      grow(note);
    }
    say("saved", "Taken back: decide again.");
  } catch (error) {
    if (error.kind === "round_closed") return refused(error);
    if (!(await load(error.status === 409 ? back : current?.id))) return;
    notice(error.kind === "outdated" ? "That ad has changed meanwhile: nothing was taken back. Look again." : refusal(error));
  } finally {
    busy = false;
    paint();
  }
}

// ---- keys and buttons

keyboard(() => current?.frames, {
  1: () => decide("positive"),
  2: () => decide("negative"),
  d: discuss,
  s: later,
  u: undo,
  n: () => note.focus(),
});

function later() {
  const next = following();
  if (!busy && (next || isBehind())) load(next);
}

for (const button of document.querySelectorAll("[data-label]")) button.addEventListener("click", () => decide(button.dataset.label));
byId("discuss").addEventListener("click", discuss);
byId("later").addEventListener("click", later);
note.addEventListener("input", () => grow(note));
addEventListener("resize", () => grow(note));
note.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) discuss();
});

show(place.querySelector("[data-desk]"));
