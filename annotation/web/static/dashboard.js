// Numbers that were not ready with the page take the place of the older ones, once; then the page stays as it is.

import { fragment, mayPass } from "./api.js";

const LOOK_MS = 1_000;
const shown = document.getElementById("numbers");

async function newer() {
  for (;;) {
    await new Promise((then) => setTimeout(then, LOOK_MS));
    try {
      const found = await fragment(`/dashboard/numbers?round=${shown.dataset.round}&v=${shown.dataset.version}`);
      if (found) return found;
    } catch (error) {
      if (!mayPass(error)) return null;
    }
  }
}

if ("behind" in shown.dataset) {
  const found = await newer();
  if (found) {
    shown.replaceWith(found);
    const news = document.getElementById("news");
    news.textContent = news.dataset.text;
  }
}
