"""The recipes in `deploy/` name programs, settings and files that there are; the image gets every requirement."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.commands.main import COMMANDS
from flows.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def unit(path: Path) -> configparser.RawConfigParser:
    """A systemd unit; a key may stand in it several times."""
    parsed = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parsed.optionxform = str  # type: ignore[assignment, method-assign]  # the documented way
    parsed.read(path, "utf-8")
    return parsed


def command_lines() -> Iterator[str]:
    """Everything that the recipes start."""
    yield from (service["command"] for service in COMPOSE["services"].values() if "command" in service)
    yield from (unit(path)["Service"]["ExecStart"].replace("%i", "cpu") for path in UNITS)


@pytest.mark.parametrize("line", [*command_lines()])
def test_every_command_line_is_one_that_there_is(line: str) -> None:
    program, *words = shlex.split(line)
    name = Path(program).name
    assert Path(program).parent in (Path(), Path("/opt/ytb-ads/bin"))
    if name == "ytb-ads":
        assert words[0] in COMMANDS
    else:
        assert name == "prefect"
        assert words[:2] in (["server", "start"], ["worker", "start"])


def test_every_setting_in_the_recipes_is_known() -> None:
    files = [DEPLOY / "compose.yaml", DEPLOY / ".env.example", DEPLOY / "Dockerfile", *UNITS]
    given = {name for file in files for name in re.findall(rf"\b{ENV_PREFIX}(\w+)", file.read_text("utf-8"))}
    assert given
    for name in given:
        section, key = name.lower().split("__")
        assert key in type(getattr(Settings(), section)).model_fields


def test_every_variable_of_the_compose_file_is_explained_in_the_example() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text("utf-8")))
    explained = set(re.findall(r"^#? ?(\w+)=", (DEPLOY / ".env.example").read_text("utf-8"), re.MULTILINE))
    assert asked <= explained


def test_services_wait_for_services_that_there_are_and_mount_files_that_there_are() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= services.keys()
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or source == "./config" or (DEPLOY / source).is_file()


def test_no_unit_runs_as_root_and_the_image_neither() -> None:
    assert all(unit(path)["Service"]["User"] == "ytb-ads" for path in UNITS)
    users = re.findall(r"^USER (\S+)", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert users[-1].isdigit()
    assert int(users[-1]) > 0


def test_the_image_gets_the_requirements_of_the_project_and_of_the_extras_that_are_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    def printed(extras: str) -> list[str]:
        script = [sys.executable, str(DEPLOY / "requirements.py"), extras]
        return subprocess.run(script, capture_output=True, text=True, check=True).stdout.splitlines()

    assert printed("") == project["dependencies"]
    assert printed("postgres,ray")[len(project["dependencies"]) :] == [
        *project["optional-dependencies"]["postgres"],
        *project["optional-dependencies"]["ray"],
    ]
    unknown = subprocess.run([sys.executable, str(DEPLOY / "requirements.py"), "pg"], capture_output=True, check=False)
    assert unknown.returncode == 1


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for path in [*UNITS, *(DEPLOY / "systemd").glob("*.timer")]:
        name = path.name.replace("@.", "@cpu.")
        text = re.sub(r"^ExecStart=\S+", f"ExecStart={program}", path.read_text("utf-8"), flags=re.MULTILINE)
        (tmp_path / name).write_text(text)
    units = [str(path) for path in tmp_path.iterdir() if path != program]
    done = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert done.stderr == ""
