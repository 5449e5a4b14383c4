// The ads that the reviewer's page holds: the one that is judged, those that wait behind it, and those judged last, which
// an undo goes back to.

import { fragment } from "./api.js";

const KEPT = 8;
const idOf = (element) => element.dataset.entry;

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
      if (this.seen.size <= KEPT) return;
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

  // Fetch until one waits behind the first. unsent(): ids of those judged of which the server does not know yet
  async fill(unsent, onMore) {
    if (this.fetching) return;
    this.fetching = true;
    try {
      while (!this.finished && this.queue.length < 2) {
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
