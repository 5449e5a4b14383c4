"""The whole way on a catalog in a bucket: what is built there, and what every command says, is as on a local disk."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
import typer
from click import Context
from typer.testing import CliRunner

from annotation.errors import StoreError
from annotation.web.app import create_app
from annotation.web.state import WebSettings
from data_catalog.catalog import Catalog
from data_catalog.releases import fetch_release, newest_release, read_manifest, verify_release
from data_catalog.storage import StorePath, file_names, place_of, working_folder
from flows.commands.main import app
from flows.crawl.data_api.parsing import SOURCE as YOUTUBE
from flows.crawl.media.store import delete_sampled, media_folder
from flows.crawl.steps import open_crawl, open_ledger
from flows.frames.flow import sample_batch
from flows.settings import load_settings
from flows.stages import FRAMES
from tests.conftest import S3_KEY, new_bucket
from tests.flows.test_crawl_youtube import KEY, crawling
from tests.youtube_sandbox.extractor import use_sandbox_extractor

TRAINING = '[training]\nmodels = ["tfidf"]\nconfig = "tiny"\nfrom_scratch = true\nmin_test_ads = 1\n'


@dataclass(frozen=True)
class Twins:
    """One catalog with a model and judgements, on a local disk and in a bucket, and the settings of both."""

    local: Path
    there: str
    settings: Path


def run(*arguments: str | Path) -> tuple[int, str]:
    """Exit code and standard output of `ytb-ads` in this process; a refusal is what it says."""
    result = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"})
    said = result.stdout
    if result.exception and not isinstance(result.exception, SystemExit):
        said += f"{type(result.exception).__name__}: {result.exception}"
    assert S3_KEY not in said + result.stderr
    return result.exit_code, said


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that draw write their picture where they are run."""
    monkeypatch.chdir(tmp_path)


def upload(folder: Path, to: StorePath) -> None:
    for name in file_names(folder):
        (to / name).upload(folder / name)


