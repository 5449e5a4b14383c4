"""The sample is real video with words and moods, synthetic wherever it shows, and the same for the same seed."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from flows.crawl.folder.folder import scan_folder
from flows.crawl.records import FoundAd
from flows.errors import FrameError, SampleError
from flows.frames.sampling import decode_jpeg, sample_frames
from flows.ocr.registry import make_engine
from flows.sample import render_sample
from flows.sample.storyboard import CATEGORIES, Storyboard, write_comments, write_storyboards
from flows.sentiment.engines import NativeEngine, Strength

ADS = 12


@pytest.fixture(scope="module")
def found(sample: Path) -> dict[str, FoundAd]:
    results = list(scan_folder(sample, author_key=b"key"))
    return {result.ad.video_id: result for result in results if isinstance(result, FoundAd)}


def boards_of(kind: str) -> list[Storyboard]:
    """Those of the sample that all tests share."""
    return [board for board in write_storyboards(ADS, seed=0) if board.kind == kind]


def content_of(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_the_source_finds_every_ad_in_four_categories(found: dict[str, FoundAd]) -> None:
    assert len(found) == ADS
    assert {ad.ad.category for ad in found.values()} == set(CATEGORIES)
    assert not any(ad.drops for ad in found.values())


def test_it_is_said_to_be_synthetic_wherever_it_shows(sample: Path, found: dict[str, FoundAd]) -> None:
    assert all(ad.ad.synthetic and ad.ad.title.startswith("Synthetic ad: ") for ad in found.values())
    assert "Synthetic" in (sample / "README.txt").read_text("utf-8")
    assert "synthetic" in str(render_sample(sample, ads=ADS, seed=0))


def test_twelve_ads_have_every_special_case(sample: Path) -> None:
    kinds = render_sample(sample, ads=ADS, seed=0).kinds

    assert sum(kinds.values()) == ADS
    assert all(kinds[kind] == 1 for kind in ("corrupt", "no_comments", "few_words", "static", "mixed"))
    assert kinds["positive"] >= 3
    assert kinds["negative"] >= 3


@pytest.mark.parametrize("ads", range(1, 40))
def test_every_size_has_what_it_has_room_for(ads: int) -> None:
    boards = write_storyboards(ads, seed=1)

    kinds = Counter(board.kind for board in boards)
    assert len({board.video_id for board in boards}) == ads
    assert (kinds["corrupt"], kinds["no_comments"]) == ((1, 1) if ads >= 8 else (0, 0))
    assert (kinds["few_words"] >= 1, kinds["static"] >= 1) == (ads >= 12, ads >= 12)


def test_the_corrupt_file_is_refused(sample: Path, found: dict[str, FoundAd]) -> None:
    (board,) = boards_of("corrupt")

    with pytest.raises(FrameError, match=board.video_id):
        sample_frames(sample / str(found[board.video_id].ad.media_path), board.video_id)


def test_one_ad_has_no_comments(found: dict[str, FoundAd]) -> None:
    without = [video_id for video_id, ad in found.items() if not ad.comments]

    assert without == [boards_of("no_comments")[0].video_id]


def test_the_words_of_an_ad_can_be_read(sample: Path, found: dict[str, FoundAd]) -> None:
    engine = make_engine("rapidocr")
    for board in (boards_of(kind)[0] for kind in ("ordinary", "static", "few_words")):
        path = sample / str(found[board.video_id].ad.media_path)
        for frame in sample_frames(path, board.video_id, count=3).frames:
            (words,) = engine.read([decode_jpeg(frame.jpeg)])
            (card,) = [card for card in board.cards if card.start_s <= frame.timestamp_s < card.end_s]
            assert [word.text for word in words] == " ".join(card.lines).split(), (board.video_id, frame.timestamp_s)


def test_few_words_are_too_few_and_the_others_enough() -> None:
    boards = write_storyboards(48, seed=0)

    most = {
        board.video_id: (board.kind, max(len(" ".join(card.lines).split()) for card in board.cards)) for board in boards
    }

    assert all((count > 5) == (kind != "few_words") for kind, count in most.values())
    assert all(len(board.cards[-1].lines[0]) > 0 and board.cards[-1].end_s == board.duration_s for board in boards)


def test_a_nearly_static_ad_hardly_changes(sample: Path, found: dict[str, FoundAd]) -> None:
    def change(board: Storyboard) -> float:
        path = sample / str(found[board.video_id].ad.media_path)
        pictures = [decode_jpeg(frame.jpeg).astype(int) for frame in sample_frames(path, board.video_id).frames]
        return float(abs(pictures[1] - pictures[-1]).mean())

    static, moving = change(boards_of("static")[0]), change(boards_of("ordinary")[0])

    assert static < 2 < moving


def test_comments_pass_the_paper_s_thresholds_in_the_mood_of_their_ad() -> None:
    scorer = NativeEngine()
    means: dict[str, list[float]] = {"positive": [], "negative": [], "mixed": []}
    for board in write_storyboards(48, seed=0):
        comments = write_comments(board.mood, board.product, 30, board_chance(board), 0)
        answers = scorer.score([str(comment["text"]) for comment in comments])
        scores = [answer for answer in answers if isinstance(answer, Strength)]
        poles = [
            score.positive if score.positive > -score.negative else score.negative
            for score in scores
            if score.positive != -score.negative
        ]
        means[board.mood].append(sum(poles) / len(poles))

    assert min(means["positive"]) > 2.5
    assert max(means["negative"]) <= -2.5
    assert all(-2.5 < mean <= 2.5 for mean in means["mixed"])


def board_chance(board: Storyboard) -> random.Random:
    return random.Random(board.seed)


def test_mood_shows_in_colours_and_words_but_not_always() -> None:
    boards = [board for board in write_storyboards(400, seed=0) if board.mood != "mixed"]

    bright = {
        mood: [sum(board.colors[0]) > 3 * 128 for board in boards if board.mood == mood]
        for mood in ("positive", "negative")
    }

    assert 0.7 < sum(bright["positive"]) / len(bright["positive"]) < 0.9
    assert 0.1 < sum(bright["negative"]) / len(bright["negative"]) < 0.3


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        render_sample(tmp_path / name, ads=1, seed=seed)

    one, two, other = (content_of(tmp_path / name) for name in ("one", "two", "other"))

    assert one == two
    assert not set(one.values()) & set(other.values())


def test_a_second_run_renders_what_is_missing_and_no_other_sample(tmp_path: Path) -> None:
    steps: list[float] = []
    first = render_sample(tmp_path / "ads", ads=2, progress=steps.append)
    whole = content_of(tmp_path / "ads")
    next((tmp_path / "ads").rglob("*.mp4")).unlink()

    second = render_sample(tmp_path / "ads", ads=2)
    third = render_sample(tmp_path / "ads", ads=2)

    assert [(run.rendered, run.kept) for run in (first, second, third)] == [(2, 0), (1, 1), (0, 2)]
    assert steps == [1, 1]
    with pytest.raises(SampleError, match=r"another sample.*ads=2 seed=0"):
        render_sample(tmp_path / "ads", ads=2, seed=1)
    assert content_of(tmp_path / "ads") == whole


@pytest.mark.parametrize("name", ["README.txt", "holiday.mp4"])
def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")

    with pytest.raises(SampleError, match="no sample"):
        render_sample(tmp_path, ads=1)

    assert content_of(tmp_path) == {name: b"mine"}


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(SampleError, match="file: not a folder"):
        render_sample(tmp_path / "file", ads=1)
    with pytest.raises(SampleError, match="choose another folder"):
        render_sample(tmp_path / "file" / "below", ads=1)
    with pytest.raises(SampleError, match="at least 1"):
        render_sample(tmp_path / "ads", ads=0)


def test_info_json_is_what_yt_dlp_writes(sample: Path) -> None:
    info = json.loads(next(sample.rglob("*.info.json")).read_text("utf-8"))

    assert {"id", "title", "duration", "timestamp", "comment_count", "comments", "ext"} <= set(info)
    assert info["comment_count"] == len(info["comments"])
