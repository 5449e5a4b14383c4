// What is being typed, kept on this device until it is saved, each text with the key that it will be sent under: sent
// again after a reload, the same text counts once.

import { newKey, person } from "./api.js";

const PREFIX = `ytb-ads.typed.${person}.`;

export class Draft {
  constructor(field, name) {
    this.field = field;
    this.name = PREFIX + name;
    const kept = this.#kept();
    field.value = kept.text;
    this.key = kept.key;
    this.listener = () => this.keep();
    field.addEventListener("input", this.listener);
  }

  // Another text is another submission.
  keep() {
    this.key = newKey();
    try {
      localStorage.setItem(this.name, JSON.stringify({ text: this.field.value, key: this.key }));
    } catch (error) {
      console.warn("the draft is not kept on this device", error);
    }
  }

  // The text was saved; what was typed since stays.
  saved(text) {
    if (this.field.value === text) this.field.value = "";
    this.keep();
    if (!this.field.value) localStorage.removeItem(this.name);
  }

  leave() {
    this.field.removeEventListener("input", this.listener);
  }

  #kept() {
    const nothing = { text: "", key: newKey() };
    try {
      return JSON.parse(localStorage.getItem(this.name)) ?? nothing;
    } catch {
      return nothing; // torn
    }
  }
}
