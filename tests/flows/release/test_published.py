"""What a release tells of the settings it was made with."""

from __future__ import annotations

import json
from pathlib import Path

from flows.release.flow import published
from flows.settings import OcrSettings, SentimentSettings, Settings


def test_a_release_names_no_path_of_the_machine_that_made_it() -> None:
    here = Path("/home/zoe/files")
    settings = Settings(
        ocr=OcrSettings(model_dir=here),
        sentiment=SentimentSettings(lexicon=here, jar=here / "SentiStrength.jar", java=f"{here}/java"),
    )
    told = published(settings)
    assert "zoe" not in json.dumps(told)
    assert told["sentiment"]["positive"] == 2.5
