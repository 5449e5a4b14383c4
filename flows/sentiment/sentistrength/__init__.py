"""SentiStrength in Python: any folder of its word lists, the original's answers, and the reasons for them.

    >>> scorer = Scorer.of(Path("lists"))
    >>> scorer.score("I loooove this ad!")
    Strength(positive=5, negative=-1)
    >>> explain(scorer, "not very good").sentences

`score_all` scores a stream. The scoring is Thelwall et al.'s (2010, 2012), written from a description of it.
"""

from flows.sentiment.sentistrength.lexicon import Lexicon, LexiconError
from flows.sentiment.sentistrength.reading import AS_ORIGINAL, Reading
from flows.sentiment.sentistrength.reasons import Explanation, explain
from flows.sentiment.sentistrength.scorer import NEUTRAL, Scorer, Strength

__all__ = [
    "AS_ORIGINAL",
    "NEUTRAL",
    "Explanation",
    "Lexicon",
    "LexiconError",
    "Reading",
    "Scorer",
    "Strength",
    "explain",
]
