"""Requirements of runs: data, pictures, weights, memory and disk, all checked before anything is trained.

Weights on a hub are fetched by its own library, which respects `HF_HUB_OFFLINE`. Requirements that are met are listed
with revision and checksum, missing ones with instructions.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import timm
from huggingface_hub import hf_hub_download, is_offline_mode
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from fgmfn.baselines import model_class
from fgmfn.baselines.aom import AomConfig
from fgmfn.baselines.parts.grammar import Grammar
from fgmfn.baselines.probes import ProbeConfig
from fgmfn.building import model_config
from fgmfn.configuration import PictureConfig, PiecesConfig, WordsConfig
from fgmfn.console import quiet_libraries
from fgmfn.data import Source, open_source
from fgmfn.data.twitter import FILES, TWITTER_SETS
from fgmfn.encoders import pretrained_text_config
from fgmfn.environment import environment
from fgmfn.errors import DataError, FgmfnError, WeightsError
from fgmfn.packaged import PACKAGES, PREFIX, packaged
from fgmfn.paper.experiments import least_memory
from fgmfn.paper.published import DATASETS, PUBLICATION, ROWS, SHA256
from fgmfn.planning import Run, sized_config
from fgmfn.predictions import METRICS, file_digest
from fgmfn.processing import pretrained_tokenizer
from fgmfn.settings import SourceSettings
from fgmfn.sizes import BYTES_HELD, free_bytes, size_of

log = logging.getLogger(__name__)

State = Literal["found", "missing", "differs"]
Kind = Literal["data", "pictures", "weights", "memory", "disk", "device"]

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model")
WHILE_TRAINING = 5
"""Times a model's weights that lie beside them: the newest checkpoint's with Adam's two moments, the best one's, and
those of another that is being written."""


@dataclass(frozen=True)
class Need:
    """One requirement of runs."""

    kind: Kind
    what: str
    state: State
    found: str = ""
    """Result of the check: revision and checksum, or counts; or what was found instead."""
    todo: str = ""
    """Instructions for getting what is missing."""
    rows: tuple[str, ...] = ()
    """Titles of the table rows that need it; empty: all."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"rows": list(self.rows)}


def complete(needs: Iterable[Need]) -> bool:
    """Return whether nothing is missing and nothing differs from the published files."""
    return all(need.state == "found" for need in needs)


# --- data and pictures ---


def open_all(
    named: Mapping[str, SourceSettings], *, decode: bool = True, progress: bool = True
) -> tuple[list[Source], list[Need]]:
    """Open each set of data, without its pictures where they are not all there, and say what is missing.

    Args:
        named: settings by what `open_source` opens.
        decode: look into all pictures, too.
        progress: show a bar meanwhile, if standard error is a terminal.
    """
    sources, needs = [], []
    for name, settings in named.items():
        source, own = _open_twitter(name, settings) if name in TWITTER_SETS else _open_other(name, settings)
        needs += own
        if source is None:
            continue
        sources.append(source)
        if source.splits["train"].pictures is not None:
            needs.append(_look_at_pictures(source, decode, progress))
    return sources, needs


def _open_twitter(name: str, settings: SourceSettings) -> tuple[Source | None, list[Need]]:
    title, folder = DATASETS[name], TWITTER_SETS[name]
    get = f"get the texts of {title} ({PUBLICATION}) and name the folder that holds {folder}/train.tsv by --data-dir"
    if settings.data_dir is None:
        return None, [Need("data", title, "missing", "no folder was named", get)]
    needs = [_published(name, settings.data_dir / folder / file, SHA256[name][file], get) for file in FILES.values()]
    try:
        source = open_source(name, settings.model_copy(update={"images": None}))
    except DataError as error:
        return None, [*needs, Need("data", title, "missing", str(error), get)]
    needs.append(_rows_of(source))
    files = {picture for rows in source.splits.values() for picture in rows.picture}
    get = (
        f"get the {len(files):,} pictures of {title} by the link in the README of {PUBLICATION}, and name their "
        f"folder by --images {name}=DIR"
    )
    if settings.images is None:
        return source, [*needs, Need("pictures", f"pictures of {title}", "missing", "no folder was named", get)]
    try:
        return open_source(name, settings), needs
    except DataError as error:
        return source, [*needs, Need("pictures", f"pictures of {title}", "missing", str(error), get)]


