"""README, changelog and citation say what holds: their links lead somewhere, and they name one version."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from fgmfn.commands.main import app as fgmfn
from flows.commands.main import app as ytb_ads

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def test_changelog_and_citation_name_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    changelog = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    citation = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)
    assert changelog[0] == version
    assert citation
    assert citation[1] == version


def test_readme_is_short_enough_to_be_read() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 250


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    local = [target for target in targets if not target.startswith(("http://", "https://"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_that_a_page_shows_exist_with_their_options(page: Path) -> None:
    unknown = [said for said in _commands_shown(page.read_text("utf-8")) if not _exists(said)]
    assert unknown == []


def _commands_shown(text: str) -> Iterator[list[str]]:
    """Words of every line of a shell block that calls one of our commands, up to its comment or the next command."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in re.findall(r"\b((?:ytb-ads|fgmfn) [^#|&;<>\n]*)", block.replace("\\\n", " ")):
            yield line.split()


def _exists(said: list[str]) -> bool:
    name, *words = said
    command: Any = typer.main.get_command(ytb_ads if name == "ytb-ads" else fgmfn)
    context = click.Context(command)
    while words and hasattr(command, "get_command"):
        if words[0].startswith("--"):
            break
        command = command.get_command(context, words.pop(0))
        if command is None:
            return False
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.partition("=")[0] for word in words if re.fullmatch(r"--[a-z][a-z-]*(=.*)?", word)}
    return given <= options | {"--help"}
