"""Prepared rows: a model sees what it sees without a cache, and the cache survives kills, damage and company."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader

from fgmfn.commands.main import main
from fgmfn.data import Collator, Source, SplitDataset, open_release, open_source
from fgmfn.data.pictures import decode
from fgmfn.data.prepared import PIXELS, SEAL, Cache, Entry, cache_folder
from fgmfn.errors import BrokenPicturesError, DataError
from fgmfn.modeling import FgmfnForSentiment
from fgmfn.planning import plan_run
from fgmfn.processing import Augmentation, FgmfnProcessor, image_processor, train_tokenizer
from fgmfn.settings import SourceSettings
from fgmfn.training import train_models
from tests.fgmfn.baselines.test_every_model import STEPPED
from tests.fgmfn.models import build, processor_for, small_config
from tests.fgmfn.releases import ad_rows, picture, small_release, tiny_config, write_release, write_set
from tests.fgmfn.test_table import write_pictures, write_table

INPUTS = FgmfnForSentiment.inputs


def cache_in(folder: Path, *, most_bytes: float = 1e9, most_s: float = 1e6, code: str = "1") -> Cache:
    return Cache(folder, most_bytes, most_s, code)


def processor(source: Source, fit: str = "letterbox") -> FgmfnProcessor:
    tokenizer = train_tokenizer(source.splits["train"].text, 200)
    return FgmfnProcessor(image_processor(small_config()), tokenizer, max_tokens=12, fit=fit, crop_share=0.9)


def release(folder: Path) -> Source:
    return open_release(small_release(folder / "2026.11.24", train=6, dev=4, test=4))


def table(folder: Path, ending: str) -> Source:
    write_pictures(folder)
    return open_source(write_table(folder / f"t.{ending}"))


def embedded(folder: Path) -> Source:
    rows = [{"image": {"bytes": picture((9, 30 * (n % 7), 9), (90, 40), n % 7), "path": ""}} for n in range(40)]
    columns = {"text": [f"text {n}" for n in range(40)], "label": [("bad", "good")[n % 2] for n in range(40)]}
    pq.write_table(pa.table({"image": [row["image"] for row in rows], **columns}), folder / "t.parquet")
    return open_source(folder / "t.parquet")


def tweets(folder: Path) -> Source:
    for name, size in (("a.jpg", (120, 50)), ("b.jpg", (40, 90))):
        (folder / name).write_bytes(picture((20, 90, 160), size))
    return open_source("twitter2015", SourceSettings(data_dir=write_set(folder), images=folder))


KINDS: dict[str, Callable[[Path], Source]] = {
    "release": release,
    "csv": partial(table, ending="csv"),
    "jsonl": partial(table, ending="jsonl"),
    "parquet": embedded,
    "tweets": tweets,
}


def seen(dataset: SplitDataset, collator: Collator) -> dict[str, torch.Tensor]:
    """All rows of a split in two epochs."""
    found = []
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        found.append(collator([dataset[row] for row in range(len(dataset))]))
    return {name: torch.cat([values, found[1][name]]) for name, values in found[0].items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_sees_the_same_with_and_without_a_cache(kind: str, tmp_path: Path) -> None:
    source, cache = KINDS[kind](tmp_path), cache_in(tmp_path / "cache")
    for fit, (least, mirror), split in product(
        ("letterbox", "squash", "crop"), ((1.0, False), (1.0, True), (0.3, True)), ("train", "test")
    ):
        made = processor(source, fit)
        augmentation = Augmentation(least, mirror, 5) if split == "train" else None
        fresh, cached = (
            seen(
                SplitDataset(source.splits[split], made, INPUTS, augmentation=augmentation, cache=given),
                Collator(made, INPUTS),
            )
            for given in (None, cache)
        )
        assert fresh.keys() == cached.keys()
        assert all(torch.equal(values, cached[name]) for name, values in fresh.items()), (fit, least, split)
        assert all(values.dtype == cached[name].dtype for name, values in fresh.items())


def test_every_model_that_looks_at_pictures_sees_the_same_from_the_cache(tmp_path: Path) -> None:
    rows, cache = tweets(tmp_path).splits["train"].take([0, 1, 2, 1]), cache_in(tmp_path / "cache")
    for name in STEPPED:
        model = build(name)
        made = processor_for(model)
        made.fit = "crop"
        batches = [
            Collator(made, model.inputs)([dataset[row] for row in range(len(rows))])
            for given in (None, cache)
            for dataset in [SplitDataset(rows, made, model.inputs, cache=given)]
        ]
        assert batches[0].keys() == batches[1].keys(), name
        assert all(torch.equal(values, batches[1][field]) for field, values in batches[0].items()), name


@pytest.mark.parametrize(("fit", "least", "grey_levels"), [("letterbox", 1.0, 0), ("squash", 1.0, 0), ("crop", 0.3, 6)])
def test_training_pictures_are_cut_from_the_picture_itself(
    fit: str, least: float, grey_levels: float, tmp_path: Path
) -> None:
    """Without the cache's intermediate size; where only shares are shown, two filters follow each other."""
    source = release(tmp_path)
    rows, made, augmentation = source.splits["train"], processor(source, fit), Augmentation(least, False, 5)
    dataset = SplitDataset(rows, made, INPUTS, augmentation=augmentation, cache=cache_in(tmp_path / "cache"))
    assert rows.pictures
    for row in range(len(rows)):
        square = augmentation(decode(rows.pictures.read(row), ""), made, epoch=0, row=row)
        expected = np.asarray(square).transpose(2, 0, 1).astype(int)
        assert np.abs(dataset[row]["pixel_values"].numpy() - expected).mean() <= grey_levels


