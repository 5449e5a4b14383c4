// A discussion: what others write appears by itself, and what is being typed stays until it is saved.

import { fragment, newKey, post, serverTime, whole } from "./api.js";
import { Draft, grow } from "./drafts.js";
import { Frames } from "./frames.js";
import { keyboard } from "./keyboard.js";
import { byId, discussed, notice, refusal, say } from "./notices.js";
import { submit } from "./submit.js";
import { _ } from "./texts.js";

const { round: roundText, entry, role, over } = byId("discussion").dataset;
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

let marked = -1; // how far the server knows that this was read

const thread = () => byId("thread").dataset;

function paint() {
  const open = Boolean(thread().open) && !over;
  // a discussion that ends while somebody types takes nothing away
  byId("write").hidden = !open && !text.value;
  text.readOnly = !open;
  byId("send").disabled = busy || !open;
  byId("unsay").hidden = !(open && thread().mayUndo);
  byId("stance").hidden = !open;
  byId("to-text").hidden = !open;
  for (const button of byId("stance").querySelectorAll("button")) {
    button.disabled = busy;
    button.setAttribute("aria-pressed", String(button.dataset.stance === thread().own));
  }
  if (verifier) {
    byId("outcome").hidden = !open;
    byId("reopen").hidden = open || over || !thread().mayUndo;
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
  for (const part of byId("thread").querySelectorAll("[data-part]")) {
    const now = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    if (part.outerHTML !== now.outerHTML) part.replaceWith(now);
  }
  for (const name of Object.keys(thread())) delete byId("thread").dataset[name];
  Object.assign(byId("thread").dataset, fresh.dataset);
  discussed(fresh.dataset.discussed, fresh.dataset.unread);
  if (atEnd) messages.scrollTo({ top: messages.scrollHeight });
  paint();
  markRead();
}

// What stands on a screen that somebody looks at counts as read.
async function markRead() {
  const said = Number(thread().said);
  if (document.hidden || said === marked) return;
  try {
    const { unread } = await post("/discussion/read", { round, entry_id: entry, said });
    marked = said;
    discussed(thread().discussed, unread);
  } catch (error) {
    console.warn("not marked as read", error); // the next look tries again
  }
}

async function lookAndLookAgain() {
  try {
    if (!document.hidden && !busy && !over) await look();
    if (byId("saved").dataset.state === "lost") say("idle", "");
  } catch (error) {
    if (error.status === 401) return notice(refusal(error));
    if (error.status !== 409) say("lost", _("No connection: new messages appear when it is back."));
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
      const kept = text.value || note?.value ? ` ${_("What you typed is still there.")}` : "";
      const meanwhile = _("Somebody has written meanwhile: nothing was saved. Read it, then try again.");
      notice((error.kind === "outdated" ? meanwhile : refusal(error)) + kept);
    } else notice(refusal(error));
  } finally {
    busy = false;
    paint();
  }
}

function send() {
  const said = text.value;
  if (!said.trim()) return text.focus();
  act("/discussion/message", { key: message.key, text: whole(said) }, _("Message saved."), () => (message.saved(said), fit()));
}

function close(address, more, done) {
  const noted = note.value;
  const body = { key: newKey(), seen: Number(thread().revision), ...more };
  act(address, body, done, () => outcome.saved(noted));
}

function takeBack() {
  if (verifier) act("/discussion/undo", { key: newKey(), seen: Number(thread().revision) }, _("Taken back."));
  else act("/discussion/unsay", { key: newKey() }, _("Taken back."));
}

byId("write").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
// under the thumb of a narrow screen it is as small as it can be
const fit = () => grow(text, getComputedStyle(byId("write")).position === "fixed" ? 1 : 3);
text.addEventListener("input", fit);
addEventListener("resize", fit);
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
});
byId("unsay").addEventListener("click", takeBack);
if (verifier) {
  for (const button of document.querySelectorAll("[data-settle]"))
    button.addEventListener("click", () =>
      close("/discussion/settle", { label: button.dataset.settle, note: whole(note.value) }, _("Settled: %(label)s.", { label: _(button.dataset.settle) })),
    );
  byId("exclude").addEventListener("click", () => {
    if (note.value.trim()) return close("/discussion/exclude", { text: whole(note.value) }, "Excluded.");
    notice("An exclusion needs a reason: say why the ad does not belong into the dataset, then press Exclude again.");
    note.focus();
  });
  byId("undo").addEventListener("click", takeBack);
}

for (const button of document.querySelectorAll("[data-stance]"))
  button.addEventListener("click", () => {
    const { stance } = button.dataset;
    if (stance !== thread().own) act("/discussion/stance", { key: newKey(), choice: stance }, _("You say now: %(choice)s.", { choice: _(stance) }));
  });

keyboard(() => frames, {});
frames.show(0);
paint();
fit();
byId("messages").scrollTo({ top: byId("messages").scrollHeight });
markRead();
document.addEventListener("visibilitychange", markRead);
setTimeout(lookAndLookAgain, LOOK_EVERY_MS);
