"""`ytb-ads config`: the written file sets nothing, what is in force names its origin, faults are named."""

from __future__ import annotations

import json
import os
import pickle
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.blocks.system import Secret
from pydantic import BaseModel, SecretStr

from flows.commands.main import main
from flows.errors import SettingsError
from flows.settings import Settings, load_settings
from flows.settings.checking import find_faults
from flows.settings.listing import commented_file, values_in_force


@pytest.fixture(autouse=True)
def _clean_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_written_file_sets_nothing(tmp_path: Path) -> None:
    (tmp_path / "ytb_ads.toml").write_text(commented_file(), "utf-8")
    assert load_settings() == Settings()
    assert all(value.is_default for value in values_in_force())


def test_with_every_comment_sign_taken_away_it_sets_every_key_to_its_default(tmp_path: Path) -> None:
    keys = re.sub(r"^# (\[.+\]|[a-z_]+ = .*)$", r"\1", commented_file(), flags=re.MULTILINE)
    keys = re.sub(r"^[a-z_]+ = +# (none|the number of CPUs)$", "", keys, flags=re.MULTILINE)
    (tmp_path / "ytb_ads.toml").write_text(keys, "utf-8")
    assert load_settings() == Settings()

    def fields(model: type[BaseModel] | BaseModel, values: dict[str, Any]) -> None:
        for name, field in type(model).model_fields.items() if isinstance(model, BaseModel) else ():
            value = getattr(model, name)
            if value is None or (name == "workers" and field.default_factory):
                continue
            assert name in values, f"{type(model).__name__}.{name} is not in the file"
            if isinstance(value, BaseModel):
                fields(value, values[name])

    fields(Settings(), tomllib.loads(keys))


def test_every_line_is_short_enough_for_an_editor() -> None:
    assert max(map(len, commented_file().splitlines())) <= 120


def test_a_file_that_is_there_is_not_overwritten_unless_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ytb_ads.toml").write_text("[frames]\ncount = 3\n")
    with pytest.raises(SystemExit) as ended:
        main(["config", "init"])
    assert ended.value.code == 1
    assert "--force" in capsys.readouterr().err
    assert load_settings().frames.count == 3
    with pytest.raises(SystemExit) as ended:
        main(["config", "init", "--force"])
    assert not ended.value.code
    assert load_settings().frames.count == 5


def test_each_value_names_what_gives_it_the_strongest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ytb_ads.toml").write_text(
        '[frames]\ncount = 3\nquality = 80\nseed = 1\n[crawl.categories."soft drinks"]\nsearch = ["cola"]\n'
    )
    (tmp_path / ".env").write_text(
        "YTB_ADS__FRAMES__COUNT=4\nYTB_ADS__FRAMES__SEED=2\nYTB_ADS__CRAWL__API_KEY='a $ecret'\nFRAMES=no\nOTHER=1\n"
    )
    monkeypatch.setenv("YTB_ADS__FRAMES__COUNT", "7")
    monkeypatch.setenv("YTB_ADS__OCR", '{"min_confidence": 0.9}')
    with pytest.raises(SystemExit) as ended:
        main(["config", "show", "--changed", "--json"])
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert "ecret" not in shown
    assert {row["setting"]: (row["value"], row["from"]) for row in json.loads(shown)} == {
        "crawl.api_key": ('"**********"', ".env: YTB_ADS__CRAWL__API_KEY"),
        "crawl.categories.soft drinks.search": ('["cola"]', "ytb_ads.toml"),
        "frames.count": ("7", "environment: YTB_ADS__FRAMES__COUNT"),
        "frames.seed": ("2", ".env: YTB_ADS__FRAMES__SEED"),
        "frames.quality": ("80", "ytb_ads.toml"),
        "ocr.min_confidence": ("0.9", "environment: YTB_ADS__OCR"),
    }
    settings = load_settings()
    assert (settings.frames.count, settings.frames.seed, settings.ocr.min_confidence) == (7, 2, 0.9)
    assert [key.get_secret_value() for key in settings.crawl.given_keys] == ["a $ecret"]


