"""The short form of `tests/drills/soak.py`: two weeks of the service, its clock moved from one run to the next."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.drills.clock import can_move_clocks
from tests.drills.soak import short, soaking

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.skipif(not can_move_clocks(), reason="a C compiler on Linux is needed to move the clock of processes")
def test_two_weeks_with_a_kill_a_spent_quota_and_a_new_ad_end_with_every_ad_and_nothing_left_running(
    sample: Path, prefect_tables: Path, tmp_path: Path
) -> None:
    shutil.copytree(prefect_tables.parent, tmp_path / "server", ignore=shutil.ignore_patterns("*.log"))
    with soaking(tmp_path, "sqlite", ads=12, held_back=1, units_per_day=50, source=sample) as soak:
        short(soak)
