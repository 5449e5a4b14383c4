"""Settings: defaults of the paper, a file under the environment, and errors that name the nearest key."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.errors import SettingsError
from flows.settings import load_settings


@pytest.fixture(autouse=True)
def _clean_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_the_papers() -> None:
    settings = load_settings()
    assert settings.frames.count == 5
    assert settings.ocr.more_than_words == 5
    assert (settings.sentiment.positive, settings.sentiment.negative) == (2.5, -2.5)
    assert settings.review.policy == "auto"


def test_the_environment_overrides_one_key_of_the_file_and_leaves_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ytb_ads.toml").write_text("[frames]\ncount = 3\nquality = 80\n")
    monkeypatch.setenv("YTB_ADS__FRAMES__COUNT", "7")
    frames = load_settings().frames
    assert (frames.count, frames.quality) == (7, 80)


def test_an_unknown_key_names_the_nearest_known_one(tmp_path: Path) -> None:
    (tmp_path / "ytb_ads.toml").write_text("[frames]\ncuont = 3\n")
    with pytest.raises(SettingsError, match=r"unknown setting 'frames.cuont'.*'frames.count'"):
        load_settings()


def test_an_unknown_section_in_the_environment_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YTB_ADS__FRAME__COUNT", "3")
    with pytest.raises(SettingsError, match=r"YTB_ADS__FRAME__COUNT.*'frames'"):
        load_settings()


def test_a_wrong_value_says_where_the_key_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YTB_ADS__FRAMES__COUNT", "many")
    with pytest.raises(SettingsError, match=r"frames.count: .*integer.*YTB_ADS__FRAMES__COUNT"):
        load_settings()


def test_shares_that_do_not_add_up_are_refused_with_their_sum(tmp_path: Path) -> None:
    (tmp_path / "ytb_ads.toml").write_text("[release]\ntrain = 0.5\n")
    with pytest.raises(SettingsError, match=r"= 0\.7; .* add up to 1"):
        load_settings()


def test_a_named_file_that_is_missing_or_broken_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load_settings(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("[frames\n")
    with pytest.raises(SettingsError, match="not TOML"):
        load_settings(tmp_path / "broken.toml")


def test_the_secret_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YTB_ADS__PRIVACY__AUTHOR_KEY", "open sesame")
    settings = load_settings()
    assert "open sesame" not in repr(settings) + settings.model_dump_json()
    assert settings.privacy.author_key is not None
    assert settings.privacy.author_key.get_secret_value() == "open sesame"


def test_a_secret_of_the_wrong_type_does_not_show_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "ytb_ads.toml").write_text("[privacy]\nauthor_key = 31415926535\n")
    with pytest.raises(SettingsError, match="author_key") as refused:
        load_settings()
    assert "31415926535" not in str(refused.value)


def test_a_fingerprint_changes_with_a_value_and_with_the_engine() -> None:
    frames = load_settings().frames
    assert frames.fingerprint() == load_settings().frames.fingerprint()
    assert frames.fingerprint() != frames.model_copy(update={"count": 4}).fingerprint()
    assert frames.fingerprint("av 18") != frames.fingerprint("av 19")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[crawl]\ncategories = {}\n", "no category is named"),
        ('[crawl.categories.""]\nsearch = ["ad"]\n', "give it a name"),
        ('[crawl.categories.food]\nsearch = ["ad", " "]\n', "an empty phrase would find everything"),
        ("[crawl.categories.food]\ncount = 3\n", "give search, channels, playlists or ids"),
    ],
)
def test_a_category_that_means_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "ytb_ads.toml").write_text(text)
    with pytest.raises(SettingsError, match=said):
        load_settings()
