// Submissions on their way: kept on this device until the server has answered, sent one after the other, each under
// the key that it was given first, so that one that arrived twice counts once.

import { ended, mayPass, post, retryMs } from "./api.js";
import { Drawer } from "./device.js";

const drawer = new Drawer("outbox");

export class Outbox {
  // listeners: onState(state, waiting), onSaved(item, answer), onRefused(item, error), onEnded(error)
  constructor(listeners) {
    this.listeners = listeners;
    this.items = drawer.all().sort((one, other) => one.at - other.at);
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
    // where the device keeps nothing, the page alone holds what is not sent, and says so before it closes
    item.onlyHere = !drawer.keep(item.body.key, item);
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
        if (mayPass(error)) {
          this.listeners.onState("lost", this.items.length);
          this.timer = setTimeout(() => this.#send(), retryMs(this.tries++));
          this.sending = false;
          return;
        }
        if (ended(error)) {
          // kept on this device: the next page of the same person sends it
          this.listeners.onEnded(error);
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
    drawer.forget(item.body.key);
  }
}
