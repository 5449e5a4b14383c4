"""The dataset card: complete, true, and no untrusted text becomes markup."""

from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
from datasets.info import DatasetInfosDict
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image

from data_catalog.printing import readable
from data_catalog.releases import Contents, compare, read_manifest
from flows.release.card import dataset_card, plain
from flows.release.facts import ClassCounts, ReleaseFacts, count_table1
from flows.release.report import report_html
from flows.settings import ReleaseSettings, Settings, SourceSettings
from tests.flows.release.conftest import HOSTILE

MANIFEST = {"row_set_hash": "abc123", "files": {}}


def as_html(markdown: str) -> str:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)


def test_a_synthetic_release_says_so_first_and_loudly(facts: ReleaseFacts) -> None:
    card = dataset_card(facts, MANIFEST)
    assert "- synthetic\n" in card
    assert card.index("**SYNTHETIC.**") < card.index("## Table 1")


def test_a_crawled_release_does_not_call_itself_synthetic(real_facts: ReleaseFacts) -> None:
    assert "synthetic" not in dataset_card(real_facts, MANIFEST).lower()


def test_the_card_tells_counts_drops_thresholds_and_that_nobody_reviewed(facts: ReleaseFacts) -> None:
    card = dataset_card(facts, MANIFEST)
    for part in (
        "| train | 8 | 8 | 16 |",
        "| before resampling | 12 | 5 | 17 |",
        "20 too\\_few\\_words",
        "positive above 2.5, negative at or below -2.5",
        "policy auto (8 ads)",
        "**No reviewer has looked at these labels.**",
        "scale | quantile",
        "belong to those who made the ads",
        "abc123",
        "rapidocr 3.10.0",
    ):
        assert part in card


def test_the_card_tells_which_comments_do_not_count(facts: ReleaseFacts) -> None:
    assert "Of 1,234 comments some do not count: 56 other\\_language." in dataset_card(facts, MANIFEST)
    nothing = replace(facts, left_out={"other_language": 0})
    assert "some do not count: none." in dataset_card(nothing, MANIFEST)


def test_the_first_release_says_that_it_has_no_parent(facts: ReleaseFacts) -> None:
    card = dataset_card(facts, MANIFEST)
    assert "- ads that changed their split since the parent: 0 (the first release: there is no parent)" in card
    assert "Since " not in card.split("## What changed")[1].split("## Funnel")[0]


def test_what_changed_is_told_with_old_and_new_values(changed_facts: ReleaseFacts) -> None:
    card = dataset_card(changed_facts, MANIFEST)
    for part in (
        "- ads that changed their split since the parent: 1\n",
        "- ads placed since the parent where a split had no ad of their class: 1",
        "Since 2026.11.23:",
        "- ads added: 1",
        "- ads gone: 1",
        "- ads relabelled: 21",
        "- split of moves: test → train",
        "| ad0 | negative -3.00 (-3.25 to -2.75) | positive 2.75 (2.50 to 3.00) |",
        "The first 20 of 21;",
        "- thresholds: unchanged",
        "| train | 0 | 22 | 21 | 0 |",
        "| 2.5 to 3.0 | 2 | 22 |",
    ):
        assert part in card, part
    assert "| gone |" not in card
    assert "split of gone" not in card
    html = as_html(card.split("---\n", 2)[2])
    assert not re.search(r"<(script|a|img|h1>heading|del)\b", html)
    assert re.search(r"settings: key: Buy .* → new", html)
    assert (
        html.count("<table>")
        == as_html(dataset_card(replace(changed_facts, changes=None), MANIFEST).split("---\n", 2)[2]).count("<table>")
        + 3
    )


def test_ads_that_filled_a_split_of_the_parent_are_not_counted_again(
    facts: ReleaseFacts, changed_facts: ReleaseFacts
) -> None:
    def placed(facts: ReleaseFacts, *before: str) -> list[str]:
        notes = replace(facts, filled=["came", "stays"], filled_before=frozenset(before)).split_notes()
        return [note for note in notes if "placed" in note]

    assert placed(facts) == ["ads placed where a split had no ad of their class: 2"]
    said = "ads placed since the parent where a split had no ad of their class"
    assert placed(changed_facts, "stays") == [f"{said}: 1"]
    assert placed(changed_facts, "stays", "came") == []
    assert changed_facts.changes is not None
    anew = replace(changed_facts.changes, settings={"release.seed": (0, 1)})
    assert placed(replace(changed_facts, changes=anew), "stays", "came") == [f"{said}: 2"]


def test_a_release_of_other_categories_or_draws_alone_does_not_look_unchanged(
    changed_facts: ReleaseFacts,
) -> None:
    made = {"text": "words", "timestamp_s": 1.0, "video_id": "ad", "frame_id": "ad:0", "label": 1}
    made |= {"mean_score": 3.0, "mean_low": 2.0, "mean_high": 4.0, "category": HOSTILE}
    older, recategorised, redrawn = (
        Contents.of({"version": "2026.11.23"}, [("train", made | change, "picture")])
        for change in ({}, {"category": None}, {"draw": 1})
    )
    card, page = of(replace(changed_facts, changes=compare(older, recategorised)))
    assert "- ads in another category: 1\n" in card
    assert re.search(r"\n- category of ad: Buy .* → none\n", card)
    assert "Ads in another category: 1" in page
    assert "<td>none</td>" in page
    assert "<script>" not in card + page
    for text in of(replace(changed_facts, changes=compare(older, redrawn))):
        assert "other rows of the same ads and frames" in text
    assert all("other rows" not in text for text in (card, page))


