"""What only both modalities together can know is learned by FGMFN and by neither modality alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from fgmfn.data import open_release
from fgmfn.planning import plan_run
from fgmfn.training import train_models
from tests.fgmfn.models import learn
from tests.fgmfn.releases import small_release, tiny_config


@pytest.mark.slow
def test_text_sign_xor_image_sign_needs_both_modalities(tmp_path: Path) -> None:
    release = small_release(tmp_path / "r", train=128, dev=40, test=60)
    config = tiny_config(tmp_path, epochs=20, learning_rate=1e-3)
    assert learn(plan_run("fgmfn", open_release(release), config, tmp_path / "runs"), 0.9) >= 0.9
    as_long = tiny_config(tmp_path, epochs=12, learning_rate=1e-3)  # as FGMFN needs
    alone = train_models(release, as_long, tmp_path / "runs", ("text_only", "image_only"), progress=False)
    assert [one.model for one in alone if one.test and one.test.accuracy > 0.65] == []
