// The ads that the reviewer's page holds: the one that is judged, those that wait behind it, and those judged last, which
// an undo goes back to.

import { fragment } from "./api.js";

const AHEAD = 20; // ads that wait behind the first, so that a lost connection stops nobody
const KEPT = 8; // ads that were judged
const PICTURES_MS = 10_000;
const idOf = (element) => element.dataset.entry;

// Wait for an ad's pictures before the next ad is asked for: what is submitted meanwhile must not stand behind hundreds.
function pictures(element) {
  const loading = [...element.querySelectorAll("img")].filter((image) => !image.complete);
  const over = (image) => new Promise((done) => ["load", "error"].forEach((each) => image.addEventListener(each, done, { once: true })));
  return Promise.race([Promise.all(loading.map(over)), new Promise((done) => setTimeout(done, PICTURES_MS))]);
}

export class Ads {
  // place: the element that holds them
  constructor(place, round) {
    this.place = place;
    this.round = round;
    this.queue = [...place.children];
    this.seen = new Map(this.queue.map((element) => [idOf(element), element]));
    this.finished = false; // there are no more than these
    this.fetching = false;
    this.passed = new Set(); // ids of those judged since the latest question for more
  }

  get first() {
    return this.queue[0] ?? null;
  }

  // The first is judged.
  pass() {
    this.passed.add(idOf(this.queue.shift()));
    // a day's work must not pile up in the page; an undo further back fetches its ad
    for (const [id, element] of this.seen) {
      if (this.seen.size - this.queue.length <= KEPT) return;
      if (this.queue.includes(element)) continue;
      element.remove();
      this.seen.delete(id);
    }
  }

  drop(id) {
    this.queue = this.queue.filter((element) => idOf(element) !== id);
  }

  // One that was judged comes first again.
  async putBack(id) {
    this.finished = false;
    const element = this.seen.get(id) ?? (await fragment(`/review/entries/${id}?round=${this.round}`));
    delete element.dataset.choice;
    this.passed.delete(id);
    this.drop(id);
    this.#hold(element);
    this.queue.unshift(element);
  }

  // Fetch until enough wait behind the first. unsent(): ids of those judged of which the server does not know yet
  async fill(unsent, onMore) {
    if (this.fetching) return;
    this.fetching = true;
    try {
      while (!this.finished && this.queue.length <= AHEAD) {
        const held = new Set([...this.queue.map(idOf), ...unsent()]);
        const query = new URLSearchParams([["round", this.round], ...[...held].map((id) => ["held", id])]);
        this.passed.clear();
        const element = await fragment(`/review/next?${query}`);
        this.finished = element === null;
        // meanwhile an undo may have put it back, or it may have been judged
        if (element && !this.passed.has(idOf(element)) && !this.queue.some((each) => idOf(each) === idOf(element))) {
          this.#hold(element);
          this.queue.push(element);
        }
        onMore();
        if (element) await pictures(element);
      }
    } finally {
      this.fetching = false;
    }
  }

  #hold(element) {
    const had = this.seen.get(idOf(element));
    if (had === element) return;
    had?.remove();
    this.seen.set(idOf(element), element);
    element.hidden = true;
    this.place.append(element);
  }
}
