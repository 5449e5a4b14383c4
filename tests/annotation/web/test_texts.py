"""The pages' texts in other languages: none is missing, none says something else, and a German round is German."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from babel.messages.catalog import Message

from annotation.rounds import RoundOptions
from annotation.web.pages import own_guidelines
from annotation.web.texts import LANGUAGES, extracted, read_catalog, script_texts, texts
from flows.settings import ReviewSettings
from tests.annotation.web.round_builders import body, entry_ids
from tests.annotation.web.site_builder import make_site

OTHERS = [language for language in LANGUAGES if language != "en"]


def forms(text: object) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)  # type: ignore[arg-type]


def names(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)s", text))


def messages(language: str) -> list[Message]:
    return [message for message in read_catalog(language) if message.id]


def test_there_is_a_second_language_and_the_settings_know_all_of_them() -> None:
    assert LANGUAGES == ("en", "de")
    assert set(LANGUAGES) == set(ReviewSettings.model_fields["language"].annotation.__args__)


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_of_the_pages_is_translated_and_no_other(language: str) -> None:
    held = {message.id for message in extracted() if message.id}
    assert {message.id for message in messages(language)} == held, "run: python -m annotation.web.texts"
    for message in messages(language):
        said = forms(message.string)
        assert all(said), message.id
        assert len(said) == (read_catalog(language).num_plurals if message.pluralizable else 1), message.id
        for form in said:
            assert names(form) == names(forms(message.id)[-1]), message.id


def test_texts_of_scripts_are_json_that_cannot_end_its_element() -> None:
    said = json.loads(script_texts("de"))
    assert said["Positive"] == ["Positiv"]
    assert len(said["%(n)s ad is being discussed."]) == 2
    assert "<" not in script_texts("de")
    assert json.loads(script_texts("en")) == {}


def test_an_unknown_text_stands_for_itself() -> None:
    assert texts("de").gettext("Is it 100 % loud?") == "Is it 100 % loud?"
    assert own_guidelines("fr") == own_guidelines("en") != own_guidelines("de")


def test_the_pages_of_a_german_round_are_german_for_reviewers(tmp_path: Path) -> None:
    site = make_site(tmp_path, options=RoundOptions(language="de", least_look_ms=0))
    client = site.client("Reviewer 0")
    page = client.get("/review").text
    assert '<html lang="de">' in page
    for text in (
        "Wie wirkt die Anzeige?",
        "Positiv",
        "So beurteilen Sie eine Anzeige",
        "3 Kommentare",
        "Meine Urteile",
    ):
        assert text in page, text
    first, second, _ = entry_ids(site)
    saved = client.post("/review/vote", json=body(first, choice="positive")).json()
    assert "je Anzeige" in saved["progress"]["pace"]
    mine = client.get("/mine").text
    assert "positiv" in mine
    assert "1 Anzeige<" in re.sub(r"\s+", " ", mine)
    refused = client.post("/mine/note", json=body(second, note="x"))
    assert refused.json()["text"] == "Diese Anzeige nimmt keine Notiz mehr an; sie wurde nicht gespeichert."
    assert "Willkommen" in site.client().get("/join").text
    assert '<html lang="en">' in site.client("Verifier").get("/verify").text
