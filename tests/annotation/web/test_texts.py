"""The pages' texts in other languages: none is missing, none says something else, and a German round is German."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from babel.messages.catalog import Message

from annotation.desks import Progress
from annotation.errors import RoundError
from annotation.events import Choice
from annotation.interchange.table_files import votes_table
from annotation.interchange.votes import judgements
from annotation.rounds import RoundOptions
from annotation.web.pages import own_guidelines
from annotation.web.reviewing import _progress as progress_text
from annotation.web.texts import LANGUAGES, extracted, read_catalog, script_texts, texts
from flows.settings import ReviewSettings
from tests.annotation.web.round_builders import SPLIT, body, discuss, entry_ids, vote
from tests.annotation.web.site_builder import make_site

OTHERS = [language for language in LANGUAGES if language != "en"]


def forms(text: object) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)  # type: ignore[arg-type]


def names(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)s", text))


def messages(language: str) -> list[Message]:
    return [message for message in read_catalog(language) if message.id]


def test_a_pace_under_a_second_is_said_in_the_rounds_language() -> None:
    assert progress_text(Progress(1, 1, 0.5), "de")["pace"] == "unter 1 s je Anzeige"


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
    assert said["positive"] == ["positiv"]
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
    stranger = site.client().get("/review").text
    assert "Sie sind nicht angemeldet" in stranger
    assert "Öffnen Sie Ihren persönlichen Einladungslink (noch einmal)" in stranger
    assert "Hier ist nichts" in client.get("/nothing").text
    site.store.rounds.close(1)
    assert '<html lang="de">' in client.get("/discussion").text, "a round that is over keeps its language"


def test_a_german_rounds_discussion_is_german_for_reviewers_and_english_for_the_verifier(tmp_path: Path) -> None:
    site = make_site(tmp_path, options=RoundOptions(language="de", least_look_ms=0))
    first, *_ = entry_ids(site)
    vote(site, first)
    discuss(site, first)
    reviewer, verifier = site.client("Reviewer 0"), site.client("Verifier")
    listed, thread = reviewer.get("/discussion").text, reviewer.get(f"/discussion/{first}").text
    for text in ("Alle sehen die Urteile", "Laufend", "bisherige Beiträge: 1", "der letzte von"):
        assert text in listed, text
    for text in ("Wo alle stehen", "Ihre Nachricht", "Bisherige Beiträge: 1", ">Prüfung</span>", "Sie sagen jetzt"):
        assert text in thread, text
    english = verifier.get(f"/discussion/{first}").text
    assert "Where everybody stands" in english
    assert "Wo alle" not in english
    refused = reviewer.post("/discussion/message", json=body(first, text=" "))
    assert refused.json()["text"] == "In der Nachricht steht noch nichts."
    assert not re.search(r"&lt;\w+", listed + thread), "markup that was escaped"


def test_choices_go_by_the_names_that_the_round_gives_them_on_every_page_and_nowhere_else(tmp_path: Path) -> None:
    names: tuple[tuple[Choice, str], ...] = (("positive", "appealing"), ("uncertain", "I <b>pass</b> 100 %"))
    site = make_site(tmp_path, options=RoundOptions(choice_names=names, least_look_ms=0))
    first, *_ = entry_ids(site)
    client = site.client("Reviewer 0")
    review = client.get("/review").text
    assert "</span>Appealing <kbd>1" in review
    assert "</span>Negative <kbd>2" in review
    assert "</span>I &lt;b&gt;pass&lt;/b&gt; 100 % <kbd>3" in review
    told = json.loads(re.search(r'id="texts">(.*?)</script>', review)[1])  # type: ignore[index]
    assert told == {"positive": ["appealing"], "uncertain": ["I <b>pass</b> 100 %"]}
    vote(site, first)
    assert ">appealing</option>" in client.get("/mine").text
    discuss(site, first)
    for person in ("Reviewer 0", "Verifier"):
        page = site.client(person).get(f"/discussion/{first}").text
        assert "</span> appealing</span>" in page
        assert "</span> positive</span>" not in page
    other = entry_ids(site)[1]
    vote(site, other)
    assert ">Appealing <kbd>1" in site.client("Verifier").get("/verify").text
    table = votes_table(judgements(site.store.events(1), site.store.rounds.entries(1), {}))
    assert set(table["choice"].to_pylist()) == set(SPLIT)


@pytest.mark.parametrize(
    "names",
    [
        (("positive", "negative"),),
        (("positive", "Good"), ("negative", "good ")),
        (("negative", " "),),
        (("loud", "x"),),
    ],
)
def test_two_choices_never_go_by_one_name(names: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(RoundError, match="choice_names"):
        RoundOptions(choice_names=names)  # type: ignore[arg-type]
