// A discussion: what others write appears by itself, and what is being typed stays until it is saved.

import { fragment, newKey, serverTime, whole } from "./api.js";
import { Draft } from "./drafts.js";
import { Frames } from "./frames.js";
import { keyboard } from "./keyboard.js";
import { byId, discussed, notice, refusal, say } from "./notices.js";
import { submit } from "./submit.js";

const { round: roundText, entry, role } = byId("discussion").dataset;
const round = Number(roundText);
const verifier = role === "verifier";
const LOOK_EVERY_MS = 4_000;

const frames = new Frames(document.querySelector(".shown"));
const text = byId("text");
const message = new Draft(text, `${round}.${entry}.message`);
const note = byId("note");
const outcome = note && new Draft(note, `${round}.${entry}.outcome`);
const shownAt = serverTime();
let busy = false;
let looking = null;

const thread = () => byId("thread").dataset;

function paint() {
  const open = Boolean(thread().open);
  // a discussion that ends while somebody types takes nothing away
  byId("write").hidden = !open && !text.value;
  text.readOnly = !open;
  byId("send").disabled = busy || !open;
  byId("unsay").hidden = !(open && thread().mayUndo);
  if (verifier) {
    byId("outcome").hidden = !open;
    byId("reopen").hidden = open || !thread().mayUndo;
    for (const button of byId("outcome").querySelectorAll("button")) button.disabled = busy;
  }
}

// ---- what the others wrote

async function look() {
  if (looking) return looking;
  looking = fragment(`/discussion/${entry}/thread?round=${round}`).then(take);
  try {
    await looking;
  } finally {
    looking = null;
  }
}

function take(fresh) {
  const messages = byId("messages");
  const atEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 40;
  const said = [...fresh.querySelector("#messages").children];
  // only what is new is read out, and a selection in what stood there already stays
  said.forEach((each, index) => {
    const had = messages.children[index];
    if (!had) messages.append(each);
    else if (had.outerHTML !== each.outerHTML) had.replaceWith(each);
  });
  while (messages.children.length > said.length) messages.lastElementChild.remove();
  byId("thread").querySelector("[data-thread-state]").replaceWith(fresh.querySelector("[data-thread-state]"));
  for (const name of Object.keys(thread())) delete byId("thread").dataset[name];
  Object.assign(byId("thread").dataset, fresh.dataset);
  discussed(fresh.dataset.discussed);
  if (atEnd) messages.scrollTo({ top: messages.scrollHeight });
  paint();
}

async function lookAndLookAgain() {
  try {
    if (!document.hidden && !busy) await look();
    if (byId("saved").dataset.state === "lost") say("idle", "");
  } catch (error) {
    if (error.status === 401) return notice(refusal(error));
    if (error.status !== 409) say("lost", "No connection: new messages appear when it is back.");
  }
  setTimeout(lookAndLookAgain, LOOK_EVERY_MS);
}

// ---- writing, settling, taking back

async function act(address, body, done, after = () => {}) {
  if (busy) return;
  busy = true;
  paint();
  try {
    await submit(address, { round, entry_id: entry, shown_at: shownAt, ...body });
    after();
    notice("");
    say("saved", done);
    await look().catch((error) => notice(refusal(error)));
  } catch (error) {
    if (error.status === 409) {
      await look().catch(() => {});
      const kept = text.value || note?.value ? " What you typed is still there." : "";
      notice(error.kind === "outdated" ? `Somebody has written meanwhile: nothing was saved. Read it, then try again.${kept}` : refusal(error) + kept);
    } else notice(refusal(error));
  } finally {
    busy = false;
    paint();
  }
}

function send() {
  const said = text.value;
  if (!said.trim()) return text.focus();
  act("/discussion/message", { key: message.key, text: whole(said) }, "Message saved.", () => message.saved(said));
}

function close(address, more, done) {
  const noted = note.value;
  const body = { key: newKey(), seen: Number(thread().revision), ...more };
  act(address, body, done, () => outcome.saved(noted));
}

function takeBack() {
  if (verifier) act("/discussion/undo", { key: newKey(), seen: Number(thread().revision) }, "Taken back.");
  else act("/discussion/unsay", { key: newKey() }, "Message taken back.");
}

byId("write").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
});
byId("unsay").addEventListener("click", takeBack);
if (verifier) {
  for (const button of document.querySelectorAll("[data-settle]"))
    button.addEventListener("click", () =>
      close("/discussion/settle", { label: button.dataset.settle, note: whole(note.value) }, `Settled: ${button.dataset.settle}.`),
    );
  byId("exclude").addEventListener("click", () => close("/discussion/exclude", { text: whole(note.value) }, "Excluded."));
  byId("undo").addEventListener("click", takeBack);
}

keyboard(() => frames, {});
frames.show(0);
paint();
byId("messages").scrollTo({ top: byId("messages").scrollHeight });
setTimeout(lookAndLookAgain, LOOK_EVERY_MS);
