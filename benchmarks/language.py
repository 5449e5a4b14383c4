"""Quality and speed of language identification: on samples of many languages, and on real comments.

`language_samples.tsv` holds comments written for this, a language and a text per line; its English ones are short and
full of names, so as to look foreign. Nobody has said of the real comments in which language they are: `--show` prints
those that are called foreign, for reading. Then the answers and the cost of every test.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.sentiment import read_comments
from data_catalog.printing import printable
from flows.sentiment import language
from flows.sentiment.language import LOOKED_AT, LanguageIdentifier

SAMPLES = Path(__file__).with_name("language_samples.tsv")
WANTED = 0.9
"""Share of the foreign samples to be found, at least."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ads"), help="folder of ID.info.json")
    parser.add_argument("--show", action="store_true", help="print the real comments that are called foreign")
    arguments = parser.parse_args()
    console = Console()
    before = peak_mb()
    identifier = LanguageIdentifier()
    identifier.languages(["esto no es un anuncio"])
    console.print(f"{identifier.name} {identifier.version}: {peak_mb() - before:.0f} MB for the model and its package")
    measure_samples(console, identifier)
    comments = read_comments(arguments.data)
    measure_comments(console, identifier, comments, show=arguments.show)
    measure_tests(console, identifier, comments)


def read_samples() -> list[tuple[str, str]]:
    """Languages and texts."""
    lines = SAMPLES.read_text("utf-8").splitlines()
    return [(code, text) for code, _, text in (line.partition("\t") for line in lines)]


def is_foreign(answer: str | None) -> bool:
    """True if a comment with this answer is left out of an ad in English."""
    return answer not in ("en", None)


def measure_samples(console: Console, identifier: LanguageIdentifier) -> None:
    """Of every language's samples, how many are called foreign, and how many get its very name."""
    samples = read_samples()
    answers = identifier.languages([text for _, text in samples])
    table = Table(title=f"{len(samples)} samples")
    for name in ("language", "samples", "called foreign", "called this"):
        table.add_column(name, justify="left" if name == "language" else "right")
    for code in sorted({code for code, _ in samples}):
        own = [answer for (sample, _), answer in zip(samples, answers, strict=True) if sample == code]
        table.add_row(code, str(len(own)), str(sum(map(is_foreign, own))), str(own.count(code)))
    console.print(table)
    foreign = [answer for (code, _), answer in zip(samples, answers, strict=True) if code != "en"]
    found = sum(map(is_foreign, foreign))
    console.print(f"foreign found: {found} of {len(foreign)}, {found / len(foreign):.1%}, wanted {WANTED:.0%}")


def measure_comments(
    console: Console, identifier: LanguageIdentifier, comments: Sequence[str], *, show: bool = False
) -> None:
    """Languages of the real comments."""
    answers = identifier.languages(comments)
    table = Table(title=f"{len(comments):,} real comments")
    for name in ("language", "comments", "share"):
        table.add_column(name, justify="left" if name == "language" else "right")
    for answer, count in Counter(answers).most_common():
        table.add_row(answer or "none", f"{count:,}", f"{count / len(comments):.2%}")
    console.print(table)
    if show:
        for answer, text in zip(answers, comments, strict=True):
            if is_foreign(answer):
                console.print(f"{answer}\t{escape(printable(text))}", soft_wrap=True, highlight=False)


def measure_tests(console: Console, identifier: LanguageIdentifier, comments: Sequence[str]) -> None:
    """Number of comments that every test answers, and its time for one."""
    rates = [len(comments) / seconds(identifier.languages, comments) for _ in range(5)]
    texts = [text[:LOOKED_AT] for text in comments]
    clean = [language._without_noise(text) for text in texts]
    tests: list[tuple[str, Sequence[object], int, float]] = [
        ("taking noise out", texts, 0, each_us(language._without_noise, texts))
    ]
    left = [text for text in clean if not language._is_plainly_english(text)]
    tests.append(("English words", clean, len(clean) - len(left), each_us(language._is_plainly_english, clean)))
    normal = [language._normal(text) for text in left]
    tests.append(("ordinary letters", left, 0, each_us(language._normal, left)))
    scripts = [text for text in normal if not text.isascii()]
    latin = [text for text in normal if text.isascii() or language._script(text) == "en"]
    tests.append(("script", scripts, len(left) - len(latin), each_us(language._script, scripts)))
    words = [language._words(text) for text in latin]
    asked = [one for one in words if len(one) >= language._FEWEST_WORDS]
    tests.append(("too few words", latin, len(latin) - len(asked), each_us(language._words, latin)))
    tests.append(("model", asked, len(asked), each_us(language._language_in_latin, asked)))
    table = Table(title=f"{max(rates):,.0f} comments/s")
    for name in ("test", "comments", "answers", "each", "of all time"):
        table.add_column(name, justify="left" if name == "test" else "right")
    total = sum(len(seen) * each for _, seen, _, each in tests)
    for name, seen, answered, each in tests:
        share = len(seen) * each / total
        table.add_row(name, f"{len(seen):,}", f"{answered:,}", f"{each:.1f} µs", f"{share:.0%}")
    console.print(table)


def seconds(work: Callable[[Any], object], on: object) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work(on)
    return time.perf_counter() - start


def each_us(work: Callable[[Any], object], items: Sequence[object]) -> float:
    """Microseconds for one of the items, in the best of five rounds."""
    rounds = [seconds(lambda all_: [work(item) for item in all_], items) for _ in range(5)]
    return min(rounds) / max(len(items), 1) * 1e6


def peak_mb() -> float:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
