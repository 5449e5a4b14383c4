"""The command line: what it refuses and how, what it prints for people and for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from flows.commands.main import COMMANDS, app, main
from flows.errors import SourceError
from flows.service.recovery import recovery
from tests.flows.conftest import Done, Run, call
from tests.servers import ask


def refused(*arguments: str | Path, server: str | None = None) -> str:
    """What a command that refuses prints to standard error."""
    done = call(*arguments, server=server)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    return done.stderr


def commands(command: Any = None, name: str = "") -> list[str]:
    """Every command of `ytb-ads` that runs something, with its group."""
    group: Any = command or typer.main.get_command(app)
    below = {sub: group.get_command(None, sub) for sub in group.list_commands(None)}
    return [
        path
        for sub, found in below.items()
        for path in (commands(found, f"{name}{sub} ") if hasattr(found, "list_commands") else [name + sub])
    ]


@pytest.mark.parametrize("command", commands())
def test_every_command_has_help_with_an_example(command: str) -> None:
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*command.split(), "--help"])
    assert shown.exit_code == 0
    assert "Example: " in shown.output
    assert f"ytb-ads {command}" in " ".join(shown.output.split())


def test_every_group_and_command_is_found_in_its_module() -> None:
    assert {command.split()[0] for command in commands()} == set(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("build", "--source", "folder:{empty}", "--catalog", "{new}"), ("no ads here", "ID.info.json")),
        (("build", "--source", "folder:{missing}", "--catalog", "{new}"), ("No such file", "ID.info.json")),
        (("build", "--source", "vimeo", "--catalog", "{new}"), ("expected folder:DIR or youtube",)),
        (("build", "--source", "folder:", "--catalog", "{new}"), ("expected folder:DIR or youtube",)),
        (("build", "--source", "s3:bucket", "--catalog", "{new}"), ("expected folder:DIR or youtube",)),
        (("build", "--source", "folder:{empty}", "--config", "{misspelt}"), ("'frames.count'",)),
        (("build", "--source", "folder:{ads}", "--catalog", "{misspelt}"), ("{misspelt}",)),
        (("train", "--catalog", "{new}", "--config", "tiny"), ("build one with",)),
    ],
)
def test_a_run_that_cannot_begin_says_why(
    arguments: tuple[str, ...], said: tuple[str, ...], tmp_path: Path, prefect_server: str
) -> None:
    places = {name: str(tmp_path / name) for name in ("empty", "missing", "new", "ads", "misspelt")}
    for folder in ("empty", "ads"):
        Path(places[folder]).mkdir()
    Path(places["ads"], "one.mp4").write_bytes(b"no video")
    Path(places["misspelt"]).write_text("[frames]\ncuont = 3\n")
    error = refused(*(word.format(**places) for word in arguments), server=prefect_server)
    assert all(part.format(**places) in error for part in said), error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "new" / "releases").exists()


def test_wrong_usage_ends_with_2() -> None:
    for arguments in (("build",), ("biuld",), ()):
        assert call(*arguments).returncode == 2


@pytest.mark.parametrize(
    "command", [("status",), ("catalog", "tables"), ("catalog", "sql", "SELECT 1"), ("annotate", "queue")]
)
def test_a_misspelt_catalog_does_not_pass_for_an_empty_one(command: tuple[str, ...], tmp_path: Path) -> None:
    error = refused(*command, "--catalog", tmp_path / "misspelt")
    assert "no catalog here" in error
    assert "ytb-ads build" in error


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9/api"
    error = refused("build", "--source", f"folder:{tmp_path}", "--catalog", tmp_path / "c", server=nowhere)
    assert error.startswith(f"error: PREFECT_API_URL names {nowhere}")
    assert nowhere in refused("deploy", server=nowhere)


def test_deploying_without_a_server_says_how_to_start_one() -> None:
    assert "prefect server start" in refused("deploy")


def test_a_refusal_from_a_strangers_text_cannot_move_the_cursor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise SourceError("[bold]\x1b[2Jgone")

    monkeypatch.setattr("flows.commands.main.app", refuse)
    with pytest.raises(SystemExit, match="1"):
        main([])
    assert capsys.readouterr().err == "error: [bold]\\x1b[2Jgone\n"


@pytest.mark.slow
def test_deploying_registers_the_rebuild_the_release_and_the_training(
    ytb_ads: Run, deployed_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YTB_ADS_SOURCE", "youtube")
    again: Done = ytb_ads("deploy")
    assert "made" not in again.stdout, "the work pools are there already"
    deployments = {deployment["name"]: deployment for deployment in ask(deployed_server, "deployments/filter", {})}
    assert deployments["weekly-rebuild"]["schedules"][0]["schedule"]["cron"] == "0 3 * * 1"
    assert deployments["daily-refresh"]["schedules"][0]["schedule"]["timezone"] == "America/Los_Angeles"
    assert deployments["train-on-gpu"]["work_pool_name"] == "gpu"
    for deployment in deployments.values():
        described = [each.get("description") for each in deployment["parameter_openapi_schema"]["properties"].values()]
        assert deployment["description"], deployment["name"]
        assert all(described), deployment["name"]
        queue = ask(deployed_server, f"work_queues/{deployment['work_queue_id']}")
        assert (queue["name"], queue["concurrency_limit"]) == (deployment["name"], 1)

    automations = ask(deployed_server, "automations/filter", {})
    started = {tuple(each["trigger"]["expect"]): each["actions"][0] for each in automations}
    of_deployments = {expect: action for expect, action in started.items() if action["type"] == "run-deployment"}
    assert {tuple(sorted(expect)): action["deployment_id"] for expect, action in of_deployments.items()} == {
        ("ytb-ads.review.closed",): deployments["after-review"]["id"],
        ("ytb-ads.release.untrained", "ytb-ads.release.written"): deployments["train-on-gpu"]["id"],
    }
    names = [each["name"] for each in automations]
    assert len(names) == len(set(names)), "registered again, there is one of each"
    assert {name for name in names if name.startswith("ytb-ads: ")} == {each.name for each in recovery([])}

    monkeypatch.setenv("YTB_ADS_SOURCE", "folder:ads")
    assert "daily-refresh: removed" in ytb_ads("deploy").stdout
    left = {deployment["name"] for deployment in ask(deployed_server, "deployments/filter", {})}
    assert left == deployments.keys() - {"daily-refresh"}
    monkeypatch.setenv("YTB_ADS_SOURCE", "yotube")
    assert "source 'yotube' is not known" in refused("deploy", server=deployed_server)
    monkeypatch.setenv("YTB_ADS_SOURCE", "youtube")
    assert "removed" not in ytb_ads("deploy").stdout
