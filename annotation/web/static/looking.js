// An ad counts as seen once its picture is painted and was on the screen for a while: what comes earlier, the second half
// of a double click say, was not meant for it, judges nothing, and is told so.

import { byId } from "./notices.js";
import { _ } from "./texts.js";

const RELOADS_MS = [500, 2_000]; // pauses before a picture that did not load is asked for again
const TOLD_MS = 4_000;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const painting = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));

async function decoded(image) {
  for (const wait of [...RELOADS_MS, null]) {
    try {
      await image.decode();
      return true;
    } catch {
      if (wait === null) return false;
      await pause(wait);
      image.src = image.src;
    }
  }
}

export class Look {
  // leastMs: how long an ad must be on the screen before input counts
  constructor(leastMs) {
    this.leastMs = leastMs;
    this.open = false;
    this.turn = 0;
    this.undoneAt = -Infinity;
  }

  // Another ad is shown; image: its picture, if it has one. onPainted(whether the picture can be seen) when it is painted.
  async begin(image, onPainted) {
    const turn = ++this.turn;
    this.#paint(false);
    const seen = !image || (await decoded(image));
    await painting();
    if (turn !== this.turn) return;
    onPainted(seen);
    await pause(this.leastMs);
    if (turn === this.turn) this.#paint(true);
  }

  // Whether input on the ad counts; if not, says so.
  counts() {
    if (!this.open) this.#tell(_("Not counted: look at this ad first."));
    return this.open;
  }

  // Whether an undo counts: one right after another would take back more than was meant.
  countsAsUndo() {
    const counts = performance.now() - this.undoneAt >= this.leastMs;
    if (counts) this.undoneAt = performance.now();
    else this.#tell(_("Not counted: something was taken back just now. Once more takes back what was before it."));
    return counts;
  }

  #paint(open) {
    this.open = open;
    byId("judge").classList.toggle("early", !open);
    for (const button of document.querySelectorAll("#judge .choice")) button.setAttribute("aria-disabled", String(!open));
  }

  #tell(text) {
    byId("early").textContent = text;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (byId("early").textContent = ""), TOLD_MS);
  }
}
