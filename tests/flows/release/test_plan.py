"""A plan keeps uploads of one ad in one split, and says why it leaves out what it leaves out."""

from __future__ import annotations

import gc
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from data_catalog.catalog import Catalog, Drop
from data_catalog.errors import ReleaseError
from data_catalog.privacy.forget import forget_ad
from data_catalog.releases import write_release
from data_catalog.schemas import SPLITS, TABLES
from data_catalog.tables.forgotten import digest_of_ad
from flows.ocr.texts import TextFrame
from flows.release import plan as plan_module
from flows.release.plan import Plan, group_uploads, keep_splits, plan_release
from flows.settings import ReleaseSettings, Settings, SplitSettings
from flows.stages import REVIEW, ReviewReason
from tests.data_catalog.builders import release_row, release_rows

LABELLED = [f"{label}{number}" for label in ("positive", "negative") for number in range(6)]
WITHOUT_LABEL = ["odd", "unseen"]


def frame(ad: str, index: int = 0, *, picture: str = "", text: str | None = None, file: str = "") -> TextFrame:
    return TextFrame(
        frame_id=f"{ad}:{index}",
        video_id=ad,
        timestamp_s=1.0,
        image_sha256=f"{ad}{index}",
        perceptual_hash=picture or f"{ad}{index}",
        text=f"words of {ad}" if text is None else text,
        n_words=9,
        category="apparel",
        media_sha256=file or ad,
    )