def test_one_set_of_pictures_serves_all_models_of_a_size(tmp_path: Path) -> None:
    source, cache, made = tweets(tmp_path), cache_in(tmp_path / "cache"), []
    for normalisation in (0.4, 0.5):
        own = processor(source)
        own.image_processor.image_std = [normalisation] * 3
        made.append(SplitDataset(source.splits["train"], own, INPUTS, cache=cache, name="tweets, train"))
    whats = [entry.what for entry in cache.entries()]
    assert sorted(whats) == ["pictures of tweets, train, letterbox at 64 pixels", "words of tweets, train"]
    # 3 rows of 2 pictures
    [pictures] = [entry.folder for entry in cache.entries() if entry.what.startswith("pictures")]
    assert (pictures / PIXELS).stat().st_size == 3 * (64 * 27 + 28 * 64)


def filled(folder: Path, source: Source, **settings: Any) -> tuple[dict[str, torch.Tensor], Cache]:
    cache, made = cache_in(folder, **settings), processor(source)
    dataset = SplitDataset(source.splits["train"], made, INPUTS, cache=cache, name="train")
    return seen(dataset, Collator(made, INPUTS)), cache


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_what_is_damaged_is_made_anew(
    damage: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = release(tmp_path)
    whole, cache = filled(tmp_path / "cache", source)
    for entry in cache.entries():
        for name in sorted(path.name for path in entry.folder.iterdir()):
            caplog.clear()
            damage(entry.folder / name)
            again, _ = filled(tmp_path / "cache", source)
            assert "not whole; it is made anew" in caplog.text, name
            assert all(torch.equal(values, again[field]) for field, values in whole.items()), name
    assert len(cache.entries()) == 2


FORK = multiprocessing.get_context("fork")


def write_half(cache: Cache, begun: Any) -> None:
    def write(folder: Path) -> None:
        (folder / "part").write_bytes(b"half")
        begun.set()
        time.sleep(60)

    cache.hold({}, "killed", write)


def test_what_a_killed_writer_left_is_never_taken_for_whole(tmp_path: Path) -> None:
    cache, begun = cache_in(tmp_path), FORK.Event()
    writer = FORK.Process(target=write_half, args=(cache, begun))
    writer.start()
    assert begun.wait(60)
    cache.tidy(everything=True)
    [left] = tmp_path.glob(".*")
    assert (left / "part").exists(), "of a living process"
    writer.kill()
    writer.join()
    assert cache.entries() == []
    held = cache.hold({}, "whole", write_part)
    assert (held.folder / "part").read_bytes().startswith(b"all")
    assert not left.exists()


def hold_slowly(cache: Cache, said: Any) -> None:
    def write(folder: Path) -> None:
        said.put("made")
        (folder / "part").write_bytes(b"all")
        time.sleep(0.3)

    held = cache.hold({}, "one", write)
    said.put((held.folder / "part").read_text())


def test_of_several_processes_one_writes_and_all_read(tmp_path: Path) -> None:
    cache, said = cache_in(tmp_path), FORK.Queue()
    started = [FORK.Process(target=hold_slowly, args=(cache, said)) for _ in range(3)]
    for process in started:
        process.start()
    assert [said.get(timeout=60) for _ in range(4)] == ["made", "all", "all", "all"]
    for process in started:
        process.join()


def write_part(folder: Path) -> None:
    (folder / "part").write_bytes(b"all" + bytes(1000))


def make(cache: Cache, name: str, *, age_s: float = 0) -> Any:
    held = cache.hold({"name": name}, name, write_part)
    os.utime(held.folder, (time.time() - age_s,) * 2)
    return held


def names(entries: list[Entry]) -> list[str]:
    return [entry.what for entry in entries]


def test_what_is_old_or_too_much_is_dropped_unless_it_is_open(tmp_path: Path) -> None:
    (tmp_path / ".ssh.d").mkdir()
    cache = cache_in(tmp_path, most_s=100)
    kept = make(cache, "open", age_s=500)
    make(cache, "old", age_s=300)
    make(cache, "new")
    assert names(cache.entries()) == ["open", "new"], "the old one when the new one came"
    small = replace(cache, most_bytes=2500)
    make(small, "newer", age_s=-10)
    make(small, "newest", age_s=-20)
    assert names(cache.entries()) == ["open", "newest"]
    again = pickle.loads(pickle.dumps(kept))  # noqa: S301  our own bytes
    del kept
    assert names(cache.tidy(everything=True)) == ["newest"]
    assert (again.folder / "part").exists()
    del again
    assert names(cache.tidy()) == ["open"]
    assert (tmp_path / ".ssh.d").exists()


def test_other_rows_pictures_settings_and_code_are_other_entries(tmp_path: Path) -> None:
    source, folder = release(tmp_path), tmp_path / "cache"
    _, cache = filled(folder, source)
    before = {entry.folder for entry in cache.entries()}
    filled(folder, source)
    assert {entry.folder for entry in cache.entries()} == before
    filled(folder, source, code="2")
    assert len(cache.entries()) == 4
    # Other pictures under the same names and the same manifest.
    changed = write_release(tmp_path / "changed", {"train": ad_rows(6, seed=1), "validation": [], "test": []})
    values, _ = filled(folder, open_release(changed))
    rows = [replace(row, image=picture((7, 7, 7), seed=row.label)) for row in ad_rows(6, seed=1)]
    other = write_release(tmp_path / "other", {"train": rows, "validation": [], "test": []})
    (other / "manifest.json").write_text((changed / "manifest.json").read_text())
    differ, _ = filled(folder, open_release(other))
    assert torch.equal(values["input_ids"], differ["input_ids"])
    assert not torch.equal(values["pixel_values"], differ["pixel_values"])


def test_the_cache_is_no_part_of_a_runs_key(tmp_path: Path) -> None:
    source, config = release(tmp_path), tiny_config(tmp_path)
    other = tmp_path / "other.toml"
    elsewhere = f'[data]\ncache = "{tmp_path}"\ncache_gb = 1'
    other.write_text(config.read_text().replace("[data]", elsewhere) + "workers = 1\n")
    assert plan_run("fgmfn", source, other, tmp_path).folder == plan_run("fgmfn", source, config, tmp_path).folder


def test_where_the_cache_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FGMFN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder(None) == tmp_path / "fgmfn"
    monkeypatch.setenv("FGMFN_CACHE", "/elsewhere")
    assert cache_folder(None) == Path("/elsewhere")
    assert cache_folder(tmp_path / "set") == tmp_path / "set"


# --- trainings ---


def test_all_pictures_that_cannot_be_decoded_are_named_before_the_first_step(tmp_path: Path) -> None:
    splits = {"train": ad_rows(12, seed=1), "validation": ad_rows(4, first=12), "test": ad_rows(4, first=16)}
    bad = {"train": (2, 5), "validation": (1,), "test": (3,)}
    for split, places in bad.items():
        for place in places:
            splits[split][place] = replace(splits[split][place], image=b"broken")
    path, config = write_release(tmp_path / "r", splits), tiny_config(tmp_path)
    with pytest.raises(BrokenPicturesError, match="4 pictures cannot be used") as refused:
        train_models(path, config, tmp_path / "runs", ("image_only",), progress=False)
    named = [splits[split][place].frame_id for split, places in bad.items() for place in places]
    assert len(refused.value.broken) == 4
    assert all(f"frame {name}: " in line for name, line in zip(named, refused.value.broken, strict=True))
    assert not list((tmp_path / "runs").glob("*/checkpoints"))


def test_too_many_broken_pictures_end_the_looking(tmp_path: Path) -> None:
    rows = [replace(row, image=b"broken %d" % number) for number, row in enumerate(ad_rows(200))]
    source = open_release(write_release(tmp_path / "r", {"train": rows, "validation": [], "test": []}))
    with pytest.raises(BrokenPicturesError, match="pictures so far cannot be used") as refused:
        filled(tmp_path / "cache", source)
    assert 20 <= len(refused.value.broken) <= 84
    assert names(cache_in(tmp_path / "cache").entries()) == ["words of train"]


def test_a_picture_that_is_changed_after_the_data_were_opened_is_refused(tmp_path: Path) -> None:
    source = table(tmp_path, "csv")
    (tmp_path / "2.jpg").write_bytes(picture((1, 2, 3)))
    with pytest.raises(DataError, match=r"2\.jpg: the file was changed since the data were opened"):
        filled(tmp_path / "cache", source)
    assert names(cache_in(tmp_path / "cache").entries()) == ["words of train"]


def test_without_a_cache_a_training_ends_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, config = release(tmp_path), tiny_config(tmp_path, epochs=1)
    (tmp_path / "file").write_text("")
    scores = []
    for number, cache in enumerate((f'cache = "{tmp_path}/file/x"', "cache_gb = 0", f'cache = "{tmp_path}/cache"')):
        own = tmp_path / f"{number}.toml"
        own.write_text(config.read_text().replace("[data]", f"[data]\n{cache}"))
        (trained,) = train_models(source, own, tmp_path / str(number), ("fgmfn",), progress=False)
        scores.append(json.loads((trained.checkpoint / "metrics.json").read_text())["history"])
    assert scores[0] == scores[1] == scores[2]
    assert "cannot be written" in caplog.text
    assert len(cache_in(tmp_path / "cache").entries()) == 6


def test_a_loaders_lasting_processes_learn_of_a_new_epoch(tmp_path: Path) -> None:
    source = release(tmp_path)
    made = processor(source)
    dataset = SplitDataset(
        source.splits["train"], made, INPUTS, augmentation=Augmentation(0.3, True, 1), cache=cache_in(tmp_path / "c")
    )
    collate = Collator(made, INPUTS, normalize=False)

    def epochs(**settings: Any) -> list[bytes]:
        loader, found = DataLoader(dataset, batch_size=2, collate_fn=collate, **settings), []
        for epoch in (0, 1, 2):
            dataset.set_epoch(epoch)
            found.append(b"".join(batch["pixel_values"].numpy().tobytes() for batch in loader))
        return found

    here = epochs()
    assert len(set(here)) == 3
    assert epochs(num_workers=1, persistent_workers=True, prefetch_factor=4) == here
    assert epochs(num_workers=1, persistent_workers=True, multiprocessing_context="spawn") == here
    assert (SEAL, len(pickle.dumps(dataset)) < 100_000) == ("whole.json", True)


def test_the_command_says_where_prepared_rows_lie_and_removes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FGMFN_CACHE", str(tmp_path))
    make(cache_in(tmp_path), "pictures of x")

    def run(*options: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["fgmfn", "cache", "--json", *options])
        with suppress(SystemExit):
            main()
        return json.loads(capsys.readouterr().out)

    listed = run()
    assert (listed["folder"], [entry["what"] for entry in listed["entries"]]) == (str(tmp_path), ["pictures of x"])
    assert listed["bytes"] == listed["entries"][0]["bytes"] > 1000
    assert run("--clear")["entries"] == []
