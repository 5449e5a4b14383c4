// The frames of one entry: which is shown, which are left out, the enlarged view, and the video in their place.

import { _ } from "./texts.js";

export class Frames {
  // element: what holds the macros `frames` and `words` of an entry
  constructor(element, onChange = () => {}) {
    this.element = element;
    this.onChange = onChange;
    this.figures = [...element.querySelectorAll(".frame")];
    this.index = 0;
    this.excluded = new Set();
    element.querySelectorAll("[data-step]").forEach((button) =>
      button.addEventListener("click", () => this.step(Number(button.dataset.step))),
    );
    element.querySelectorAll("[data-thumbnail]").forEach((button, index) =>
      button.addEventListener("click", () => this.show(index)),
    );
    element.querySelectorAll("[data-zoom]").forEach((button) =>
      button.addEventListener("click", () => openZoom(this)),
    );
    element.querySelector("[data-exclude]")?.addEventListener("click", () => this.toggleExcluded());
    this.film = element.querySelector("[data-film]");
    this.watching = false;
    element.querySelector("[data-watch]")?.addEventListener("click", () => this.toggleFilm());
    this.film?.querySelector("video").addEventListener("error", (event) => {
      event.target.hidden = true;
      this.film.querySelector(".gone").hidden = false;
    });
  }

  get current() {
    return this.figures[this.index]?.dataset.frame;
  }

  get image() {
    return this.figures[this.index]?.querySelector("img");
  }

  step(by) {
    if (this.figures.length) this.show((this.index + by + this.figures.length) % this.figures.length);
  }

  show(index) {
    this.index = index;
    this.watching = false;
    this.#paint();
  }

  exclude(ids) {
    this.excluded = new Set(ids);
    this.#paint();
  }

  toggleExcluded() {
    if (!this.current) return;
    if (!this.excluded.delete(this.current)) this.excluded.add(this.current);
    this.#paint();
    this.onChange();
  }

  toggleFilm() {
    if (!this.film) return;
    this.watching = !this.watching;
    this.#paint();
    // a browser that wants a click on the video itself gets it there
    if (this.watching) this.film.querySelector("video").play().catch(() => {});
  }

  // Another ad is shown: this one goes on playing otherwise.
  rest() {
    this.film?.querySelector("video").pause();
  }

  #paint() {
    if (!this.watching) this.rest();
    if (this.film) this.film.hidden = !this.watching;
    this.element.querySelector("[data-watch]")?.setAttribute("aria-pressed", String(this.watching));
    this.figures.forEach((figure, index) => {
      const out = this.excluded.has(figure.dataset.frame);
      figure.hidden = this.watching || index !== this.index;
      figure.classList.toggle("out", out);
      figure.querySelector(".stamp").hidden = !out;
    });
    this.element.querySelectorAll("[data-words]").forEach((words) =>
      words.classList.toggle("current", words.dataset.words.split(" ").includes(String(this.index + 1))),
    );
    this.element.querySelectorAll("[data-thumbnail]").forEach((button, index) => {
      const out = this.excluded.has(button.dataset.thumbnail);
      button.classList.toggle("out", out);
      button.ariaLabel = out
        ? _("Frame %(number)s of %(count)s, left out", { number: index + 1, count: this.figures.length })
        : _("Frame %(number)s of %(count)s", { number: index + 1, count: this.figures.length });
      if (index === this.index) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
    const out = this.excluded.has(this.current);
    this.element.querySelector("[data-exclude]")?.setAttribute("aria-pressed", String(out));
    if (zoom?.open) paintZoom();
  }
}

const zoom = document.getElementById("zoom");
let zoomed;

function openZoom(frames) {
  if (!zoom || !frames.image) return;
  zoomed = frames;
  setLarger(false);
  paintZoom();
  zoom.showModal();
}

function paintZoom() {
  const image = zoom.querySelector("img");
  image.src = zoomed.image.src;
  image.alt = zoomed.image.alt;
}

function setLarger(larger, x = 0.5, y = 0.5) {
  const pan = zoom.querySelector(".pan");
  pan.classList.toggle("larger", larger);
  zoom.querySelector("[data-larger]").setAttribute("aria-pressed", String(larger));
  pan.scrollTo(x * pan.scrollWidth - pan.clientWidth / 2, y * pan.scrollHeight - pan.clientHeight / 2);
}

export function toggleZoom(frames) {
  if (zoom.open) zoom.close();
  else openZoom(frames);
}

if (zoom) {
  const isLarger = () => zoom.querySelector(".pan").classList.contains("larger");
  zoom.querySelector("[data-close]").addEventListener("click", () => zoom.close());
  zoom.querySelector("[data-larger]").addEventListener("click", () => setLarger(!isLarger()));
  zoom.querySelectorAll("[data-step]").forEach((button) =>
    button.addEventListener("click", () => zoomed.step(Number(button.dataset.step))),
  );
  zoom.querySelector("img").addEventListener("click", (event) => {
    const box = event.target.getBoundingClientRect();
    setLarger(!isLarger(), (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  });
}
