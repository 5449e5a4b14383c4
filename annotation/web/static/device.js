// What is kept on this device alone, in a drawer for each kind of thing and each person.

import { person } from "./api.js";

export class Drawer {
  constructor(kind) {
    this.prefix = `ytb-ads.${kind}.${person}.`;
  }

  // false where the device refuses to store anything
  keep(name, value) {
    try {
      localStorage.setItem(this.prefix + name, JSON.stringify(value));
      return true;
    } catch (error) {
      console.warn("not kept on this device", error);
      return false;
    }
  }

  // null where there is nothing, or only a torn piece of it
  get(name) {
    try {
      return JSON.parse(localStorage.getItem(this.prefix + name));
    } catch {
      return null;
    }
  }

  forget(name) {
    localStorage.removeItem(this.prefix + name);
  }

  all() {
    const names = Object.keys(localStorage).filter((name) => name.startsWith(this.prefix));
    return names.map((name) => this.get(name.slice(this.prefix.length))).filter(Boolean);
  }
}
