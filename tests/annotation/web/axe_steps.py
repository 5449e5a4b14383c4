"""Ask axe-core what is wrong with a page as it stands: in light and dark, on a desk and on a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice", "experimental")
"""All of axe-core's rules but those of WCAG's level AAA; the experimental ones check the label in the name."""
SIZES = ((1440, 900), (390, 844))
"""Width and height of a desk's screen and a phone's."""
MOST_STOPS = 150
COLOURS = ("color-contrast", "link-in-text-block")
"""The rules that can tell light from dark."""


def flawless(page: Page) -> None:
    """Fail with what axe-core finds in any look of the page, which is as before afterwards."""
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed")
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe.AXE_SCRIPT)
    before = page.viewport_size
    found = []
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # a colour on its way has no contrast
            rules = _every() if theme == "light" else {"type": "rule", "values": COLOURS}
            found += [f"{theme}, {width} px: {each}" for each in _violations(page, rules)]
    page.emulate_media(color_scheme="light")
    if before:
        page.set_viewport_size(before)
    assert not found, "\n".join(["", *found])


def _every() -> dict[str, Any]:
    return {"type": "tag", "values": TAGS}


def _violations(page: Page, rules: dict[str, Any]) -> list[str]:
    return list(
        page.evaluate(
            "rules => axe.run({ runOnly: rules, resultTypes: ['violations'] }).then(({ violations }) => violations"
            ".flatMap(({ id, help, nodes }) => nodes.map(({ html }) => `${id} (${help}): ${html.slice(0, 200)}`)))",
            rules,
        )
    )


def sticks(page: Page) -> list[str]:
    """What stays on the screen, and over the page, while one scrolls."""
    return list(
        page.evaluate(
            "[...document.querySelectorAll('body *')].filter(each => each.checkVisibility() && each.offsetHeight > 1 &&"
            " ['sticky', 'fixed'].includes(getComputedStyle(each).position)).map(each => each.outerHTML.slice(0, 90))"
        )
    )


def out_of_reach(page: Page) -> list[str]:
    """Controls that cannot be scrolled to and pressed."""
    return list(
        page.evaluate(
            """() => [...document.querySelectorAll("button, a, input, select, textarea, summary, label.option")]
              .filter((each) => each.checkVisibility({ visibilityProperty: true }) && !each.closest(".skip, .unseen"))
              .filter((each) => {
                each.scrollIntoView({ block: "center", behavior: "instant" });
                const { left, top, width, height } = each.getClientRects()[0];
                const there = document.elementFromPoint(left + width / 2, top + height / 2);
                return !each.contains(there) && !there?.contains(each.labels?.[0] ?? null);
              })
              .map((each) => each.outerHTML.slice(0, 120))"""
        )
    )


def hidden_when_focused(page: Page) -> list[str]:
    """What Tab leads to and something else covers, from the beginning of the page to its end."""
    page.locator(".skip").focus()
    found, stops = [], 0
    while stops < MOST_STOPS:
        page.keyboard.press("Tab")
        at = page.evaluate(
            """() => {
              const each = document.activeElement;
              if (each === document.body) return null;
              const { left, top, right, bottom } = each.getBoundingClientRect();
              const [x, y] = [(Math.max(left, 0) + Math.min(right, innerWidth)) / 2, (top + bottom) / 2];
              const fits = bottom - top < innerHeight / 2;
              const ends = [[x, Math.max(top, 0) + 3], [x, Math.min(bottom, innerHeight) - 3]];
              const points = fits ? [[x, top + 3], [x, y], [x, bottom - 3]] : ends;
              const seen = points.map(([x, y]) => each.contains(document.elementFromPoint(x, y)));
              return [each.outerHTML.slice(0, 120), fits ? seen.every(Boolean) : seen.some(Boolean)];
            }"""
        )
        if at is None:
            break
        stops += 1
        if not at[1]:
            found.append(at[0])
    assert 3 < stops < MOST_STOPS, stops
    return found