def test_a_misspelt_variable_of_the_file_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("YTB_ADS__FRAME__COUNT=4\n")
    with pytest.raises(SettingsError, match=r"\.env: variable YTB_ADS__FRAME__COUNT.*'frames'"):
        load_settings()
    (tmp_path / ".env").write_text("YTB_ADS__FRAMES__CUONT=4\n")
    with pytest.raises(SettingsError, match=r"'frames.cuont'.*'frames.count'"):
        load_settings()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("YTB_ADS__FRAMES__COUNT=4\nGARBAGE LINE\n", r"\.env: line 2 is not NAME=VALUE"),
        ('YTB_ADS__FRAMES__COUNT=4\nYTB_ADS__CRAWL__API_KEY="sesame\n', r"\.env: line 2 .*quotes do not end"),
        ("=sesame\n", r"\.env: line 1 is not NAME=VALUE"),
        ("\nYTB_ADS__FRAMES__COUNT\n", r"\.env: line [12]: YTB_ADS__FRAMES__COUNT has no value"),
        ("YTB_ADS__CRAWL={sesame}\n", r"YTB_ADS__CRAWL is not JSON"),
        ("YTB_ADS__FRAMES__COUNT=\n", r"frames\.count: Input should be a valid integer"),
    ],
)
def test_a_line_that_cannot_be_read_is_not_passed_over_and_shows_no_secret(
    tmp_path: Path, lines: str, said: str
) -> None:
    (tmp_path / ".env").write_text(lines)
    with pytest.raises(SettingsError, match=said) as refused:
        load_settings()
    assert "sesame" not in str(refused.value)


def test_what_other_programs_write_into_such_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(
        b"\xef\xbb\xbfexport YTB_ADS__FRAMES__COUNT=4\r\n# a remark\r\nexport\tPATH_OF_MINE\r\n\r\n"
        b"YTB_ADS__FRAMES__SEED = 3  # a remark\r\nYTB_ADS__CRAWL__API_KEY='a \"b\"#$c'\r\n"
        b'LETTER="two\nlines"\r\nYTB_ADS__FRAMES__QUALITY=80'
    )
    settings = load_settings()
    assert (settings.frames.count, settings.frames.seed, settings.frames.quality) == (4, 3, 80)
    assert settings.crawl.given_keys[0].get_secret_value() == 'a "b"#$c'


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("[ocr]\nmodel_dir = 'nowhere'", r"ocr\.model_dir.*nowhere is not there"),
        ("[crawl.categories.x]\nids = 'list.txt'", r"crawl\.categories\.x\.ids.*list\.txt"),
        ("[release]\nchecks = ['rules.sql']", r"release\.checks.*rules\.sql"),
        ("[crawl.quota]\nledger = 'none/quota.sqlite'", r"crawl\.quota\.ledger"),
        ("[sentiment]\nengine = 'java'\njava = 'jawa'", r"sentiment\.java.*jawa"),
        ("[training]\nconfig = 'tny'", r"training\.config.*'tiny'"),
        ("[training]\nmodels = ['fgmf']", r"training\.models.*'fgmfn'"),
    ],
)
def test_what_a_setting_names_and_is_not_there_is_a_fault(tmp_path: Path, setting: str, said: str) -> None:
    (tmp_path / "ytb_ads.toml").write_text(setting)
    [fault] = find_faults()
    assert re.search(said, fault)
    with pytest.raises(SystemExit) as ended:
        main(["config", "check"])
    assert ended.value.code == 1


def test_a_ledger_that_is_still_to_be_made_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "ytb_ads.toml").write_text("[crawl.quota]\nledger = 'quota.sqlite'\n")
    assert find_faults() == []


def test_a_secret_block_is_asked_for_when_it_is_needed_and_not_before(tmp_path: Path, prefect_api: str) -> None:
    (tmp_path / "ytb_ads.toml").write_text('[crawl]\napi_key = "secret-block:the-key"\n')
    settings = load_settings()
    key = settings.crawl.api_key
    assert key is not None
    assert "**********" in settings.model_dump_json()
    [fault] = find_faults()
    assert re.search(r"crawl\.api_key: secret-block:the-key: .*no such secret.*the-key", fault)

    Secret(value=SecretStr("sesame")).save("the-key")
    assert key.get_secret_value() == "sesame"
    assert pickle.loads(pickle.dumps(settings)).crawl.given_keys[0].get_secret_value() == "sesame"  # noqa: S301
    assert "sesame" not in repr(settings) + settings.model_dump_json() + str(values_in_force())
    assert find_faults() == []

    @flow
    def within_a_flow() -> str:
        return key.get_secret_value()

    assert within_a_flow() == "sesame"


def test_a_block_needs_a_name(tmp_path: Path) -> None:
    (tmp_path / "ytb_ads.toml").write_text('[crawl]\napi_key = "secret-block:"\n')
    with pytest.raises(SettingsError, match=r"crawl\.api_key.*name of a block"):
        load_settings()


def test_what_libraries_read_of_the_environment_may_stand_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "PATH_OF_MINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of the shell")
    monkeypatch.setattr(os, "environ", os.environ.copy())  # what is exported ends with the test
    (tmp_path / ".env").write_text("AWS_REGION=eu-west-1\nAWS_ACCESS_KEY_ID=of the file\nPATH_OF_MINE=x\n")
    load_settings()
    found = [os.environ.get(name) for name in ("AWS_REGION", "AWS_ACCESS_KEY_ID", "PATH_OF_MINE")]
    assert found == ["eu-west-1", "of the shell", None]
