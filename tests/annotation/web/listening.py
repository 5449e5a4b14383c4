"""What a screen reader says while somebody uses a page: by Chromium's accessibility tree, and the page's live regions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

LIVE = """
  window.heard = [];
  const last = new Map();
  const hear = () => document.querySelectorAll("[role=status], [role=alert]").forEach((each) => {
    const text = each.checkVisibility() ? each.innerText.trim().replace(/\\s+/g, " ") : "";
    if (text && text !== last.get(each)) heard.push(`${each.role}: ${text}`);
    last.set(each, text);
  });
  document.addEventListener("DOMContentLoaded", () => {
    hear();
    new MutationObserver(hear)
      .observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  });
"""
FOCUS = """() => {
  const [at, was] = [document.activeElement, window.focused ?? document.body];
  window.focused = at;
  const dialog = at.closest("dialog");
  return at === was ? [] : [dialog === was.closest("dialog") ? null : dialog, at].filter(Boolean);
}"""
STATES = ("disabled", "pressed", "required", "readonly")
ISOLATES = re.compile("[\u2066-\u2069]")


class Listener:
    """Hears one page, from its next document on."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._chromium = page.context.new_cdp_session(page)
        page.add_init_script(LIVE)

    def heard(self) -> list[str]:
        """What was said since the last time: what got the focus, then what live regions said, in their order."""
        entered = self.page.evaluate_handle(FOCUS)
        focused = [self._described(f"focus[{n}]") for n in range(self.page.evaluate("all => (window.focus_ = all).length", entered))]
        return [ISOLATES.sub("", each) for each in focused + self.page.evaluate("heard.splice(0)")]