FRAMES = {one.frame_id: one for ad in [*LABELLED, *WITHOUT_LABEL] for one in (frame(ad, 0), frame(ad, 1))}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Six ads of each label, two without; `positive4` and `positive1` are one ad, the later id published first."""
    catalog = Catalog(tmp_path)

    def put(table: str, *rows: dict[str, Any]) -> None:
        catalog.merge(table, pa.Table.from_pylist(list(rows), schema=TABLES[table].schema))

    label = {"decided_by": "reviewers", "n_reviewers": 5}
    put("labels", *({"video_id": ad, "label": ad[:-1], **label} for ad in LABELLED))
    days = {ad: 20 - int(ad[-1]) for ad in LABELLED} | dict.fromkeys(WITHOUT_LABEL, 1)
    put("ads", *({"video_id": ad, "published_at": datetime(2026, 1, day, tzinfo=UTC)} for ad, day in days.items()))
    put(
        "reuploads",
        {"video_id": "positive1", "group_id": "g", "duplicates": ["positive4"]},
        {"video_id": "positive4", "group_id": "g", "duplicates": ["positive1"]},
        {"video_id": "gone", "group_id": "g", "duplicates": ["positive1", "positive4"]},
    )
    return catalog


@pytest.fixture
def reviewed(catalog: Catalog) -> Catalog:
    """The same after people excluded an ad and a frame, and have not judged another ad."""
    reasons = {
        "odd": ReviewReason.EXCLUDED,
        "unseen": ReviewReason.NOT_REVIEWED,
        "positive2:1": ReviewReason.FRAME_EXCLUDED,
    }
    drops = [REVIEW.drop(key, key.partition(":")[0], reason, "said") for key, reason in reasons.items()]
    catalog.replace_drops(REVIEW.name, drops)
    return catalog


def planned(catalog: Catalog, reuploads: Literal["keep", "drop"] = "keep", seed: int = 0) -> Plan:
    asked = ReleaseSettings(balance="none", train=0.5, validation=0.25, test=0.25, seed=seed, reuploads=reuploads)
    return plan_release(catalog, FRAMES, Settings(release=asked))


def reasons(drops: list[Drop]) -> dict[str, str]:
    return {drop.key: str(drop.reason) for drop in drops}


def test_uploads_of_one_ad_share_their_split(catalog: Catalog) -> None:
    for seed in range(10):
        split_of = {row.video_id: row.split for row in planned(catalog, seed=seed).labelled}

        assert len(split_of) == len(LABELLED)
        assert split_of["positive1"] == split_of["positive4"]


def test_dropped_uploads_leave_a_row_that_names_the_one_published_first(catalog: Catalog) -> None:
    plan = planned(catalog, "drop")

    assert {row.video_id for row in plan.labelled} == set(LABELLED) - {"positive1"}
    dropped = {drop.key: (drop.reason, drop.kind, drop.detail) for drop in plan.drops if drop.video_id in LABELLED}
    told = ("reupload_of", "filtered", "the ad is a re-upload of positive4")
    assert dropped == {f"positive1:{index}": told for index in range(2)}


def test_an_excluded_frame_stays_out_and_its_ad_goes_in(reviewed: Catalog) -> None:
    frames = {row.frame_id for row in planned(reviewed).balanced.rows}

    assert frames == {f"{ad}:{index}" for ad in LABELLED for index in range(2)} - {"positive2:1"}


def test_everything_that_is_left_out_has_its_reason(catalog: Catalog) -> None:
    without = {f"{ad}:{index}": "ad_without_label" for ad in WITHOUT_LABEL for index in range(2)}
    assert reasons(planned(catalog).drops) == without


def test_what_people_left_out_has_their_reason(reviewed: Catalog) -> None:
    assert reasons(planned(reviewed).drops) == {
        "positive2:1": "frame_excluded_by_people",
        "odd:0": "ad_excluded_by_people",
        "odd:1": "ad_excluded_by_people",
        "unseen:0": "ad_not_reviewed",
        "unseen:1": "ad_not_reviewed",
    }


def test_an_ad_without_a_frame_of_enough_words_is_dropped_as_a_whole(catalog: Catalog) -> None:
    frames = {key: replace(one, n_words=2 if one.video_id == "odd" else 9) for key, one in FRAMES.items()}

    assert reasons(plan_release(catalog, frames, Settings()).drops)["odd"] == "no_frame_with_enough_words"


def test_uploads_of_one_file_are_one_group() -> None:
    frames = [frame("c", file="f1"), frame("a", file="f2"), frame("b", file="f1")]
    assert group_uploads(frames, {}) == {"a": "a", "b": "b", "c": "b"}


def test_a_shared_frame_with_the_same_words_joins_ads_and_chains_join_further() -> None:
    frames = [
        frame("a", picture="ff00", text="Buy  one\nget one FREE"),
        frame("b", picture="ff00", text="buy one get one free"),
        frame("b", picture="1234", text="only this week"),
        frame("c", picture="1234", text="only this week"),
        frame("d"),
    ]
    assert group_uploads(frames, {}) == {"a": "a", "b": "a", "c": "a", "d": "d"}


def test_a_look_alike_with_other_words_or_without_any_joins_nothing() -> None:
    texts = ["now 49.99", "now 59.99", " ", ""]
    frames = [frame(ad, picture="ff00", text=text) for ad, text in zip("abcd", texts, strict=True)]
    assert group_uploads(frames, {"z": "g"}) == {ad: ad for ad in "abcdz"}


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("stuv")), max_size=20), st.randoms())
def test_groups_do_not_depend_on_the_order_of_frames(pairs: list[tuple[str, str]], random: Any) -> None:
    frames = [frame(ad, picture=sign, text="words") for ad, sign in pairs]
    ordered = group_uploads(frames, {})
    random.shuffle(frames)
    assert group_uploads(frames, {}) == ordered


@dataclass(frozen=True)
class AnAd:
    """An ad of a catalog that changes from plan to plan."""

    day: int
    label: str | None
    group: str
    n_frames: int = 1


class World:
    """A catalog whose ads come, go, are labelled anew, sampled anew and found to be uploads of each other."""

    def __init__(self, root: str | Path, *, by_picture: bool = False) -> None:
        self.catalog = Catalog(root)
        self.by_picture = by_picture
        """A group is known by a frame that its ads share, not by the table."""
        self.ads: dict[str, AnAd] = {}

    def put(self, name: str, day: int, label: str | None, group: str | None = None, n_frames: int = 1) -> None:
        self.ads[name] = AnAd(day, label, group or name, n_frames)

    def plan(self, asked: Settings | None = None) -> dict[str, str]:
        """Splits of a plan of the present ads, kept for the next."""
        asked = asked or Settings(release=ReleaseSettings(balance="none"))
        groups: dict[str, list[str]] = {}
        for name, ad in self.ads.items():
            groups.setdefault(ad.group, []).append(name)
        day_one = datetime(2026, 1, 1, tzinfo=UTC)
        rows: dict[str, list[dict[str, Any]]] = {
            "ads": [
                {"video_id": name, "published_at": day_one + timedelta(days=ad.day)} for name, ad in self.ads.items()
            ],
            "labels": [
                {"video_id": name, "label": ad.label, "decided_by": "comments", "n_reviewers": 0}
                for name, ad in self.ads.items()
                if ad.label
            ],
            "reuploads": [
                {"video_id": name, "group_id": group, "duplicates": [other for other in found if other != name]}
                for group, found in groups.items()
                if len(found) > 1 and not self.by_picture
                for name in found
            ],
        }
        for table, of_table in rows.items():
            self.catalog.replace(table, pa.Table.from_pylist(of_table, schema=TABLES[table].schema))
        frames = [
            frame(name, index, picture=ad.group if self.by_picture else "", text=ad.group)
            for name, ad in self.ads.items()
            for index in range(ad.n_frames)
        ]
        plan = plan_release(self.catalog, {one.frame_id: one for one in frames}, asked)
        keep_splits(self.catalog, asked, plan)
        assert {row.video_id for row in plan.labelled} == {name for name, ad in self.ads.items() if ad.label}
        return {row.video_id: row.split for row in plan.labelled}


LABEL = st.sampled_from(["positive", "negative", None])


@settings(max_examples=6, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.data())
def test_no_ad_ever_moves_but_the_younger_of_two_groups_that_are_joined(data: st.DataObject) -> None:
    seen: dict[str, str] = {}
    with TemporaryDirectory() as root:
        world = World(root)
        for number in range(12):
            world.put(f"ad{number}", 50 + number, ("positive", "negative")[number % 2], group=f"g{number // 3 * 3}")
        for step in range(5):
            may_move: set[str] = set()
            if step:
                kind = data.draw(st.sampled_from(["add", "remove", "relabel", "resample", "join"]), "kind")
                name = data.draw(st.sampled_from(sorted(world.ads)), "ad")
                ad = world.ads[name]
                if kind == "add":
                    group = data.draw(st.sampled_from([f"new{step}", ad.group]))
                    world.put(f"new{step}", data.draw(st.integers(0, 99)), data.draw(LABEL), group)
                elif kind == "remove":
                    del world.ads[name]
                elif kind == "relabel":
                    world.ads[name] = replace(ad, label=data.draw(LABEL))
                elif kind == "resample":
                    world.ads[name] = replace(ad, n_frames=data.draw(st.integers(1, 5)))
                else:
                    may_move = join(world, ad.group, data.draw(st.sampled_from(sorted(world.ads))), seen)
            try:
                splits = world.plan()
            except ReleaseError:  # a class is without an ad to train on
                continue
            moved = {one for one, split in splits.items() if seen.get(one, split) != split}
            assert moved <= may_move
            for one in may_move - splits.keys():
                seen.pop(one, None)
            seen |= splits
            homes = {(world.ads[ad].group, split) for ad, split in splits.items()}
            assert len(homes) == len({group for group, _ in homes})


def join(world: World, one: str, other_ad: str, seen: dict[str, str]) -> set[str]:
    """Make one group of two; returns those who may move: all but the group of the oldest that was ever planned."""
    other = world.ads[other_ad].group
    if one == other:
        return set()
    both = [name for name, ad in world.ads.items() if ad.group in (one, other)]
    known = [name for name in both if name in seen]
    elder = world.ads[min(known, key=lambda name: (world.ads[name].day, name))].group if known else one
    younger = {name for name in both if world.ads[name].group != elder}
    for name in both:
        world.ads[name] = replace(world.ads[name], group=one)
    return younger


def a_world_with_a_reupload(root: Path, *, by_picture: bool = False) -> World:
    """`ad23`, whose hash says test, and its later upload `ad0`, whose own says train, among many others."""
    world = World(root, by_picture=by_picture)
    for number in range(100, 160):
        world.put(f"ad{number}", 0, ("positive", "negative")[number % 2])
    world.put("ad23", 10, "positive", "g")
    world.put("ad0", 20, "positive", "g")
    return world


def test_a_reupload_follows_the_oldest_and_stays_when_that_is_forgotten(tmp_path: Path) -> None:
    world = a_world_with_a_reupload(tmp_path)
    before = world.plan()
    assert (before["ad23"], before["ad0"]) == ("test", "test")

    assert forget_ad(world.catalog, "ad23").removed.rows["splits"] == 1
    del world.ads["ad23"]
    after = world.plan()
    assert after == {ad: split for ad, split in before.items() if ad != "ad23"}
    world.put("ad0", 20, None)
    world.plan()
    world.put("ad0", 20, "negative")
    assert world.plan()["ad0"] == "test", "an ad that was away comes back to its split"
    assert "ad23" not in world.catalog.values("splits", "video_id")


def test_an_older_upload_that_comes_later_moves_nobody(tmp_path: Path) -> None:
    world = a_world_with_a_reupload(tmp_path)
    del world.ads["ad23"]
    before = world.plan()
    assert before["ad0"] == "train"
    world.put("ad23", 10, "positive", "g")
    assert world.plan() == before | {"ad23": "train"}


@pytest.mark.parametrize("by_picture", [True, False])
def test_a_label_that_the_oldest_upload_lacks_changes_nothing(by_picture: bool, tmp_path: Path) -> None:
    world = a_world_with_a_reupload(tmp_path, by_picture=by_picture)
    world.put("ad23", 10, None, "g")
    assert world.plan()["ad0"] == "test"


def test_two_groups_that_are_joined_have_the_split_of_the_elder(tmp_path: Path) -> None:
    world = a_world_with_a_reupload(tmp_path)
    world.put("ad23", 10, "positive")
    world.put("ad0", 20, "positive")
    before = world.plan()
    assert (before["ad23"], before["ad0"]) == ("test", "train")
    world.put("ad23", 10, "positive", "g")
    world.put("ad0", 20, "positive", "g")
    assert world.plan() == before | {"ad0": "test"}
    row = world.catalog.read("splits", ["split", "decided_by"], where="video_id = 'ad0'").to_pylist()
    assert row == [{"split": "test", "decided_by": "reupload"}]


def test_another_seed_or_other_shares_give_another_division_and_the_first_comes_back(tmp_path: Path) -> None:
    world = a_world_with_a_reupload(tmp_path)
    first = world.plan()
    other = world.plan(Settings(release=ReleaseSettings(balance="none", seed=1)))
    shares = world.plan(Settings(release=ReleaseSettings(balance="none", train=0.5, validation=0.25, test=0.25)))
    assert len({tuple(sorted(splits.items())) for splits in (first, other, shares)}) == 3
    assert world.plan() == first


def test_splits_whose_table_is_gone_are_those_of_the_newest_release_of_this_division(tmp_path: Path) -> None:
    """Not of a newer release of another seed, other shares or another method; of an older one of this those of ads that
    the newest lacks."""
    world = a_world_with_a_reupload(tmp_path)
    asked = ReleaseSettings(balance="none")
    ratios = dict(asked.ratios)
    of_hash = {"seed": asked.seed, "ratios": ratios, "split": {"method": "hash", "filled": []}}
    others = {
        "2026.11.25": of_hash | {"seed": 1},
        "2026.11.26": of_hash | {"ratios": ratios | {"train": 0.7, "test": 0.2}},
        "2026.11.27": of_hash | {"split": {"method": "stratified", "filled": []}},
    }
    lineage: list[str] = []
    for version, facts, home in [
        ("2026.11.23", of_hash, "validation"),
        # the clock was ahead: that it is the newer of the two says lineage alone
        ("2026.11.24", of_hash | {"created_at": "2020-01-01T00:00:00+00:00"}, "train"),
        *((version, facts, "validation") for version, facts in others.items()),
    ]:
        rows: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS} | {
            "train": [release_row("x"), release_row("y", label=0)]
        }
        rows[home] += [release_row("ad23"), release_row("ad100", label=0)]
        if version == "2026.11.23":  # an ad that no later release has, and one that was forgotten since
            rows[home] += [release_row("left out"), release_row("forgotten")]
        splits = {split: release_rows(*of_split) for split, of_split in rows.items()}
        made = facts | {"synthetic": True, "parent": lineage[0] if lineage else None, "lineage": lineage}
        write_release(world.catalog.releases_dir, version, splits, made)
        lineage = [version, *lineage]
    digest = digest_of_ad("forgotten")
    gone = pa.Table.from_pylist([{"digest": digest, "kind": "ad"}], schema=TABLES["forgotten"].schema)
    world.catalog.merge("forgotten", gone)
    planned = world.plan()
    assert (planned["ad23"], planned["ad0"], planned["ad100"]) == ("train", "train", "train")
    assert "forgotten" not in world.catalog.values("splits", "video_id")
    world.put("left out", 1, "positive")
    assert world.plan() == planned | {"left out": "validation"}, "the table was there again"
    shutil.rmtree(f"{world.catalog.root}/tables/splits")
    assert world.plan()["left out"] == "validation"
    other = world.plan(Settings(release=ReleaseSettings(balance="none", seed=1)))
    assert (other["ad23"], other["ad100"]) == ("validation", "validation")


def test_a_plan_that_changes_no_split_writes_none(tmp_path: Path) -> None:
    world = a_world_with_a_reupload(tmp_path)
    world.plan()
    version = world.catalog.versions()["splits"]
    world.plan()
    assert world.catalog.versions()["splits"] == version
    world.plan(Settings(release=ReleaseSettings(balance="none"), split=SplitSettings(method="stratified")))
    assert world.catalog.versions()["splits"] == version, "a stratified division is kept by nobody"


def test_every_row_is_written_with_its_own_picture_and_few_are_in_memory(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "ROWS_PER_BATCH", 4)
    plan = planned(catalog)
    pictures = {key: key.encode() * 20_000 for key in FRAMES if key != plan.balanced.rows[0].frame_id}
    stored = [{"frame_id": key, "image": {"bytes": made, "path": f"{key}.jpg"}} for key, made in pictures.items()]
    for part in (stored[1::2], stored[::2]):
        catalog.merge("frames", pa.Table.from_pylist(part, schema=TABLES["frames"].schema))
    rows = [replace(row, split="train") for row in plan.balanced.rows]
    drawn = [*rows, *(replace(row, draw=1) for row in rows)]
    plan = replace(plan, balanced=replace(plan.balanced, rows=drawn))
    written: list[tuple[str, int]] = []
    before, held = pa.total_allocated_bytes(), 0
    for batch in plan_module.release_rows(catalog, plan, "train"):
        gc.collect()  # what is left of other tests and of the batch before is nobody's
        held = max(held, pa.total_allocated_bytes() - before)
        for row in batch.to_pylist():
            assert row["image"] == {"bytes": pictures[row["frame_id"]], "path": f"{row['frame_id']}.jpg"}
            written.append((row["frame_id"], row["draw"]))
    # of the frame that the table lost there is no row: a release that lacks it is refused
    assert sorted(written) == sorted((row.frame_id, row.draw) for row in drawn if row.frame_id in pictures)
    assert written != sorted(written)
    assert held < sum(map(len, pictures.values())) / 2
    assert list(plan_module.release_rows(catalog, plan, "test")) == []
