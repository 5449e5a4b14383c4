"""Five reviewers and a verifier, each in a browser of their own, take nine ads through every state to the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from annotation.events import CHOICES, Choice
from annotation.outcomes import reviews, round_status, verdicts
from annotation.protocol import State
from data_catalog.catalog import Catalog
from data_catalog.releases import read_manifest
from data_catalog.schemas import LABELS, TABLES
from flows.frames.sampling import frames_fingerprint
from flows.ocr.registry import texts_fingerprint
from flows.release.flow import release
from flows.review.flow import review
from flows.settings import ReviewSettings, Settings
from tests.annotation.store_builders import states
from tests.annotation.web.browser_steps import Enter, gone, judge, note, saved, shown
from tests.annotation.web.round_builders import entry_ids
from tests.annotation.web.site_builder import Site, make_site

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

ADS, REVIEWERS = 9, 5
KEYS: dict[Choice, str] = {choice: str(number) for number, choice in enumerate(CHOICES, start=1)}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path, ads=ADS)


def choices(number: int) -> tuple[Choice, ...]:
    """What the five say of ad `number`: three are unanimous, two have a majority, four an `uncertain`."""
    if number < 3:
        return ("positive" if number % 2 else "negative",) * 5
    if number < 5:
        return ("positive", "negative", "negative", "positive", "positive" if number % 2 else "negative")
    return ("positive", "negative", "uncertain", "positive", "negative")


def judge_everything(page: Page, said: dict[str, Choice]) -> None:
    """One reviewer, by keys, to the end."""
    for number in range(ADS):
        entry_id = shown(page)
        if number == 3:  # a slip, taken back
            judge(page, KEYS["negative" if said[entry_id] == "positive" else "positive"])
            gone(page, entry_id)
            page.keyboard.press("u")
            page.locator(f"article[data-entry='{entry_id}']:visible").wait_for()
        if said[entry_id] == "uncertain":
            note(page, "1 smile, 2 frowns")
        judge(page, KEYS[said[entry_id]])
        gone(page, entry_id)
        page.locator("article.entry:visible, #done:visible").first.wait_for()
    page.get_by_role("heading", name="All done").wait_for()
    page.locator("#progress-text", has_text=f"{ADS} of {ADS}").wait_for()


def as_the_stages_leave_it(catalog: Catalog, settings: Settings) -> None:
    """Fill in what the page does not show and a release needs: from what, and how, the rows were made."""
    frames, texts = frames_fingerprint(settings), texts_fingerprint(settings)
    pictures = {row["frame_id"]: row["image_sha256"] for row in catalog.read("frames").to_pylist()}
    filled: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "ads": lambda row: {"media_sha256": row["video_id"]},
        "frames": lambda row: {"fingerprint": frames, "upstream_revision": row["video_id"]},
        "texts": lambda row: {"fingerprint": texts, "upstream_revision": pictures[row["frame_id"]]},
        "ad_sentiment": lambda _: {
            **dict.fromkeys(("mean_dominant", "mean_dominant_with_neutral", "mean_scale"), 3.0),
            "n_comments": 9,
            "n_scored": 9,
            "n_neutral": 0,
        },
    }
    for table, values in filled.items():
        rows = [row | values(row) for row in catalog.read(table).to_pylist()]
        catalog.merge(table, pa.Table.from_pylist(rows, schema=TABLES[table].schema))


@pytest.mark.usefixtures("prefect_api")
def test_nine_ads_through_every_state_to_a_released_set(site: Site, enter: Enter, address: str) -> None:
    ids = entry_ids(site)
    said = {entry_id: choices(number) for number, entry_id in enumerate(ids)}
    passed: Counter[State] = Counter()

    def look() -> Counter[State]:
        now = Counter(state.state for state in states(site.store).values())
        passed.update(now)
        return now

    assert look() == {"open": ADS}
    contexts = [enter(f"Reviewer {number}") for number in range(REVIEWERS)]
    for number, context in enumerate(contexts):
        judge_everything(context.pages[0], {entry_id: all_five[number] for entry_id, all_five in said.items()})
        look()
    assert look() == {"agreed": 5, "needs_verifier": 4}

    verifier = enter("Verifier").pages[0]
    assert verifier.locator("#waiting-count").inner_text() == "4 wait"
    discussed = []
    for number in range(4):
        entry_id = shown(verifier)
        assert verifier.locator(".votes").get_by_text("1 smile, 2 frowns").count() == 1
        if number % 2:
            note(verifier, "What says so?")
            judge(verifier, "d")
            discussed.append(entry_id)
        else:
            judge(verifier, "1" if number % 4 else "2")
        gone(verifier, entry_id)
    verifier.get_by_role("heading", name="Nothing waits for you").wait_for()
    assert look() == {"agreed": 5, "verified": 2, "in_discussion": 2}

    for number, entry_id in enumerate(discussed):
        page = contexts[number % REVIEWERS].pages[0]
        page.goto(f"{address}/discussion")
        page.locator(f"a[href='/discussion/{entry_id}']").click()
        page.get_by_role("log").get_by_text("What says so?").wait_for()
        page.locator("#text").fill(f"The music, in ad {number}.")
        page.keyboard.press("Control+Enter")
        saved(page, "Message saved.")
        verifier.goto(f"{address}/discussion/{entry_id}")
        verifier.get_by_role("log").get_by_text(f"The music, in ad {number}.").wait_for()
        outcome = verifier.get_by_role("region", name="What comes of it")
        outcome.get_by_role("textbox").fill("It is no ad.")
        outcome.get_by_role("button", name="Exclude" if number % 3 == 0 else "Negative").click()
        saved(verifier, "Excluded." if number % 3 == 0 else "Settled: negative.")
    assert look() == {"agreed": 5, "verified": 2, "settled": 1, "excluded": 1}
    assert set(passed) == set(get_args(State)), "every state was passed"

    admin = enter("Admin").pages[0]
    admin.get_by_text("Every ad has come to its end").wait_for()
    plots = admin.locator("img.plot")
    assert plots.count() >= 4
    for number in range(plots.count()):
        assert plots.nth(number).evaluate("image => image.decode().then(() => image.naturalWidth)") > 400

    assert round_status(site.store, 1).complete
    found = verdicts(site.store, 1)
    assert Counter(each.decision.decided_by if each.decision else "nobody" for each in found) == {
        "reviewers": 5,
        "verifier": 2,
        "discussion": 1,
        "nobody": 1,
    }
    labels = {each.entry_id: each.decision.label for each in found if each.decision and each.state == "agreed"}
    assert labels == {entry_id: Counter(all_five).most_common(1)[0][0] for entry_id, all_five in list(said.items())[:5]}
    assert len(reviews(site.store, 1)) == ADS * REVIEWERS + 4
    assert Counter(event.kind for event in site.store.events(1)) == {
        "vote": (ADS + 1) * REVIEWERS,
        "undo": REVIEWERS,
        "decision": 2,
        "discuss": 2,
        "message": 2,
        "settle": 1,
        "exclude": 1,
    }

    people = Settings(review=ReviewSettings(policy="human", store=SecretStr(site.settings.store)))
    as_the_stages_leave_it(site.catalog, people)
    # by hand: the browsers may still have said that somebody is at work, for which a round waits
    site.store.rounds.close(1)
    review.fn(site.catalog, people)
    released = release.fn(site.catalog, people)
    rows = pq.read_table(f"{released.folder}/data", columns=["video_id", "label"]).to_pylist()
    names = {row["video_id"]: LABELS[row["label"]] for row in rows}
    assert names == {each.video_id: each.decision.label for each in found if each.decision}
    assert read_manifest(released.folder)["labels"]["decided_by"] == {
        "the reviewers": 5,
        "the verifier": 2,
        "the discussion": 1,
    }
