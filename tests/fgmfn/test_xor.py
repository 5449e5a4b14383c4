"""What only both modalities together can know is learned by FGMFN and by neither modality alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from fgmfn.training import train_models
from tests.fgmfn.releases import small_release, tiny_config


@pytest.mark.slow
def test_text_sign_xor_image_sign_needs_both_modalities(tmp_path: Path) -> None:
    release = small_release(tmp_path / "r", train=160, dev=40, test=60)
    config = tiny_config(tmp_path, epochs=14, learning_rate=2e-3)
    trained = train_models(release, config, tmp_path / "runs", ("fgmfn", "text_only", "image_only"), progress=False)
    accuracy = {one.model: one.test.accuracy for one in trained if one.test}
    assert accuracy["fgmfn"] >= 0.9
    assert accuracy["text_only"] <= 0.65
    assert accuracy["image_only"] <= 0.65
