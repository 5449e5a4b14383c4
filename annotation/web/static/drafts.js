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

const MOST_ROWS = 6;

// A field as high as its text, wrapped lines too, up to some; leastRows: when it is empty.
export function grow(field, leastRows = 1) {
  field.rows = leastRows;
  while (field.value && field.rows < MOST_ROWS && field.scrollHeight > field.clientHeight) field.rows += 1;
}
