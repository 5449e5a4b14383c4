"""What a screen reader says while somebody uses a page, by Chromium's own accessibility tree and the page's live regions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

LIVE = (
    "const live = '[role=status], [role=alert]'; window.heard = []; const last = new Map();"
    "const hear = () => document.querySelectorAll(live).forEach(each => {"
    "  const text = each.checkVisibility() ? each.innerText.trim().replace(/\\s+/g, ' ') : '';"
    "  if (text && text !== last.get(each)) window.heard.push(`${each.role}: ${text}`);"
    "  last.set(each, text); });"
    "document.addEventListener('DOMContentLoaded', () => { hear(); new MutationObserver(hear)"
    "  .observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true }); });"
)
STATES = ("disabled", "pressed", "required", "readonly")
ISOLATES = re.compile("[\u2066-\u2069]")


class Listener:
    """Hears one page.

    Args:
        page: what is heard; from its next document on.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self._chromium = page.context.new_cdp_session(page)
        self._focused = ""
        page.add_init_script(LIVE)

    def heard(self) -> list[str]:
        """What was said since the last time: what has got the focus, then live regions in their order."""
        said: list[str] = self.page.evaluate("heard.splice(0)")
        focused = self._describe()
        news = [focused] if focused != self._focused else []
        self._focused = focused
        return [ISOLATES.sub("", each) for each in news + said]

    def _describe(self) -> str:
        """Name, role, state and description, in the order in which screen readers say them."""
        at = self._chromium.send("Runtime.evaluate", {"expression": "document.activeElement"})["result"]["objectId"]
        (node, *_) = self._chromium.send("Accessibility.getPartialAXTree", {"objectId": at, "fetchRelatives": False})["nodes"]
        facts: dict[str, Any] = {each["name"]: each["value"]["value"] for each in node["properties"]}
        states = [
            name if facts[name] in (True, "true") else f"not {name}"
            for name in STATES
            if name in facts and (facts[name] not in (False, "false") or name == "pressed")
        ]
        keys = [f"key {facts['keyshortcuts']}"] if facts.get("keyshortcuts") else []
        description = [node["description"]["value"]] if node.get("description", {}).get("value") else []
        return ", ".join([node["name"]["value"], node["role"]["value"], *states, *description, *keys])
