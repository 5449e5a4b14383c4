"""`ytb-ads sentiment report` and `compare`: what the labels come to, and how two ways of scoring agree."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from data_catalog.printing import printable
from flows.commands.catalog import CatalogDir
from flows.console import AsJson, ConfigFile, err, out, print_tables
from flows.errors import SentimentError

if TYPE_CHECKING:
    from flows.sentiment.compare import Agreement, Comparison, Difference, Said
    from flows.sentiment.engines import SentimentEngine
    from flows.sentiment.report import SentimentReport
    from flows.settings import SentimentSettings

SHOWN = 160
"""Characters of a text that are shown beside its strengths."""


def report(
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    png: Annotated[
        Path, typer.Option("--png", metavar="FILE", help="Picture of the distribution of the ads' means.")
    ] = Path("sentiment.png"),
    as_json: AsJson = False,
) -> None:
    """Show what the ads' labels come to under every aggregation and threshold, and draw the means.

    Nothing is scored and nothing in the catalog changes: thresholds can be tried here before a build uses them.
    """
    from data_catalog.catalog import Catalog
    from data_catalog.inspect import require_catalog
    from flows.sentiment.report import draw_distribution, read_report
    from flows.settings import load_settings

    opened = Catalog(catalog)
    require_catalog(opened)
    found = read_report(opened, load_settings(config).sentiment)
    draw_distribution(found, png)
    if as_json:
        out.print_json(json.dumps({**found.as_json(), "png": str(png)}))
        return
    _print_report(found)
    out.print(f"picture: {escape(str(png))}", highlight=False, soft_wrap=True)
    for warning in found.warnings():
        err.print(f"[yellow]warning:[/yellow] {escape(warning)}", highlight=False, soft_wrap=True)


def compare(
    catalog: CatalogDir = "./catalog",
    texts: Annotated[
        Path | None,
        typer.Option("--texts", metavar="FILE", help="A text a line instead of the catalog's comments; - is stdin."),
    ] = None,
    config: ConfigFile = None,
    lexicon: Annotated[
        Path | None, typer.Option("--lexicon", metavar="DIR", help="Word lists of both engines.")
    ] = None,
    jar: Annotated[Path | None, typer.Option("--jar", metavar="FILE", help="The original's SentiStrength.jar.")] = None,
    java: Annotated[str | None, typer.Option("--java", metavar="CMD", help="Command that starts Java.")] = None,
    with_lexicon: Annotated[
        Path | None,
        typer.Option("--with-lexicon", metavar="DIR", help="Compare with these word lists instead of with Java."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score the same comments with `native` and with the original, `java`, and show every difference.

    With --with-lexicon: with `native` over two folders of word lists. What is not given is as [sentiment] of the
    settings says. Emoji count in neither, unless only word lists are compared.
    """
    from flows.sentiment.compare import Comparison
    from flows.sentiment.compare import compare as compare_scores
    from flows.settings import load_settings

    settings = load_settings(config).sentiment
    given = {"lexicon": lexicon, "jar": jar, "java": java}
    settings = settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    comparison = Comparison()
    pair = _engines(settings, with_lexicon)
    differences: list[Difference] = []
    for difference in compare_scores(_texts(catalog, texts), *pair, comparison):
        if as_json:
            differences.append(difference)
        else:
            out.print(_line(difference), markup=False, highlight=False, soft_wrap=True)
    _print_comparison(comparison, differences, settings, as_json)


def _print_report(report: SentimentReport) -> None:
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in report.left_out.items() if count) or "none"
    for line in (
        f"{report.n_ads:,} ads"
        + (f"; {report.n_unread:,} more whose comments are not read to the end" if report.n_unread else ""),
        f"{report.n_comments:,} comments: {report.n_scored:,} count, {report.n_neutral:,} of them neutral",
        f"left out: {left_out}",
        f"labels that hang on a few comments: {report.n_uncertain:,} of {report.n_labelled:,}",
    ):
        out.print(line, highlight=False)
    print_tables(report.yields.as_table())


