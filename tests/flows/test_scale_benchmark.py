"""The benchmark of large catalogs: it makes a whole catalog, and says and ends with 1 where a limit is exceeded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.scale import Cost, Limit
from data_catalog.catalog import Catalog
from flows.settings import Settings
from flows.stages import STAGES

ADS = 20


def test_the_catalog_that_is_measured_is_whole_and_up_to_date(tmp_path: Path) -> None:
    scale.make(tmp_path, ADS)
    catalog = Catalog(tmp_path / "catalog")
    counts = {
        table: catalog.count(table) for table in ("ads", "frames", "texts", "looks", "comments", "comment_scores")
    }
    assert counts == {
        "ads": ADS,
        "frames": 5 * ADS,
        "texts": 5 * ADS,
        "looks": ADS,
        "comments": 200 * ADS,
        "comment_scores": 200 * ADS,
    }
    for stage in STAGES:
        if stage.upstream:
            made = stage.fingerprint(Settings())
            left = catalog.pending(stage.table, upstream=stage.upstream, stage=stage.name, fingerprint=made, size=1)
            assert left.rows == 0, stage.name
    pictures = catalog.values("frames", "image_sha256")
    assert len(set(pictures)) == len(pictures)

    costs = list(scale.look(tmp_path / "catalog", ADS, ["status"]))
    assert [cost.name for cost in costs] == ["status"]
    assert 0.2 < costs[0].cpu_s < 60


@pytest.mark.parametrize(
    ("cpu_s", "peak_mb", "verdict"), [(9.0, 500.0, "kept"), (11.0, 500.0, "exceeded"), (9.0, 700.0, "exceeded")]
)
def test_what_exceeds_a_limit_is_said_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cpu_s: float, peak_mb: float, verdict: str
) -> None:
    def measured(folder: Path, ads: int) -> Iterator[Cost]:
        yield Cost(ads, "build", cpu_s if ads == 40 else 3.0, peak_mb if ads == 40 else 250.0, Limit(10.0, 600.0))
        yield Cost(ads, "without a limit", 99.0, 9_999.0)

    monkeypatch.setattr(scale, "measure", measured)
    monkeypatch.setattr(sys, "argv", ["scale", "--ads", "20", "40"])
    assert scale.main() == (verdict == "exceeded")
    [line] = [line for line in capsys.readouterr().out.splitlines() if "600 MB" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")] == [
        "build",
        "3.0 s, 250 MB",
        f"{cpu_s:.1f} s, {peak_mb:,.0f} MB",
        f"{cpu_s / 3:.1f} x, {peak_mb / 250:.1f} x",
        "10 s, 600 MB",
        verdict,
    ]
    monkeypatch.setattr(sys, "argv", ["scale", "--ads", "20", "40", "--json"])
    scale.main()
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["ads"], one["kept"]) for one in told if one["limit"]] == [(20, True), (40, verdict == "kept")]


def test_a_command_that_fails_is_no_measurement(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exception, match="returned non-zero exit status 3"):
        scale.run("fails", 1, [sys.executable, "-c", "import sys; print('why'); sys.exit(3)"])
    assert "why" in capfd.readouterr().err


def test_the_cost_of_a_tree_has_the_orphans_in_it(tmp_path: Path) -> None:
    work = 'import time\nwhile time.process_time() < 0.5: pass\nopen("done", "w")\ntime.sleep(60)'
    burn = f"'{sys.executable}' -c '{work}' &"
    lines = [
        "import os, subprocess, sys, time",
        "from benchmarks.processes import TreeCost",
        "with TreeCost() as cost:",
        "    subprocess.run(['sh', '-c', sys.argv[1]], check=True)",
        "    while not os.path.exists('done'): time.sleep(0.1)",
        "    time.sleep(1)",
        "print(cost.cpu_s, cost.peak_mb)",
    ]
    command = [sys.executable, "-c", "\n".join(lines), burn]
    path = {**os.environ, "PYTHONPATH": str(Path(scale.__file__).parents[1])}
    measured = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=path)
    cpu_s, peak_mb = map(float, measured.stdout.split())
    assert 0.4 < cpu_s < 3
    assert 3 < peak_mb < 100
