"""The folder of a Space: its function answers, and where Gradio is installed its page starts and calls nobody."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flows.errors import VerdictError
from tests.flows.conftest import PATHS, ROOT
from tests.flows.verdict.conftest import DAMAGED, FULL, video_of
from tests.tracing import can_trace, left_the_machine, traced

SPACE = ROOT / "deploy" / "space"


@pytest.fixture
def space(one_frame: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module of its app, where the settings are those of one frame."""
    (tmp_path / "ytb_ads.toml").write_bytes(one_frame.read_bytes())
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    spec = importlib.util.spec_from_file_location("space_app", SPACE / "app.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    yield module
    os.environ.clear()
    os.environ.update(before)


def test_its_function_answers_for_a_video_and_says_why_it_does_not(
    space: ModuleType, models: Path, sample: Path
) -> None:
    from fgmfn.inference import Predictor

    predictor: Any = Predictor.open(models / "models" / "2026.11.02" / "fgmfn-0")
    probabilities, frames = space.verdict(predictor, str(video_of(sample, FULL)))
    assert sum(probabilities.values()) == pytest.approx(1)
    assert [len(text.split()) > 5 for _, text in frames] == [True]
    with pytest.raises(VerdictError, match="unreadable_video"):
        space.verdict(predictor, str(video_of(sample, DAMAGED)))


def test_its_page_starts_and_calls_nobody(models: Path, tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="Gradio takes no Pillow 13: deploy/space/requirements.txt says what does")
    if not can_trace():
        pytest.skip("strace is not there, or may not trace")
    folder = models / "models" / "2026.11.02" / "fgmfn-0"
    variables = {"MODEL": str(folder), "PYTHONPATH": os.pathsep.join([PATHS, *sys.path])}
    command = [*traced(tmp_path / "calls"), sys.executable, "-u", str(SPACE / "app.py")]
    environment = {**os.environ, **variables}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True) as page:
        try:
            assert page.stdout
            address = next(line for line in page.stdout if "http://" in line).split()[-1]
            with urllib.request.urlopen(address, timeout=30) as answer:
                assert answer.status == 200
        finally:
            os.killpg(page.pid, 15)
    assert left_the_machine(tmp_path / "calls") == []
