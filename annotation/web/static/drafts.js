// What is being typed, kept on this device until it is saved, each text with the key that it will be sent under: sent
// again after a reload, the same text counts once.

import { newKey } from "./api.js";
import { Drawer } from "./device.js";

const typed = new Drawer("typed");

export class Draft {
  constructor(field, name) {
    this.field = field;
    this.name = name;
    const { text, key } = typed.get(name) ?? { text: "", key: newKey() };
    field.value = text;
    this.key = key;
    this.listener = () => this.keep();
    field.addEventListener("input", this.listener);
  }

  // Another text is another submission.
  keep() {
    this.key = newKey();
    typed.keep(this.name, { text: this.field.value, key: this.key });
  }

  // The text was saved; what was typed since stays.
  saved(text) {
    if (this.field.value === text) this.field.value = "";
    this.keep();
    if (!this.field.value) typed.forget(this.name);
  }

  leave() {
    this.field.removeEventListener("input", this.listener);
  }
}

// A field as high as its text, up to four lines.
export function grow(field) {
  field.rows = Math.min(4, field.value.split("\n").length);
}