def of(facts: ReleaseFacts) -> tuple[str, str]:
    return dataset_card(facts, MANIFEST), report_html(facts, MANIFEST)


def test_another_seed_or_other_shares_are_named_as_the_reason(changed_facts: ReleaseFacts) -> None:
    assert changed_facts.changes is not None
    on_purpose = replace(changed_facts.changes, settings={"release.seed": (0, 1)})
    card = dataset_card(replace(changed_facts, changes=on_purpose), MANIFEST)
    assert "since the parent: 1 (method, seed or shares are others, so this is a new division)" in card


def test_a_split_that_lacks_a_class_is_named(facts: ReleaseFacts) -> None:
    lacking = {**facts.after, "test": {**facts.after["test"], "negative": ClassCounts()}}
    assert "- test has no negative ad\n" in dataset_card(replace(facts, after=lacking), MANIFEST)
    assert "has no negative ad" not in dataset_card(facts, MANIFEST)
    nothing = facts.settings.model_copy(update={"release": ReleaseSettings(train=0.9, validation=0.1, test=0)})
    assert "has no negative ad" not in dataset_card(replace(facts, after=lacking, settings=nothing), MANIFEST)


def test_agreement_is_told_where_there_were_reviewers(facts: ReleaseFacts) -> None:
    card = dataset_card(replace(facts, agreement=0.8125, decided_by={"majority": 7, "verifier": 1}), MANIFEST)
    assert "Mean agreement of the reviewers: 0.812" in card
    assert "No reviewer" not in card


def test_no_untrusted_text_becomes_markup(facts: ReleaseFacts) -> None:
    html = as_html(dataset_card(facts, MANIFEST).split("---\n", 2)[2])
    assert not re.search(r"<(script|a|img|h1>heading|del)\b", html)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    shown, settings = html.split('<pre><code class="language-json">')
    assert "://evil" not in shown.replace(": //evil", "")
    assert "<" not in settings.split("</code>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", html.split("Example rows")[1], flags=re.DOTALL)
    assert [row.count("<td") for row in rows if "<td" in row][:2] == [5, 5]


@given(st.text(alphabet=st.sampled_from(" ab|`*_[]()<>&#~!\\$\n:/.-+=@{}1"), max_size=40))
def test_any_text_in_a_cell_is_shown_as_it_stands(text: str) -> None:
    html = as_html(f"| a | b |\n|---|---|\n| x{plain(text)}x | end |\n")
    cells = re.findall(r"<td[^>]*>(.*?)</td>", html, flags=re.DOTALL)
    assert len(cells) == 2
    shown = cells[0].replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    assert shown == f"x{readable(text)}x"


@pytest.mark.parametrize("link", ["http://x.example", "HTTPS://x.example", "www.x.example", "javascript:alert(1)"])
def test_a_link_is_broken_so_that_no_viewer_makes_it_live(link: str) -> None:
    assert link not in plain(f"go to {link} now")


def test_settings_cannot_leave_their_block(facts: ReleaseFacts) -> None:
    settings = Settings(source=SourceSettings(category="```\n<script>"))
    card = dataset_card(replace(facts, settings=settings), MANIFEST)
    block = card.rsplit("```json", 1)[1]
    assert block.count("```") == 1
    assert json.loads(block.split("```")[0])["source"]["category"] == "```\n<script>"


def test_only_splits_with_rows_are_named_to_loaders(facts: ReleaseFacts) -> None:
    after = {**facts.after, "test": count_table1([])["test"]}
    front = dataset_card(replace(facts, after=after), MANIFEST).split("---")[1]
    assert "split: validation" in front
    assert "split: test" not in front


def test_the_datasets_library_loads_the_folder_by_its_card(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the hub's dataset viewer does: classes, types and counts stand in the card before a file is read."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    pushed = shutil.copytree(release, tmp_path / "someone" / "ytb-ads")
    counts = {split: facts["rows"] for split, facts in read_manifest(release)["splits"].items()}
    [info] = DatasetInfosDict.from_directory(pushed).values()
    assert {name: split.num_examples for name, split in info.splits.items()} == counts
    files = {split: next((pushed / "data").glob(f"{split}-*")) for split in counts}
    assert {name: split.num_bytes for name, split in info.splits.items()} == {
        split: file.stat().st_size for split, file in files.items()
    }

    loaded = datasets.load_dataset(str(pushed), cache_dir=str(tmp_path / "cache"), verification_mode="all_checks")
    assert {name: len(rows) for name, rows in loaded.items()} == counts
    for split, rows in loaded.items():
        assert rows.features == info.features == datasets.Features.from_arrow_schema(pq.read_schema(files[split]))
        assert rows.features["label"].names == ["negative", "positive"]
        assert isinstance(rows.features["image"], datasets.Image)
        stored = pq.read_table(files[split]).to_pylist()
        assert rows.remove_columns("image").to_list() == [
            {name: value for name, value in row.items() if name != "image"} for row in stored
        ]
        for ours, theirs in zip(stored, rows, strict=True):
            with Image.open(io.BytesIO(ours["image"]["bytes"])) as picture:
                assert theirs["image"].tobytes() == picture.tobytes()


def test_counts_that_are_not_those_of_the_files_are_noticed_by_the_library(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    pushed = shutil.copytree(release, tmp_path / "ytb-ads")
    card = (pushed / "README.md").read_text("utf-8")
    (pushed / "README.md").write_text(card.replace("num_examples: ", "num_examples: 1", 1), "utf-8")
    with pytest.raises(datasets.exceptions.NonMatchingSplitsSizesError):
        datasets.load_dataset(str(pushed), cache_dir=str(tmp_path / "cache"))
