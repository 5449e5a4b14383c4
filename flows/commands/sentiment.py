"""`ytb-ads sentiment ...`: score texts, explain scores, report labels, and compare two ways of scoring."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

import typer
from rich import box
from rich.table import Table

from data_catalog.printing import printable
from flows.console import AsJson, CatalogDir, ConfigFile, out, print_json, print_tables, say, warn
from flows.errors import SentimentError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from flows.sentiment.compare import Agreement, Comparison, Difference, Said
    from flows.sentiment.engines import SentimentEngine
    from flows.sentiment.report import SentimentReport
    from flows.sentiment.stream import Answered, LineReader
    from flows.settings import SentimentSettings

SHOWN = 160
"""Characters of a text that are shown beside its strengths."""
STDIN, STDOUT = 0, 1

app = typer.Typer()
sentiment_app = typer.Typer(
    name="sentiment",
    no_args_is_help=True,
    help="Score texts as SentiStrength does, and explain the scores.",
    epilog="Example: ytb-ads sentiment score < comments.txt",
)
app.add_typer(sentiment_app)

LexiconDir = Annotated[
    Path | None,
    typer.Option("--lexicon", metavar="DIR", help="Folder of word lists in SentiStrength's format."),
]
CountEmoji = Annotated[
    bool | None,
    typer.Option("--emoji/--no-emoji", help="Count emoji, which the original does not.", show_default=False),
]


@sentiment_app.command(epilog="Example: echo 'I loooove this ad!' | ytb-ads sentiment score --json")
def score(
    lexicon: LexiconDir = None,
    engine: Annotated[
        Literal["native", "java"] | None,
        typer.Option(help="native: the scoring in Python; java: the original program.", show_default=False),
    ] = None,
    emoji: CountEmoji = None,
    jar: Annotated[
        Path | None, typer.Option(metavar="FILE", help="SentiStrength.jar, for the engine java.", show_default=False)
    ] = None,
    java: Annotated[
        str | None, typer.Option(metavar="CMD", help="Command that starts Java.", show_default=False)
    ] = None,
    config: ConfigFile = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, metavar="N", help="Processes that score.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help='Lines of {"positive": 3, "negative": -1} instead of 3<TAB>-1.')
    ] = False,
) -> None:
    """Read a text from every line of standard input; write its positive 1..5 and negative -1..-5, separated by a tab.

    Answers are written at once and in the order of the lines. A text that cannot
    be scored, which happens only with the engine java, has the line
    error<TAB>reason, and the command then exits with 1. Options that you do not
    give have the values of the section sentiment of the settings.
    """
    from flows.sentiment.engines import make_engine
    from flows.sentiment.stream import Answerer, LineReader, answer_by_processes

    chosen = _settings(config, lexicon=lexicon, engine=engine, emoji=emoji, jar=jar, java=java)
    answer = Answerer(make_engine(chosen), as_json=as_json)
    reader = LineReader(_open(sys.stdin, "standard input", STDIN))
    n_unscored = _write(answer_by_processes(reader, answer, jobs) if jobs > 1 else map(answer, reader), reader)
    if n_unscored:
        raise SentimentError(f"lines that could not be scored: {n_unscored:,}; each says why in its place")


@sentiment_app.command(
    epilog="Example: ytb-ads sentiment explain 'not very good', or: ytb-ads sentiment explain --ad dQw4w9WgXcQ"
)
def explain(
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The text; - reads it from standard input.")
    ] = None,
    ad: Annotated[str | None, typer.Option(metavar="VIDEO_ID", help="Explain this ad's comments instead.")] = None,
    catalog: CatalogDir = "./catalog",
    limit: Annotated[int, typer.Option(min=0, help="Maximum number of comments, the strongest first.")] = 20,
    lexicon: LexiconDir = None,
    emoji: CountEmoji = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show how each word contributes to a text's strengths, or which comments and words led to an ad's label.

    Scores count from 0: a word that is listed as 3 scores +2.
    Write -- before a text that begins with a dash.
    """
    from flows.sentiment.engines import scorer, with_installed

    if (text is None) == (ad is None):
        raise typer.BadParameter("give either a text or --ad VIDEO_ID")
    settings = _settings(config, lexicon=lexicon, emoji=emoji)
    if settings.engine == "java":
        settings = with_installed(settings).model_copy(update={"emoji": bool(emoji)})  # it counts none
        said = "the engine java gives no reasons; explained by native with the same word lists"
        warn(said)
    explaining = scorer(settings)
    if ad is not None:
        from data_catalog.catalog import Catalog
        from flows.sentiment.explain import explain_ad, render_ad

        _print(explain_ad(Catalog(catalog), ad, explaining, settings, limit=limit), render_ad, as_json)
    elif text is not None:
        from flows.sentiment.explain import explain_text, render_explanation

        _print(explain_text(explaining, _text(text)), render_explanation, as_json)


