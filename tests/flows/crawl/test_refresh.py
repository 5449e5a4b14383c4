"""Old rows are fetched again; what is gone at YouTube is gone here, in the tables, their past and the media alike."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from annotation.rounds import RoundSettings, draw_round
from data_catalog import TABLES, Drop
from data_catalog.privacy.forget import forget_author
from data_catalog.releases import write_release
from data_catalog.schemas import RELEASE_SCHEMA
from flows.crawl import flow as crawl_flows
from flows.crawl.data_api.quota import next_reset
from flows.crawl.refresh import Refreshed, close_refresh, refresh_comments, refresh_videos, render_refresh
from flows.errors import CrawlError
from flows.review.human import review_store
from flows.settings import ReviewSettings
from tests.flows.crawl.clocked_crawl import nothing, put
from tests.flows.crawl.listing_builders import ADS, MORNING, Place
from tests.youtube_sandbox import (
    Fault,
    Sandbox,
    SandboxComment,
    SandboxVideo,
    World,
    random_world,
    serve,
    use_sandbox_extractor,
)


class RefreshedPlace(Place):
    """A place whose rows grow old, with what the stages behind the crawl make of its ads."""

    @property
    def world(self) -> World:
        return self.sandbox.world

    def crawl(self, *, videos: bool = False) -> None:
        with self.crawling() as crawl:
            crawl.list_candidates(ADS, nothing)
            crawl.draw_ads([ADS], nothing)
            crawl.read_comments(nothing)
            if videos:
                crawl.fetch_videos(crawl.videos_to_fetch(), nothing)

    def limit_units(self, units: int) -> None:
        self.given["quota"] = {"units_per_day": units}

    def refresh(self, *, after: int = 0) -> Refreshed:
        """Refresh it after so many days."""
        if after:
            self.pass_days(after)
        refreshed = Refreshed()
        with self.crawling() as crawl:
            refresh_videos(crawl, refreshed, nothing)
            refresh_comments(crawl, refreshed, nothing)
            close_refresh(crawl, refreshed)
        return refreshed

    def work_on(self, video_id: str) -> None:
        """What the stages behind the crawl make of an ad, written in more than one commit."""
        for at in (1, 2):
            for comment in self.comments_of(video_id):
                self.write("comment_scores", comment_id=comment, video_id=video_id, positive=at)
            for table in ("frames", "texts"):
                self.write(table, frame_id=f"{video_id}:{at}", video_id=video_id)
            for table in ("ad_sentiment", "labels"):
                self.write(table, video_id=video_id, mean_score=float(at))
            self.write("reviews", review_id=f"r{at}", video_id=video_id)
            drop = Drop("ocr", f"{video_id}:{at}", video_id, "filtered", "too_few_words", f"{video_id} has none")
            self.catalog.commit("texts", TABLES["texts"].schema.empty_table(), stage="ocr", drops=[drop])

    def comments_of(self, video_id: str) -> list[str]:
        return self.catalog.values("comments", "comment_id", where=pc.field("video_id") == video_id)

    def write(self, table: str, **row: object) -> None:
        put(self.catalog, table, row)

    def write_release(self, version: str, *video_ids: str) -> None:
        held = [
            {"image": {"bytes": b"x", "path": "x"}, "text": "x", "label": 1, "draw": 0, "category": ADS}
            | {"video_id": video_id, "frame_id": f"{video_id}:0", "timestamp_s": 0.0, "mean_score": 3.0, "n_words": 4}
            for video_id in video_ids
        ]
        batches = iter(pa.Table.from_pylist(held, schema=RELEASE_SCHEMA).to_batches())
        write_release(self.catalog.releases_dir, version, {"train": batches}, {"synthetic": True})

    def is_named_below_the_tables(self, name: str) -> list[str]:
        """Files in which a name stands, whatever way it is packed."""
        return sorted({path.name for path, content in everything_below(self.folder / "catalog" / "tables", name)})


def everything_below(folder: Path, name: str) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            contents = [path.read_bytes()]
            if path.suffix == ".parquet":
                contents += [repr(pq.read_table(path).to_pylist()).encode()]
                contents += [repr(pq.read_metadata(path).to_dict()).encode()]
            yield from ((path, content) for content in contents if name.encode() in content)


Open = Callable[[World], RefreshedPlace]


def small_world(videos: int = 3, comments: int = 4) -> World:
    return random_world(5, videos=videos, comments_per_video=comments, replies=False)


def place_in(root: Path, sandbox: Sandbox) -> RefreshedPlace:
    """A place that crawls the whole world by its ids."""
    ids = root / "ids.txt"
    ids.write_text("\n".join(sandbox.world.videos))
    filters = {"min_comments": 0, "language": None}
    return RefreshedPlace(root, sandbox, {ADS: {"count": len(sandbox.world.videos), "ids": ids}}, {"filters": filters})


@pytest.fixture(scope="session")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of the small world, crawled once, its videos with it."""
    root = tmp_path_factory.mktemp("crawled")
    use_sandbox_extractor()
    with serve(small_world()) as sandbox:
        place_in(root, sandbox).crawl(videos=True)
    return root


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens an empty place of a small world."""
    with ExitStack() as sandboxes:
        yield lambda world: place_in(tmp_path, sandboxes.enter_context(serve(world)))


@pytest.fixture
def place(crawled: Path, tmp_path: Path, opened: Open) -> RefreshedPlace:
    """A place of the small world that was crawled already."""
    shutil.copytree(crawled, tmp_path, dirs_exist_ok=True)
    return opened(small_world())


# What is fetched again


def test_rows_older_than_thirty_days_are_fetched_again(place: RefreshedPlace) -> None:
    place.pass_days(31)
    place.world.videos[place.ads()[0]].view_count = 123_456
    place.write("ads", video_id="a folder's ad", source="folder", fetched_at=MORNING)
    refreshed = place.refresh()
    assert (refreshed.ads, refreshed.candidates, refreshed.comments) == (3, 3, 12)
    assert refreshed.ads_gone == [], "ads of a folder are nobody's to refresh"
    assert place.catalog.values("ads", "view_count", where=f"video_id = '{place.ads()[0]}'") == [123_456]
    for table in ("ads", "candidates", "comments", "comment_fetches"):
        of_youtube = "source = 'youtube'" if table == "ads" else None
        assert set(place.catalog.values(table, "fetched_at", where=of_youtube)) == {place.now}, table
    asked = len(place.sandbox.requests)
    assert place.refresh() == Refreshed(), "a second one of the same day asks for nothing"
    assert len(place.sandbox.requests) == asked


def test_younger_rows_cost_nothing(place: RefreshedPlace) -> None:
    place.pass_days(29)
    asked = len(place.sandbox.requests)
    assert place.refresh() == Refreshed()
    assert len(place.sandbox.requests) == asked


def test_fifty_videos_cost_one_unit(opened: Open) -> None:
    place = opened(small_world(50, 0))
    place.crawl()
    place.pass_days(31)
    with place.crawling() as crawl:
        refresh_videos(crawl, Refreshed(), nothing)
    assert place.sandbox.today["k1"]["units"] == 1


def test_a_refresh_keeps_what_the_api_does_not_say(place: RefreshedPlace) -> None:
    kept = ["video_id", "category", "query", "source", "url", "synthetic", "width", "height"]
    kept += [name for name in TABLES["ads"].schema.names if name.startswith("media_")]
    before = place.catalog.read("ads", kept).sort_by("video_id").to_pylist()
    place.refresh(after=31)
    assert place.catalog.read("ads", kept).sort_by("video_id").to_pylist() == before
    assert {ad["media_status"] for ad in before} == {"present"}


def test_no_name_and_no_channel_of_anybody_is_stored(place: RefreshedPlace) -> None:
    place.refresh(after=31)
    world = place.world
    people = {c.author for v in world.videos for c in world.comments(v)}
    channels = {c.author_channel for v in world.videos for c in world.comments(v)} | set(world.channels)
    for name in filter(None, people | channels):
        assert place.is_named_below_the_tables(name) == []


def test_a_forgotten_persons_channel_is_not_told_again(place: RefreshedPlace) -> None:
    hash_ = place.catalog.values("ads", "channel_hash")[0]
    forget_author(place.catalog, hash_)
    place.refresh(after=31)
    assert hash_ not in place.catalog.values("ads", "channel_hash")


# Ads and candidates that are gone


@pytest.mark.parametrize("how", ["deleted", "private"])
def test_an_ad_that_is_gone_leaves_every_table_with_all_that_was_made_of_it(place: RefreshedPlace, how: str) -> None:
    gone, *stay = place.ads()
    for ad in place.ads():
        place.work_on(ad)
    if how == "deleted":
        place.world.delete_video(gone)
    else:
        place.world.videos[gone].privacy = "private"
    place.pass_days(31)
    assert place.is_named_below_the_tables(gone)
    refreshed = place.refresh()
    assert (refreshed.ads_gone, refreshed.comments_gone) == ([gone], 4)
    of_ads = "candidates ads comments comment_fetches comment_scores frames texts ad_sentiment labels drops"
    for table in of_ads.split():
        assert set(place.catalog.values(table, "video_id")) == set(stay), table
    assert place.is_named_below_the_tables(gone) == []


def test_the_video_of_an_ad_that_is_gone_and_what_had_come_of_one_are_deleted(place: RefreshedPlace) -> None:
    gone = place.ads()[0]
    media = place.folder / "catalog" / "media"
    (media / ".unfinished" / f"{gone}.134.mp4.part").write_bytes(b"half of a video")
    place.world.delete_video(gone)
    place.refresh(after=31)
    assert [path for path in media.rglob("*") if gone in path.name] == []
    assert sorted(path.stem for path in media.glob("*.mp4")) == place.ads()


def test_a_candidate_that_is_gone_is_removed_though_it_was_never_drawn(opened: Open) -> None:
    place = opened(small_world())
    with place.crawling() as crawl:
        crawl.list_candidates(ADS, nothing)
    gone = place.catalog.values("candidates", "video_id")[0]
    place.world.delete_video(gone)
    refreshed = place.refresh(after=31)
    assert (refreshed.candidates, refreshed.candidates_gone, refreshed.ads_gone) == (2, 1, [])
    assert place.is_named_below_the_tables(gone) == []


def test_an_ad_younger_than_its_candidate_goes_with_it_and_is_told(opened: Open) -> None:
    place = opened(small_world())
    with place.crawling() as crawl:
        crawl.list_candidates(ADS, nothing)
    place.pass_days(10)
    place.crawl()
    gone = place.ads()[0]
    place.write_release("2026.12.01", gone)
    place.world.delete_video(gone)
    refreshed = place.refresh(after=25)
    assert gone not in place.ads()
    assert refreshed.ads_gone == [gone]
    assert refreshed.releases == ("2026.12.01",)


def test_releases_that_hold_an_ad_that_is_gone_are_named_and_others_are_not(place: RefreshedPlace) -> None:
    gone, stays, _ = place.ads()
    place.write_release("2026.12.01", gone, stays)
    place.write_release("2026.12.02", stays)
    place.world.delete_video(gone)
    assert place.refresh(after=31).releases == ("2026.12.01",)


def test_an_ad_whose_comments_were_disabled_goes_is_told_and_so_are_its_releases(place: RefreshedPlace) -> None:
    closed = place.ads()[0]
    place.write_release("2026.12.01", closed)
    place.world.videos[closed].comments_disabled = True
    refreshed = place.refresh(after=31)
    assert closed not in place.ads()
    assert place.comments_of(closed) == []
    assert refreshed.ads_gone == [closed]
    assert refreshed.releases == ("2026.12.01",)


# Comments that are gone


def test_a_comment_that_is_gone_is_removed_from_the_past_of_the_table_too(place: RefreshedPlace) -> None:
    ad = place.ads()[0]
    secret = SandboxComment("Ugx-of-a-regretful-person", "words that were taken back", MORNING)
    place.world.add_comment(ad, secret)
    place.refresh(after=31)
    assert secret.comment_id in place.comments_of(ad)
    place.world.delete_comment(secret.comment_id)
    place.refresh(after=31)
    assert set(place.comments_of(ad)) == place.world.api_comments(ad)
    assert place.is_named_below_the_tables(secret.text) == []


def test_the_score_of_a_comment_that_is_gone_goes_with_it(place: RefreshedPlace) -> None:
    ad = place.ads()[0]
    place.work_on(ad)
    gone, *stay = sorted(place.comments_of(ad))
    place.world.delete_comment(gone)
    place.refresh(after=31)
    assert sorted(place.catalog.values("comment_scores", "comment_id")) == stay
    assert place.is_named_below_the_tables(gone) == []


def test_drops_that_name_a_comment_that_is_gone_go_with_it_and_others_stay(place: RefreshedPlace) -> None:
    ad = place.ads()[0]
    gone, stays, *_ = place.comments_of(ad)
    drops = [Drop("scores", id_, ad, "failed", "no_engine", f"comment {id_}") for id_ in (gone, stays)]
    place.catalog.commit("comment_scores", TABLES["comment_scores"].schema.empty_table(), stage="scores", drops=drops)
    place.world.delete_comment(gone)
    place.refresh(after=31)
    assert place.catalog.values("drops", "key") == [stays]
    assert place.is_named_below_the_tables(gone) == []


def test_comments_that_came_do_not_hide_how_many_are_gone(place: RefreshedPlace) -> None:
    ad = place.ads()[0]
    place.world.delete_comment(place.comments_of(ad)[0])
    place.world.add_comment(ad, SandboxComment("Ugx-a-new-one", "new", MORNING))
    assert place.refresh(after=31).comments_gone == 1


def test_a_passing_fault_leaves_an_ad_its_comments_and_they_are_asked_for_again(place: RefreshedPlace) -> None:
    place.max_attempts = 1
    ad = place.ads()[0]
    before = place.comments_of(ad)
    place.pass_days(31)
    place.sandbox.faults.add(Fault("http_500", "commentThreads", {"videoId": ad}, times=None))
    place.refresh()
    assert ad in place.ads()
    assert place.comments_of(ad) == before
    place.sandbox.faults.clear()
    place.world.delete_comment(before[0])
    place.refresh(after=1)
    assert set(place.comments_of(ad)) == place.world.api_comments(ad)


# A quota that is spent, and answers that are not to be trusted


def test_a_spent_quota_pauses_a_refresh_until_midnight_in_california(place: RefreshedPlace) -> None:
    place.pass_days(31)
    place.limit_units(2)
    refreshed = place.refresh()
    assert refreshed.resumes_at == next_reset(place.now)
    assert "are spent" in refreshed.paused[0]
    assert refreshed.ads == 3, "what the quota was enough for is kept"


def test_a_paused_refresh_goes_on_the_next_day_with_what_is_left(opened: Open) -> None:
    place = opened(small_world(4))
    place.crawl()
    place.world.delete_comment(place.comments_of(place.ads()[0])[0])
    place.pass_days(31)
    place.limit_units(3)
    days = 1
    while place.refresh().resumes_at:
        assert place.sandbox.today["k1"]["units"] == 3, "it hammers"
        place.pass_days(1)
        days += 1
        assert days < 5
    assert days == 2
    assert sum(counts["units"] for counts in [place.sandbox.today["k1"]]) == 2
    for ad in place.ads():
        assert set(place.comments_of(ad)) == place.world.api_comments(ad)


def test_a_quota_spent_between_the_two_questions_removes_nothing(place: RefreshedPlace) -> None:
    gone = place.ads()[0]
    place.world.delete_video(gone)
    place.pass_days(31)
    place.limit_units(1)
    paused = place.refresh()
    assert (paused.ads_gone, gone in place.ads()) == ([], True)
    place.pass_days(1)
    place.limit_units(10_000)
    assert place.refresh().ads_gone == [gone]


def test_what_a_paused_run_left_is_removed_though_nothing_else_is_asked_for(opened: Open) -> None:
    place = opened(small_world(42, 0))
    place.crawl()
    gone = place.ads()[:21]
    for ad in gone:
        place.world.delete_video(ad)
    place.pass_days(31)
    place.limit_units(1)
    assert place.refresh().ads_gone == []
    place.pass_days(1)
    place.limit_units(10_000)
    assert place.refresh().ads_gone == gone


def test_a_video_that_is_missing_in_one_answer_alone_stays(place: RefreshedPlace) -> None:
    place.pass_days(31)
    overlooked = place.world.videos[place.ads()[0]]
    answers = iter([True])

    def hide_in_the_first_answer(parameters: object) -> bool:
        overlooked.gone = next(answers, False)
        return False

    place.sandbox.faults.add(Fault("http_500", "/videos", hide_in_the_first_answer))
    refreshed = place.refresh()
    assert place.sandbox.requests[-1]
    assert refreshed.ads_gone == []
    assert overlooked.video_id in place.ads()


@pytest.mark.parametrize(("gone", "of"), [(11, 20), (20, 20)])
def test_a_mass_that_disappears_at_once_is_refused_and_nothing_is_removed(opened: Open, gone: int, of: int) -> None:
    place = opened(small_world(of, 1))
    place.crawl()
    for ad in place.ads()[:gone]:
        place.world.delete_video(ad)
    place.pass_days(31)
    with pytest.raises(CrawlError, match=f"{gone} of {of} videos asked for are said to be gone"):
        place.refresh()
    assert len(place.ads()) == of
    assert place.catalog.count("comments") == of


@pytest.mark.parametrize(("gone", "of"), [(10, 20), (19, 19)])
def test_half_of_many_and_all_of_a_few_may_be_gone(opened: Open, gone: int, of: int) -> None:
    place = opened(small_world(of, 0))
    place.crawl()
    doomed = place.ads()[:gone]
    for ad in doomed:
        place.world.delete_video(ad)
    assert place.refresh(after=31).ads_gone == doomed


# What is printed


def test_a_refresh_is_a_table_and_json(opened: Open) -> None:
    place = opened(World([SandboxVideo("abcdefghijk"), SandboxVideo("bcdefghijkl")]))
    place.crawl()
    place.world.delete_video("abcdefghijk")
    refreshed = place.refresh(after=31)
    console = Console(width=100, file=io.StringIO())
    with console.capture() as capture:
        console.print(render_refresh(refreshed))
    [ads] = [line.split() for line in capture.get().splitlines() if line.strip().startswith("ads")]
    assert ads == ["ads", "1", "1"]
    told = json.loads(json.dumps(refreshed.as_json()))
    assert (told["ads_gone"], told["resumes_at"]) == (["abcdefghijk"], None)


def test_the_flow_takes_what_is_gone_out_of_peoples_rounds(
    place: RefreshedPlace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone, *stay = place.ads()
    for ad in place.ads():
        place.write("ad_sentiment", video_id=ad, label="positive", mean_score=3.0)
        place.write("texts", frame_id=f"{ad}:0", video_id=ad, text="many words", n_words=9)
    with review_store(place.catalog, ReviewSettings()) as store:
        store.rounds.open(draw_round(place.catalog, RoundSettings()))
    place.world.delete_video(gone)
    place.sandbox.new_day()
    monkeypatch.setenv("YTB_ADS__CRAWL__API_KEY", "k1")
    config = place.folder / "ytb_ads.toml"
    config.write_text(
        f'[crawl]\nendpoint = "{place.sandbox.url}"\nsite = "{place.sandbox.url}"\nrefresh_days = 1\n'
        f'[crawl.categories.{ADS}]\ncount = 3\nids = "{place.folder / "ids.txt"}"\n',
        "utf-8",
    )
    # the rows are of the day of MORNING
    for task in (crawl_flows.refresh_videos_task, crawl_flows.refresh_comments_task):
        monkeypatch.setattr(crawl_flows, task.fn.__name__, task.fn)  # without a server
    with caplog.at_level("INFO", "ytb_ads"):
        refreshed = crawl_flows.refresh.fn(place.catalog.root, str(config))
    assert isinstance(refreshed, Refreshed)
    assert refreshed.ads_gone == [gone]
    assert "gone and removed: 1 ads, 1 candidates" in caplog.text, "nothing else says why an ad is there no more"
    with review_store(place.catalog, ReviewSettings()) as store:
        assert {entry.video_id for entry in store.rounds.entries(1).values()} == set(stay)