def _published(name: str, file: Path, expected: str, get: str) -> Need:
    """Compare one file of a Twitter set with the published one; ends of lines may differ."""
    what = f"{DATASETS[name]}, {file.name}"
    if not file.is_file():
        return Need("data", what, "missing", f"{file}: no such file", get)
    digest = file_digest(file)
    if digest == expected:
        return Need("data", what, "found", f"SHA-256 {digest}")
    if hashlib.sha256(file.read_bytes().replace(b"\r\n", b"\n")).hexdigest() == expected:
        return Need("data", what, "found", f"SHA-256 {digest}, with other ends of lines than the published file")
    seen = f"SHA-256 {digest}, not {expected}"
    return Need("data", what, "differs", seen, f"nothing printed compares with other rows: {get}")


def _open_other(name: str, settings: SourceSettings) -> tuple[Source | None, list[Need]]:
    try:
        source = open_source(name, settings)
        return source, [_rows_of(source)]
    except DataError as error:
        reason = str(error)
    try:
        source = open_source(name, settings.model_copy(update={"images": None, "image": ""}))
    except DataError:
        return None, [Need("data", name, "missing", reason, "see docs/comparison.md for the data that can be opened")]
    get = f"name their folder by --images {name}=DIR, or see what the data say of them"
    return source, [_rows_of(source), Need("pictures", f"pictures of {source.name}", "missing", reason, get)]


def _rows_of(source: Source) -> Need:
    counts = tuple(len(rows) for rows in source.splits.values())
    found = ", ".join(
        f"{split} {len(rows):,} ({rows.checksum[:12]})" for split, rows in source.splits.items() if len(rows)
    )
    wanted = ROWS.get(source.dataset or "")
    if wanted and counts != wanted:
        published = ", ".join(f"{count:,}" for count in wanted)
        return Need("data", f"rows of {source.name}", "differs", found, f"as published they are {published}")
    return Need("data", f"rows of {source.name}", "found", found)


def _look_at_pictures(source: Source, decode: bool, progress: bool) -> Need:
    what = f"pictures of {source.name}"
    count = len({picture for rows in source.splits.values() for picture in rows.picture})
    if not decode:
        return Need("pictures", what, "found", f"{count:,} of {count:,}")
    try:
        source.check_pictures(progress=progress)
    except DataError as error:
        return Need("pictures", what, "missing", str(error), "replace or remove what is named, and start again")
    return Need("pictures", what, "found", f"{count:,} of {count:,}, all decoded")


# --- weights ---


