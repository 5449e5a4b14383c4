"""What a release tells of the settings it was made with."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import SecretStr

from flows.release.flow import published
from flows.settings import OcrSettings, ReviewSettings, SentimentSettings, Settings


def test_a_release_names_no_path_of_the_machine_that_made_it() -> None:
    here = Path("/home/zoe/files")
    settings = Settings(
        ocr=OcrSettings(model_dir=here),
        sentiment=SentimentSettings(lexicon=here, jar=here / "SentiStrength.jar", java=f"{here}/java"),
    )
    told = published(settings)
    assert "zoe" not in json.dumps(told)
    assert told["sentiment"]["positive"] == 2.5


def test_a_release_names_neither_where_people_judge_nor_the_answers_of_gold_entries() -> None:
    review = ReviewSettings(
        store=SecretStr("postgresql://zoe:hunter2@db.zoe.example/votes"),
        page="https://ads.zoe.example",
        host="zoe.example",
        gold={"zoesgoldenad": "positive"},
    )
    told = published(Settings(review=review))
    assert "zoe" not in json.dumps(told)
    assert "hunter2" not in json.dumps(told) + repr(review)
    assert told["review"]["reviewers"] == 5