@pytest.fixture(scope="module")
def bucket(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        yield new_bucket(s3_server, tmp_path_factory.mktemp("cache"), patch)


@pytest.fixture(scope="module")
def twins(bucket: str, seeded: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Twins:
    folder = tmp_path_factory.mktemp("twins")
    local = Path(shutil.copytree(seeded, folder / "catalog"))
    settings = folder / "ytb_ads.toml"
    settings.write_text(f'{TRAINING}\n[review]\nstore = "{folder / "votes.sqlite3"}"\n')
    there = place_of(f"{bucket}/twin")
    assert isinstance(there, StorePath)
    upload(local, there)
    return Twins(local, str(there), settings)


def commands() -> dict[str, list[str]]:
    """Every command that takes a catalog, with its options."""
    found: dict[str, list[str]] = {}

    def walk(command: Any, path: tuple[str, ...]) -> None:
        if hasattr(command, "list_commands"):
            within = Context(command)
            for name in command.list_commands(within):
                walk(command.get_command(within, name), (*path, name))
        else:
            options = [name for parameter in command.params for name in parameter.opts]
            if "--catalog" in options:
                found[" ".join(path)] = options

    walk(typer.main.get_command(app), ())
    return found


def arguments_of(twins: Twins) -> dict[str, tuple[str | Path, ...]]:
    """What each command is asked on both twins."""
    release = newest_release(twins.local / "releases")
    tables = Catalog(twins.local)
    ad = tables.values("labels", "video_id")[0]
    version = release.name
    return {
        "status": ("--json",),
        "catalog tables": ("--json",),
        "catalog show": ("texts", "--json", "--limit", "5"),
        "catalog sql": ("SELECT split, count(*) AS n FROM release GROUP BY 1 ORDER BY 1", "--as-of", version),
        "catalog export": (
            "SELECT * EXCLUDE image FROM releases ORDER BY ALL",
            "--to",
            twins.settings.parent / "x.csv",
        ),
        "catalog check": ("--json",),
        "catalog history": ("frames", "--json"),
        "catalog releases": ("--json",),
        "catalog fetch": (version,),
        "catalog verify": (version,),
        "catalog diff": (version, version, "--json"),
        "catalog explain": (f"{version}:train:0", "--json"),
        "frames show": (ad,),
        "ocr show": (ad,),
        "sentiment explain": ("--ad", ad, "--json"),
        "sentiment report": (),
        "sentiment compare": (),
        "health": ("--json",),
        "models promote": ("no-such-run",),
        "models rollback": (),
        "monitor": ("--json",),
        "predict": ("no-such.mp4",),
        "annotate invite": ("Ann", "--role", "reviewer", "--renew"),
        "annotate invite-all": (twins.settings.parent / "none.csv", "--links", twins.settings.parent / "links.csv"),
        "annotate level": ("Ann", "undergraduate"),
        "annotate assign": ("Ann=all",),
        "annotate people": ("--json",),
        "annotate revoke": ("Ann",),
        "annotate status": ("--json",),
        "annotate agreement": (),
        "annotate export": (twins.settings.parent / "votes.csv", "--format", "csv"),
        "annotate import": (twins.settings.parent / "none.csv",),
        "annotate close-round": (),
        "annotate queue": (),
    }


ELSEWHERE = {
    "build": "test_a_build_in_a_bucket_gives_the_rows_of_a_local_one",
    "train": "test_a_model_that_was_trained_here_is_in_the_bucket_for_every_other_machine",
    "crawl": "test_a_crawl_keeps_its_videos_in_the_bucket",
    "catalog forget": "test_what_is_forgotten_is_gone_from_the_bucket",
    "annotate serve": "never ends",
    "serve": "never ends",
    "deploy": "reads no catalog",
}
"""Commands that are not asked here, and why, or which test does."""


def test_what_is_not_asked_of_a_bucket_is_a_command() -> None:
    assert ELSEWHERE.keys() <= commands().keys()


@pytest.mark.parametrize("command", sorted(commands().keys() - ELSEWHERE.keys()))
def test_a_command_says_the_same_of_a_catalog_in_a_bucket(command: str, twins: Twins) -> None:
    asked = arguments_of(twins).get(command)
    assert asked is not None, "a new command: say above what it is asked"
    config = ("--config", twins.settings) if "--config" in commands()[command] else ()

    def told(catalog: str) -> tuple[int, str]:
        code, said = run(*command.split(), *asked, "--catalog", catalog, *config)
        fetched = str(working_folder(place_of(f"{catalog}/releases")))
        lines = said.replace(catalog, "CATALOG").replace(fetched, "CATALOG/releases").splitlines()
        # what a disk holds and what time it is are another disk's and second's; DuckDB names some examples of many
        of_now = (" GB of ", '"at": ', '"since": ', '"until": ')
        return code, "\n".join(
            re.sub(r'"examples": .*', "", line) for line in lines if not any(word in line for word in of_now)
        )

    here, there = told(str(twins.local)), told(twins.there)
    if command == "catalog fetch":
        assert (here[0], there[0]) == (0, 0)
        assert Path(there[1].strip()).name == Path(here[1].strip()).name
        return
    assert there == here
    assert "Traceback" not in there[1]


def test_a_build_in_a_bucket_gives_the_rows_of_a_local_one(
    bucket: str, seeded: Path, sample: Path, quick: Path, prefect_api: str
) -> None:
    root = place_of(f"{bucket}/built")
    assert isinstance(root, StorePath)
    upload(seeded / "tables" / "texts", root / "tables" / "texts")  # reading words again takes most of the time
    code, said = run("build", "--source", f"folder:{sample}", "--catalog", str(root), "--config", quick)
    assert code == 0, said
    release = newest_release(root / "releases")
    local, there = read_manifest(newest_release(seeded / "releases")), read_manifest(release)
    assert there["row_set_hash"] == local["row_set_hash"]
    assert there["splits"] == local["splits"]
    assert verify_release(release) == []
    assert S3_KEY not in str(there)
    leftovers = {path.name for path in root.iterdir()} - {"tables", "releases", "author.key", ".settled", ".locks"}
    assert leftovers == set()


def test_a_model_that_was_trained_here_is_in_the_bucket_for_every_other_machine(
    twins: Twins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_api: str, sample: Path
) -> None:
    ask = ("train", "--catalog", twins.there, "--settings", twins.settings)
    code, said = run(*ask)
    assert code == 0, said
    models = Catalog(twins.there).models_dir
    [folder] = [
        path for path in (models / newest_release(twins.local / "releases").name).iterdir() if path.name[0] != "."
    ]
    assert {"metrics.json", "README.md"} <= set(file_names(folder))
    trained = {name: (folder / name).read_bytes() for name in file_names(folder)}

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    code, said = run("catalog", "fetch", "--model", folder.name, "--catalog", twins.there)
    fetched = Path(said.strip())
    assert {name: (fetched / name).read_bytes() for name in file_names(fetched)} == trained
    code, said = run(*ask)
    assert code == 0, said
    assert {name: (folder / name).read_bytes() for name in file_names(folder)} == trained, "not trained again"
    video = next(sample.rglob("*.mp4"))
    code, said = run("predict", video, "--json", "--model", folder.name, "--catalog", twins.there)
    assert json.loads(said)["model"].endswith(folder.name), said
    # half a model, as a killed process leaves it, is none
    (folder / "metrics.json").unlink()
    assert run("catalog", "fetch", "--model", folder.name, "--catalog", twins.there)[0] == 1


def test_the_page_of_the_annotation_opens_a_catalog_in_a_bucket(twins: Twins, tmp_path: Path) -> None:
    assert create_app(WebSettings(catalog=twins.there, store=str(tmp_path / "votes.sqlite3"))).routes
    with pytest.raises(StoreError, match=r"name a file or a PostgreSQL server as review\.store"):
        create_app(WebSettings(catalog=twins.there))


def test_what_is_forgotten_is_gone_from_the_bucket(twins: Twins, bucket: str) -> None:
    root = place_of(f"{bucket}/forgotten")
    assert isinstance(root, StorePath)
    upload(twins.local, root)
    tables = Catalog(str(root))
    ad = tables.values("labels", "video_id")[0]
    (media_folder(tables) / f"{ad}.mp4").write_bytes(b"a video")
    fetched = fetch_release(newest_release(root / "releases"))
    code, said = run("catalog", "forget", "--yes", "--catalog", str(root), "--config", twins.settings, "--", ad)
    assert code == 0, said
    assert f"deleted: media/{ad}.mp4" in said
    assert f"release {newest_release(root / 'releases').name} contains" in said
    assert f" rows of it: {fetched}" in said, "a copy on this machine is named, too"
    assert not any(tables.values(name, "video_id", f"video_id = '{ad}'") for name in ("ads", "frames", "comments"))
    assert file_names(media_folder(tables)) == [] if media_folder(tables).is_dir() else True


def test_a_crawl_keeps_its_videos_in_the_bucket(
    bucket: str, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_sandbox_extractor()
    monkeypatch.setenv("YTB_ADS__CRAWL__API_KEY", KEY)
    root = place_of(f"{bucket}/crawled")
    here = working_folder(root / "media")

    def nothing(ads: float) -> None:
        pass

    with crawling(sample, tmp_path) as place:
        tables, settings = Catalog(str(root)), load_settings(place.settings)
        with open_crawl(tables, settings) as crawl:
            for category in settings.crawl.categories:
                crawl.list_candidates(category, nothing)
            crawl.draw_ads(settings.crawl.categories.keys(), nothing)
            wanted = tables.values("ads", "video_id")[:3]
            fetched = crawl.fetch_videos(wanted, nothing)
            assert fetched.rows_out >= 2
            ads = {ad["media_path"]: ad for ad in tables.read("ads", where="media_status = 'present'").to_pylist()}
            assert set(file_names(root / "media")) == set(ads)
            assert [path for path in here.glob("*") if path.is_file()] == [], "nothing stays on this machine"

            # a run that was killed after the upload and before the commit
            asked = len(place.sandbox.requests)
            stored = next(iter(ads.values()))
            assert crawl.lane.fetch(stored["video_id"]).sha256 == stored["media_sha256"]
            assert len(place.sandbox.requests) == asked, "what is in the bucket is not fetched again"
        some = tables.snapshot("ads").read(list(FRAMES.columns or ()), where=pc.field("media_status") == "present")
        roots = {YOUTUBE: media_folder(tables)}
        count = sample_batch.fn(some, catalog=tables, roots=roots, settings=settings.frames, fingerprint="x")
        assert count.rows_in == len(ads)
        assert tables.count("frames") == count.rows_out > 0
        assert delete_sampled(tables, "x") == len(set(tables.values("frames", "video_id")))
        assert len(file_names(root / "media")) == len(ads) - len(set(tables.values("frames", "video_id")))
    spent = []
    for _ in range(2):
        with open_ledger(tables, settings, to_look=True) as ledger:
            spent.append(ledger.spent(KEY, "units"))
        shutil.rmtree(here.parent, ignore_errors=True)  # another machine, where nothing is known of the first
    assert spent[0] == spent[1] > 0
