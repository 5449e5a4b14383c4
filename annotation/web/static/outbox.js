// Submissions on their way: kept on this device until the server has answered, sent one after the other, each under
// the key that it was given first, so that one that arrived twice counts once.

import { person, post, ServerError } from "./api.js";

const PREFIX = `ytb-ads.outbox.${person}.`;
const RETRY_MS = [1_000, 2_000, 5_000, 10_000];

// The device may refuse to store anything: then the page alone holds what is not sent, and says so before it closes.
function keep(item) {
  try {
    localStorage.setItem(PREFIX + item.body.key, JSON.stringify(item));
    return true;
  } catch (error) {
    console.warn("not kept on this device", error);
    return false;
  }
}

function leftovers() {
  return Object.keys(localStorage)
    .filter((name) => name.startsWith(PREFIX))
    .flatMap((name) => {
      try {
        return [JSON.parse(localStorage.getItem(name))];
      } catch {
        localStorage.removeItem(name); // not ours, or torn
        return [];
      }
    })
    .sort((one, other) => one.at - other.at);
}

export class Outbox {
  // listeners: onState(state, waiting), onSaved(item, answer), onRefused(item, error)
  constructor(listeners) {
    this.listeners = listeners;
    this.items = leftovers();
    this.tries = 0;
    this.sending = false;
    addEventListener("online", () => this.#now());
    document.addEventListener("visibilitychange", () => document.hidden || this.#now());
    addEventListener("beforeunload", (event) => {
      if (this.items.some((item) => item.onlyHere)) event.preventDefault();
    });
  }

  get waiting() {
    return this.items.length;
  }

  add(address, body, about) {
    const item = { address, body, about, at: Math.max(Date.now(), (this.items.at(-1)?.at ?? 0) + 1) };
    this.items.push(item);
    item.onlyHere = !keep(item);
    this.#now();
  }

  start() {
    if (this.items.length) this.#now();
  }

  #now() {
    clearTimeout(this.timer);
    this.#send();
  }

  async #send() {
    if (this.sending) return;
    this.sending = true;
    while (this.items.length) {
      const item = this.items[0];
      this.listeners.onState(this.tries ? "lost" : "saving", this.items.length);
      try {
        const answer = await post(item.address, item.body);
        this.#drop(item);
        this.listeners.onSaved(item, answer);
      } catch (error) {
        if (!(error instanceof ServerError) || error.status >= 500 || error.status === 429) {
          this.listeners.onState("lost", this.items.length);
          this.timer = setTimeout(() => this.#send(), RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)]);
          this.sending = false;
          return;
        }
        if (error.status === 401 || error.kind === "forged") {
          // kept on this device: the next page of the same person sends it
          this.listeners.onState("ended", this.items.length);
          this.sending = false;
          return;
        }
        this.#drop(item);
        this.listeners.onRefused(item, error);
      }
      this.tries = 0;
    }
    this.sending = false;
  }

  #drop(item) {
    this.items = this.items.filter((each) => each !== item);
    localStorage.removeItem(PREFIX + item.body.key);
  }
}
