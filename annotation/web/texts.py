"""Texts of the reviewers' pages in the languages that a round can have, by gettext.

The texts in templates and scripts are English and stand for themselves; `locale/LANGUAGE.po` has them in another
language. `python -m annotation.web.texts` brings the files up to date with the pages.
"""

from __future__ import annotations

import io
import json
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from markupsafe import Markup

FOLDER = Path(__file__).parent
LOCALE = FOLDER.parent / "locale"
LANGUAGES = ("en", *sorted(path.stem for path in LOCALE.glob("*.po")))
"""Languages that a round can have."""

_METHODS = [("**.html", "jinja2.ext:babel_extract"), ("**.js", "javascript"), ("**.py", "python")]
_OPTIONS = {"**.html": {"trimmed": "true", "silent": "false", "newstyle_gettext": "true"}}
_MARKS = {"_": None, "gettext": None, "to_translate": None, "ngettext": (1, 2), "many": (1, 2)}


Names = tuple[tuple[str, str], ...]
"""Display names of a round's choices, if they differ from the original names; as `RoundOptions.choice_names`."""


def to_translate(text: str) -> str:
    """The text itself; marks one that is translated where it is shown."""
    return text


NAMED_ELSEWHERE = (
    to_translate("How does the ad come across?"),
    to_translate("positive"),
    to_translate("negative"),
    to_translate("uncertain"),
    to_translate("This invitation is not valid (any more); ask whoever invited you for a new link."),
    to_translate("This ad is not being discussed."),
    to_translate("This attempt is over; load the page again."),
    to_translate("This example is not in the training (any more)."),
    to_translate("A note stands beside a judgement, and this ad has none of yours."),
)
"""Texts that the pages show and that stand outside of this folder."""


class _Named(NullTranslations):
    """A round's own names before a language's."""

    def __init__(self, names: Names, rest: NullTranslations) -> None:
        super().__init__()
        self._names = dict(names)
        self.add_fallback(rest)

    def gettext(self, message: str) -> str:
        return self._names.get(message) or super().gettext(message)


@lru_cache
def texts(language: str, names: Names = ()) -> NullTranslations:
    """The texts of a language; English ones stand for themselves.

    Args:
        language: one of `LANGUAGES`.
        names: what a round calls the choices.
    """
    if names:
        return _Named(names, texts(language))
    if language == "en":
        return NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, read_catalog(language))
    compiled.seek(0)
    return GNUTranslations(compiled)


@lru_cache
def script_texts(language: str, names: Names = ()) -> Markup:
    """The texts that the pages' scripts say, as JSON that can stand in a page: by the English one, its forms."""
    found: dict[str, list[str]] = {}
    for message in read_catalog(language) if language != "en" else ():
        if message.id and any(str(path).endswith(".js") for path, _ in message.locations):
            key, said = (message.id, message.string) if isinstance(message.id, str) else (message.id[0], message.string)
            found[key] = [said] if isinstance(said, str) else list(said or ())
    found |= {choice: [name] for choice, name in names}
    return Markup(json.dumps(found, ensure_ascii=True).replace("<", "\\u003c"))  # noqa: S704 - the program's own texts


def read_catalog(language: str) -> Catalog:
    """A language's file."""
    with (LOCALE / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def extracted() -> Catalog:
    """The texts that pages and scripts hold now."""
    catalog = Catalog()
    for path, line, text, _comments, context in extract_from_dir(
        str(FOLDER), method_map=_METHODS, options_map=_OPTIONS, keywords=_MARKS
    ):
        catalog.add(text, None, [(path, line)], context=context)
    return catalog


def update() -> None:
    """Bring every language's file up to date with the pages; new texts are there to be translated."""
    for language in LANGUAGES[1:]:
        catalog = read_catalog(language)
        catalog.update(extracted(), no_fuzzy_matching=True)
        catalog.obsolete.clear()
        with (LOCALE / f"{language}.po").open("wb") as file:
            write_po(file, catalog, include_lineno=False, sort_output=True, omit_header=True, width=120)


if __name__ == "__main__":
    update()