@sentiment_app.command(epilog="Example: ytb-ads sentiment report --catalog catalog --png means.png")
def report(
    catalog: CatalogDir = "./catalog",
    config: ConfigFile = None,
    png: Annotated[
        Path, typer.Option("--png", metavar="FILE", help="Picture of the distribution of the ads' means.")
    ] = Path("sentiment.png"),
    as_json: AsJson = False,
) -> None:
    """Show the labels under every aggregation and threshold with their certainty, and plot the ads' means.

    Nothing is scored and nothing in the catalog changes: you can try thresholds here before a build uses them.
    """
    from data_catalog.catalog import Catalog
    from data_catalog.inspect import require_catalog
    from flows.sentiment.report import draw_distribution, read_report, render_certainty
    from flows.settings import load_settings

    opened = Catalog(catalog)
    require_catalog(opened)
    found = read_report(opened, load_settings(config).sentiment)
    draw_distribution(found, png)
    if as_json:
        print_json({**found.as_json(), "png": str(png)})
        return
    _print_report(found)
    print_tables(render_certainty(found))
    say(f"picture: {png}")
    for warning in found.warnings():
        warn(f"warning: {warning}")


@sentiment_app.command(epilog="Example: ytb-ads sentiment compare --jar SentiStrength.jar --lexicon lists")
def compare(
    catalog: CatalogDir = "./catalog",
    texts: Annotated[
        Path | None,
        typer.Option(
            "--texts", metavar="FILE", help="One text per line, instead of the catalog's comments; - is stdin."
        ),
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

    With --with-lexicon: compare `native` with two folders of word lists. Options that you do not give have the values
    of [sentiment] of the settings. Neither engine counts emoji, unless only word lists are compared.
    """
    from flows.sentiment.compare import Comparison
    from flows.sentiment.compare import compare as compare_scores

    settings = _settings(config, lexicon=lexicon, jar=jar, java=java)
    comparison = Comparison()
    pair = _engines(settings, with_lexicon)
    differences: list[Difference] = []
    for difference in compare_scores(_texts(catalog, texts), *pair, comparison):
        if as_json:
            differences.append(difference)
        else:
            out.print(_line(difference), markup=False, highlight=False, soft_wrap=True)
    _print_comparison(comparison, differences, settings, as_json)


def _settings(config: Path | None, **given: Any) -> SentimentSettings:
    """[sentiment] of the settings, overridden by the options of the command line."""
    from flows.settings import load_settings

    update = {name: value for name, value in given.items() if value is not None}
    return load_settings(config).sentiment.model_copy(update=update)


def _write(answers: Iterable[Answered], reader: LineReader) -> int:
    """Write the answers as they come; returns how many texts could not be scored."""
    from flows.sentiment.stream import write_all

    stdout = _open(sys.stdout, "standard output", STDOUT)
    n_unscored = 0
    with _progress() as advance:
        for answered in answers:
            write_all(stdout, answered.lines)
            n_unscored += answered.n_unscored
            advance(reader.read_bytes)
    return n_unscored


@contextmanager
def _progress() -> Iterator[Callable[[int], object]]:
    """Progress bar of the bytes read, if their number is known, and a terminal shows it and not the answers."""
    if not stat.S_ISREG(os.fstat(STDIN).st_mode) or not sys.stderr.isatty() or os.isatty(STDOUT):
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=os.fstat(STDIN).st_size, desc="scoring", unit="B", unit_scale=True) as bar:
        yield lambda read_bytes: bar.update(read_bytes - bar.n)


def _open(stream: TextIO | None, name: str, descriptor: int) -> int:
    """The descriptor of a standard stream; closed ones are refused, as another file may have their number by now."""
    if stream is None:
        raise SentimentError(f"{name} is closed")
    return descriptor


def _text(given: str) -> str:
    """The text as `score` reads it: U+FFFD for invalid UTF-8, without the line break at its end."""
    if given != "-":
        return os.fsencode(given).decode("utf-8", "replace")
    _open(sys.stdin, "standard input", STDIN)
    return sys.stdin.buffer.read().decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")


def _print(found: Any, render: Callable[[Any], RenderableType], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))  # ASCII only: no control sequence of a text takes effect
        return
    print_tables(render(found))


def _print_report(report: SentimentReport) -> None:
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in report.left_out.items() if count) or "none"
    for line in (
        f"{report.n_ads:,} ads"
        + (f"; {report.n_unread:,} more whose comments are not read to the end" if report.n_unread else ""),
        f"{report.n_comments:,} comments: {report.n_scored:,} count, {report.n_neutral:,} of them neutral",
        f"left out: {left_out}",
        f"labels with low support: {report.n_uncertain:,} of {report.n_labelled:,}",
    ):
        say(line)
    print_tables(report.yields.as_table())


def _engines(settings: SentimentSettings, with_lexicon: Path | None) -> tuple[SentimentEngine, SentimentEngine]:
    from flows.sentiment.engines import make_engine, with_installed

    native = {"engine": "native"}
    if with_lexicon is not None:
        updates = native, native | {"lexicon": with_lexicon}
    else:
        settings = with_installed(settings).model_copy(update={"emoji": False})
        updates = native, {"engine": "java"}
    one, other = (make_engine(settings.model_copy(update=update)) for update in updates)
    return one, other


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
        print_json({**comparison.as_json(thresholds), "differences": told})
        return
    say(f"{comparison.n_equal:,} of {comparison.n_texts:,} texts have the same strengths")
    if comparison.n_unscored:
        say(f"{comparison.n_unscored:,} more could not be scored")
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