class Hub:
    """Files of a hub, by its own library: from the cache where they are there, else fetched.

    Args:
        asked: whether anything may be fetched.
    """

    def __init__(self, *, asked: bool = True) -> None:
        self.asked = asked and not is_offline_mode()
        """Once the hub did not answer, it is not asked again: each question waits for half a minute."""
        self.why_not = "HF_HUB_OFFLINE is set" if is_offline_mode() else "the hub was not asked"

    def file(self, repository: str, names: Sequence[str]) -> Path:
        """Return the first of some files that a repository has.

        Args:
            repository: its name, and behind an `@` a revision.
            names: of the files.

        Raises:
            WeightsError: It has none, or they can neither be fetched nor found in the cache.
        """
        name, _, revision = repository.partition("@")
        for file in names:
            try:
                return Path(hf_hub_download(name, file, revision=revision or None, local_files_only=not self.asked))
            except LocalEntryNotFoundError:
                if self.asked:
                    self.asked, self.why_not = False, "the hub does not answer"
            except EntryNotFoundError:
                continue
            except (OSError, ValueError) as error:  # no such repository, no access, no space
                raise WeightsError(f"{name}: {_first_line(error)}") from error
        reason = "the repository has none" if self.asked else f"none in the hub's cache here, and {self.why_not}"
        raise WeightsError(f"{name}: {' or '.join(names)}: {reason}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@dataclass(frozen=True)
class Part:
    """A pretrained part of models."""

    kind: Literal["text encoder", "pair of encoders", "backbone", "word vectors", "parser", "words with values"]
    name: str
    file: str | None = None
    """A backbone's weight file, in place of its hub's."""

    def __str__(self) -> str:
        return f"{self.kind} {self.file or self.name}"


def parts_of(run: Run) -> list[Part]:
    """Return the pretrained parts that a run starts from."""
    kind = model_class(run.name)
    config: Any = model_config(kind, run.settings.model, run.source.class_names)
    parts, pretrained = [], getattr(config, "pretrained", False)
    if pretrained and isinstance(config, PiecesConfig) and "text" in kind.modalities:
        parts.append(Part("text encoder", config.text_encoder))
    if pretrained and isinstance(config, ProbeConfig):
        parts.append(Part("pair of encoders", config.encoders))
    if pretrained and isinstance(config, PictureConfig) and "image" in kind.modalities:
        parts.append(Part("backbone", config.backbone, config.backbone_weights))
    if isinstance(config, WordsConfig) and config.word_vectors:
        parts.append(Part("word vectors", config.word_vectors))
    if isinstance(config, AomConfig):
        parts += [Part("parser", config.parser)] if config.parser else []
        parts += [Part("words with values", config.sentiment_words)] if config.sentiment_words else []
    return parts


def find_part(part: Part, hub: Hub) -> str:
    """Fetch a part, or find it on this machine; return where it comes from, with revision and checksum.

    Raises:
        WeightsError: It cannot be had.
        ConfigError: No such package is known.
    """
    named = part.file or part.name
    if named.startswith(PREFIX):
        setting = {"text encoder": "text_encoder", "backbone": "backbone_weights"}.get(part.kind, "word_vectors")
        packaged(setting, named)
        return f"package {named.removeprefix(PREFIX)}, SHA-256 {PACKAGES[named.removeprefix(PREFIX)].sha256}"
    if part.kind == "parser":
        Grammar(named)("one")
        return "installed"
    if part.kind in ("word vectors", "words with values") or part.file:
        return _said(_local(Path(named)))
    if Path(named).is_dir():
        return _said(_local(*(Path(named) / name for name in WEIGHT_FILES)))
    if part.kind == "backbone":
        return _of_hub(*_timm_files(named), hub)
    found = _of_hub(named, WEIGHT_FILES, hub)
    if hub.asked:
        pretrained_tokenizer(named)
        pretrained_text_config(named)
    else:
        hub.file(named, ["config.json"])
        hub.file(named, TOKENIZER_FILES)
    return found


def _local(*files: Path) -> Path:
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise WeightsError(f"{files[0]}: no such file")
    return found


def _timm_files(backbone: str) -> tuple[str, Sequence[str]]:
    """Return the repository of a backbone and the names that its weights may have there."""
    card: Any = timm.get_pretrained_cfg(backbone)
    if card is None or not card.hf_hub_id:
        raise WeightsError(f"timm knows no weights of {backbone} in a hub: name a file by backbone_weights")
    own = card.hf_hub_filename
    safe = [own.removesuffix(".bin") + ".safetensors"] if own and own.endswith(".bin") else []
    return card.hf_hub_id, [*safe, own] if own else WEIGHT_FILES


def _of_hub(repository: str, names: Sequence[str], hub: Hub) -> str:
    file = hub.file(repository, names)
    return f"{repository}, revision {file.parent.name}, {_said(file)}"


def _said(file: Path) -> str:
    return f"{file.name}, SHA-256 {file_digest(file)}"


def find_weights(runs: Iterable[tuple[str, Run]], hub: Hub) -> list[Need]:
    """Find or fetch the pretrained parts of runs, each once.

    Args:
        runs: with the titles of their rows.
        hub: of what lies in no package or folder.
    """
    whose: defaultdict[Part, dict[str, None]] = defaultdict(dict)
    for (title, _), run in _first_of(runs).items():
        for part in parts_of(run):
            whose[part][title] = None
    needs = []
    with quiet_libraries():
        for part, rows in whose.items():
            log.info("looking for %s", part)
            try:
                needs.append(Need("weights", str(part), "found", find_part(part, hub), rows=tuple(rows)))
            except FgmfnError as error:
                needs.append(Need("weights", str(part), "missing", str(error), _get(part, hub), tuple(rows)))
    return needs


def _get(part: Part, hub: Hub) -> str:
    named = part.file or part.name
    if named.startswith(PREFIX):
        return "pip install 'ytb-ads[light]'"
    if part.kind == "parser":
        return f"pip install 'ytb-ads[aom]' and python -m spacy download {named}, or parser = '' in [models.aom]"
    if part.kind in ("word vectors", "words with values") or part.file:
        return "name a file that is there in the configuration"
    card: Any = timm.get_pretrained_cfg(named) if part.kind == "backbone" else None
    repository = (card and card.hf_hub_id) or named
    setting = {"backbone": "backbone_weights", "pair of encoders": "encoders"}.get(part.kind, "text_encoder")
    first = "see what the hub answered" if hub.asked else "let this machine reach the hub once"
    return f"{first}; or run hf download {repository} elsewhere, and name what it gives by {setting}"


# --- memory, disk, device ---


@quiet_libraries()
def find_room(runs: Sequence[tuple[str, Run]], folder: Path) -> list[Need]:
    """Say whether memory and disk are enough for runs that are not finished, and which device trains them.

    Args:
        runs: with the titles of their rows.
        folder: of the runs.
    """
    machine = environment()
    processor = f"{machine['processor']}, {machine['threads']} of {machine['cores']} cores used; PyTorch finds no GPU"
    device = Need("device", machine["device"], "found", ", ".join(machine["devices"]) or processor)
    return [device, *_memory(runs), _disk(runs, folder)]


def _memory(runs: Sequence[tuple[str, Run]]) -> list[Need]:
    free, sizes = free_bytes(), {title: least_memory(run) for title, run in _first_of(runs).items()}
    large = tuple(dict.fromkeys(title for (title, _), needed in sizes.items() if needed > free))
    most = max(sizes.values(), default=0)
    said = f"{free / 1e9:.1f} GB free; the largest model takes {most / 1e9:.1f} GB before its first batch"
    if not large:
        return [Need("memory", "memory of the device", "found", said)]
    todo = "train those rows on a device with more, or free it"
    return [Need("memory", "memory of the device", "missing", said, todo, large)]


def _first_of(runs: Iterable[tuple[str, Run]]) -> dict[tuple[str, str], Run]:
    """One run of each row and its data."""
    first: dict[tuple[str, str], Run] = {}
    for title, run in runs:
        first.setdefault((title, run.source.name), run)
    return first


def _disk(runs: Sequence[tuple[str, Run]], folder: Path) -> Need:
    """Finished runs keep their weights; the one that is being trained has checkpoints beside."""
    sizes = {row: _weights_bytes(run) for row, run in _first_of(runs).items()}
    folders = {run.folder: (title, run.source.name) for title, run in runs}
    needed = sum(sizes[row] for row in folders.values())
    needed += WHILE_TRAINING * max(sizes.values(), default=0)
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    said = f"{free / 1e9:.1f} GB free; {len(folders)} runs that are not finished take about {needed / 1e9:.1f} GB"
    if needed <= free:
        return Need("disk", "disk of the runs", "found", said)
    return Need(
        "disk", "disk of the runs", "missing", said, "name another folder by --runs, fewer --seeds or parts by --only"
    )


def _weights_bytes(run: Run) -> int:
    kind = model_class(run.name)
    total, _ = size_of(kind, sized_config(kind, run.settings.model, run.source.class_names)) or (0, 0)
    return total * BYTES_HELD


# --- all of it ---


def find_all(runs: Iterable[tuple[str, Run]], folder: Path, *, fetch: bool) -> list[Need]:
    """Look for what runs need beside their data; finished ones need nothing.

    Args:
        runs: with the titles of their rows.
        folder: of the runs.
        fetch: weights that a hub has; otherwise they are looked for on this machine alone.
    """
    waiting = [(title, run) for title, run in runs if not _is_finished(run.folder)]
    return [*find_weights(waiting, Hub(asked=fetch)), *find_room(waiting, folder)]


def _is_finished(folder: Path) -> bool:
    """Return whether a run has its record; its files are checked when it is read."""
    file = folder / METRICS
    return file.is_file() and json.loads(file.read_text("utf-8")).get("finished") is not False


def lacking(needs: Sequence[Need]) -> Callable[[Run], str | None]:
    """Return what tells why a run need not be tried: a pretrained part of it is missing."""

    missing = {need.what: need.found for need in needs if need.kind == "weights" and need.state == "missing"}

    def why(run: Run) -> str | None:
        own = [f"{part} ({missing[str(part)]})" for part in parts_of(run) if str(part) in missing]
        return f"weights are missing: {'; '.join(own)}" if own else None

    return why