def _engines(settings: SentimentSettings, with_lexicon: Path | None) -> tuple[SentimentEngine, SentimentEngine]:
    from flows.sentiment.engines import make_engine

    if with_lexicon is not None:
        one = make_engine("native", lexicon=settings.lexicon, emoji=settings.emoji)
        return one, make_engine("native", lexicon=with_lexicon, emoji=settings.emoji)
    java = make_engine("java", lexicon=settings.lexicon, jar=settings.jar, java=settings.java)
    return make_engine("native", lexicon=settings.lexicon, emoji=False), java


def _texts(catalog: str, texts: Path | None) -> Iterator[Said]:
    from flows.sentiment.compare import Said

    if texts is None:
        from data_catalog.catalog import Catalog
        from data_catalog.inspect import require_catalog

        opened = Catalog(catalog)
        require_catalog(opened)
        dataset = opened.snapshot("comments").dataset
        for batch in dataset.to_batches(columns=["text", "video_id"]):
            pairs = zip(batch["text"].to_pylist(), batch["video_id"].to_pylist(), strict=True)
            yield from (Said(str(text), str(video_id)) for text, video_id in pairs)
        return
    try:
        with sys.stdin if str(texts) == "-" else texts.open(encoding="utf-8", errors="replace", newline="\n") as lines:
            yield from (Said(line.rstrip("\r\n")) for line in lines)
    except OSError as error:
        raise SentimentError(f"{texts}: {error.strerror}; --texts names a file with one text a line") from error


def _line(difference: Difference) -> str:
    from flows.sentiment.sentistrength import Strength

    answers = (
        f"{answer.positive} {answer.negative}" if isinstance(answer, Strength) else f"({answer.reason})"
        for answer in (difference.one, difference.other)
    )
    text = printable(difference.said.text)
    return "\t".join([*answers, text if len(text) <= SHOWN else text[:SHOWN] + " …"])


def _print_comparison(
    comparison: Comparison, differences: list[Difference], settings: SentimentSettings, as_json: bool
) -> None:
    from flows.sentiment.labelling import Thresholds

    thresholds = Thresholds(positive=settings.positive, negative=settings.negative)
    if as_json:
        told = [
            {
                "text": difference.said.text,
                "video_id": difference.said.video_id,
                "one": _told(difference.one),
                "other": _told(difference.other),
            }
            for difference in differences
        ]
        out.print_json(json.dumps({**comparison.as_json(thresholds), "differences": told}))
        return
    out.print(f"{comparison.n_equal:,} of {comparison.n_texts:,} texts have the same strengths", highlight=False)
    if comparison.n_unscored:
        out.print(f"{comparison.n_unscored:,} more could not be scored", highlight=False)
    ads, labels = comparison.ads(thresholds)
    table = Table("", "equal", "within one", "Pearson", "Spearman", "second less first", box=box.SIMPLE_HEAD)
    for name, agreement in comparison.agreements().items():
        table.add_row(name, *_cells(agreement))
    if ads is not None:
        table.add_row(f"dominant mean of {len(comparison.by_ad):,} ads", *_cells(ads))
    if comparison.n_texts:
        print_tables(table)
    if labels:
        print_tables(_label_table(labels))


def _told(answer: object) -> object:
    return answer._asdict() if hasattr(answer, "_asdict") else vars(answer)


def _cells(agreement: Agreement) -> list[str]:
    correlations = ("-" if r is None else f"{r:.3f}" for r in (agreement.pearson, agreement.spearman))
    return [f"{agreement.equal:.1%}", f"{agreement.within_one:.1%}", *correlations, f"{agreement.bias:+.3f}"]


def _label_table(labels: Counter[tuple[str, str]]) -> Table:
    names = ("positive", "negative", "none")
    table = Table("first, across: second", *names, title="labels of the ads", title_justify="left", box=box.SIMPLE_HEAD)
    for one in names:
        table.add_row(one, *(f"{labels[one, other]:,}" for other in names))
    return table
