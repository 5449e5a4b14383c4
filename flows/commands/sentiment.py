"""`ytb-ads sentiment ...`: score texts on the command line, and ask why a text or an ad has its strengths."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

import typer

from flows.commands.catalog import CatalogDir
from flows.console import AsJson, ConfigFile, err, print_tables
from flows.errors import SentimentError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from flows.sentiment.stream import Answered, LineReader
    from flows.settings import SentimentSettings

sentiment_app = typer.Typer(
    name="sentiment",
    no_args_is_help=True,
    help="Score texts as SentiStrength does, and see why.",
    epilog="Example: ytb-ads sentiment score < comments.txt",
)

LexiconDir = Annotated[
    Path | None,
    typer.Option("--lexicon", metavar="DIR", help="Folder of word lists in SentiStrength's format."),
]
CountEmoji = Annotated[
    bool | None,
    typer.Option("--emoji/--no-emoji", help="Count emoji, which the original does not.", show_default=False),
]
STDIN, STDOUT = 0, 1


@sentiment_app.command(epilog="Example: echo 'I loooove this ad!' | ytb-ads sentiment score --json")
def score(
    lexicon: LexiconDir = None,
    engine: Annotated[
        Literal["native", "java"] | None,
        typer.Option(help="The scoring in Python, or the original program.", show_default=False),
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
    """Read a text from every line of standard input; write its positive 1..5 and negative -1..-5, parted by a tab.

    Every line has its answer at once and in its place. A text that could not be
    scored, which only the engine java leaves, has the line error<TAB>reason, and
    the command then ends with 1. What is not given here is as the settings say,
    in their section sentiment.
    """
    from flows.sentiment.engines import make_engine
    from flows.sentiment.stream import Answerer, LineReader, answer_by_processes

    chosen = _settings(config, lexicon=lexicon, engine=engine, emoji=emoji, jar=jar, java=java)
    scores = make_engine(chosen.engine, lexicon=chosen.lexicon, emoji=chosen.emoji, jar=chosen.jar, java=chosen.java)
    answer = Answerer(scores, as_json=as_json)
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
    limit: Annotated[int, typer.Option(min=0, help="Comments of the ad at most, the strongest first.")] = 20,
    lexicon: LexiconDir = None,
    emoji: CountEmoji = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show word by word why a text has its strengths, or which comments made an ad's label and which words those.

    A score counts from 0: a word that is listed as 3 scores +2.
    Write -- before a text that begins with a dash.
    """
    from flows.sentiment.engines import scorer

    if (text is None) == (ad is None):
        raise typer.BadParameter("give either a text or --ad VIDEO_ID")
    settings = _settings(config, lexicon=lexicon, emoji=emoji)
    if settings.engine == "java":
        settings = settings.model_copy(update={"emoji": bool(emoji)})  # it counts none
        said = "the engine java gives no reasons; explained by native with the same word lists"
        err.print(said, highlight=False, soft_wrap=True)
    explaining = scorer(settings.lexicon, emoji=settings.emoji)
    if ad is not None:
        from data_catalog.catalog import Catalog
        from flows.sentiment.explain import explain_ad, render_ad

        _print(explain_ad(Catalog(catalog), ad, explaining, settings, limit=limit), render_ad, as_json)
    elif text is not None:
        from flows.sentiment.explain import explain_text, render_explanation

        _print(explain_text(explaining, _text(text)), render_explanation, as_json)


def _settings(config: Path | None, **given: Any) -> SentimentSettings:
    """[sentiment] of the settings, with what was given on the command line in its place."""
    from flows.settings import load_settings

    update = {name: value for name, value in given.items() if value is not None}
    return load_settings(config).sentiment.model_copy(update=update)


def _write(answers: Iterable[Answered], reader: LineReader) -> int:
    """Write the answers as they come; how many of them are none."""
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
    """A bar of the bytes read, where their number is known and neither the answers nor nobody would be in its way."""
    if not stat.S_ISREG(os.fstat(STDIN).st_mode) or not sys.stderr.isatty() or os.isatty(STDOUT):
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=os.fstat(STDIN).st_size, desc="scoring", unit="B", unit_scale=True) as bar:
        yield lambda read_bytes: bar.update(read_bytes - bar.n)


def _open(stream: TextIO | None, name: str, descriptor: int) -> int:
    """The descriptor of a standard stream; closed ones are refused, for their number may be another file's by now."""
    if stream is None:
        raise SentimentError(f"{name} is closed")
    return descriptor


def _text(given: str) -> str:
    """The text as `score` reads it: U+FFFD for what is no UTF-8, without the line break at its end."""
    if given != "-":
        return os.fsencode(given).decode("utf-8", "replace")
    _open(sys.stdin, "standard input", STDIN)
    return sys.stdin.buffer.read().decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")


def _print(found: Any, render: Callable[[Any], RenderableType], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))  # in ASCII: nothing that a text holds acts
        return
    print_tables(render(found))
