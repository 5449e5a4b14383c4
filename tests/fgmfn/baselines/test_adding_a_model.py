"""The guide's fourteenth model, taken from the guide itself: one file and one line are enough to train it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from fgmfn.baselines import MODELS
from fgmfn.baselines import __file__ as registry
from fgmfn.data import open_source
from fgmfn.inference import load_checkpoint
from fgmfn.scoring import evaluate_split
from fgmfn.sizes import full_size
from fgmfn.training import train_models
from tests.fgmfn import models
from tests.fgmfn.baselines.test_learning import config_of
from tests.fgmfn.releases import small_release

GUIDE = Path(__file__).parents[3] / "docs" / "adding-a-model.md"


def test_the_guides_model_is_trained_scored_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, line, settings = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "bag_of_words.py").write_text(file, encoding="utf-8")
    monkeypatch.setattr("fgmfn.baselines.__path__", [str(Path(registry).parent), str(tmp_path)])
    monkeypatch.delitem(sys.modules, "fgmfn.baselines.bag_of_words", raising=False)
    names = vars(sys.modules["fgmfn.baselines"])
    for table, row, known in ((MODELS, line, names), (models.TINY, settings, vars(models))):
        for name, value in eval(f"{{{row}}}", dict(known)).items():  # noqa: S307  our own guide
            monkeypatch.setitem(table, name, value)
    assert full_size("bag_of_words") == models.TINY["bag_of_words"].full_size
    release = small_release(tmp_path / "r")
    config = config_of("bag_of_words", tmp_path, epochs=1)
    (one,) = train_models(release, config, tmp_path / "runs", ("bag_of_words",), from_scratch=True, progress=False)
    assert evaluate_split(load_checkpoint(one.checkpoint), open_source(release), "test", progress=False) == one.test
