"""Verdicts as one HTML file: no scripts, no network, every value escaped."""

from __future__ import annotations

import base64
import io
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from jinja2 import TemplateError
from markupsafe import Markup
from PIL import Image

from data_catalog.printing import readable
from fgmfn.explanation_page import EXPLANATION_STYLE, explanation_section
from fgmfn.explanations import AdExplanation
from fgmfn.images import as_seen
from flows.errors import VerdictError
from flows.templates import render, render_page
from flows.verdict.output import Record, Summary

_TEMPLATES = Path(__file__).parent / "templates"
_LOOK = Path(__file__).parents[1] / "look" / "templates" / "provenance.css"
_STYLES = (_LOOK, EXPLANATION_STYLE, _TEMPLATES / "verdicts.css")
_LONGEST = 2_000


class Page:
    """The part of a page that is written so far: an ad after the other, on disk, as thousands may come."""

    def __init__(self, body: IO[str]) -> None:
        self._body = body

    def add(self, record: Record) -> None:
        """Append an ad; its record has pictures, and `why` where it is explained.

        Raises:
            VerdictError: what the record holds, which may come from a journal, is no verdict.
        """
        filters = {"readable": _readable}
        try:
            why = _why(record) if record["why"] else None
            part = render(_TEMPLATES / "ad.html", filters, autoescape=True, ad=record, why=why)
        except (ValueError, TypeError, KeyError, OSError, TemplateError) as error:
            raise VerdictError(f"{record['ad']}: its entry in the journal is damaged ({error})") from error
        self._body.write(part)


def _why(record: Record) -> Markup:
    """The section on a verdict's reasons, made of data alone: the journal that they come from may be a stranger's."""
    shown = [frame["picture"] for frame in record["frames"] if frame["kept"]]
    pictures = [as_seen(Image.open(io.BytesIO(base64.b64decode(picture)), formats=["JPEG"])) for picture in shown]
    return explanation_section(AdExplanation.from_json(record["why"], pictures))


@contextmanager
def page_file(file: Path, model: str, summary: Summary) -> Iterator[Page]:
    """Write records into a page, which appears when all are written.

    Args:
        file: the page.
        model: name of the model.
        summary: counts of the records when they are written.

    Raises:
        VerdictError: it cannot be written.
    """
    draft = file.with_name(f".{file.name}.writing")
    try:
        with tempfile.TemporaryFile("w+", encoding="utf-8", dir=file.parent) as body:
            yield Page(body)
            body.seek(0)
            with draft.open("w", encoding="utf-8") as whole:
                head, foot = _around(model, summary)
                whole.write(head)
                shutil.copyfileobj(body, whole)
                whole.write(foot)
        draft.replace(file)
    except OSError as error:
        raise VerdictError(f"{file}: cannot be written: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


def _around(model: str, summary: Summary) -> tuple[str, str]:
    """The page in front of the ads and behind them."""
    here = secrets.token_hex(16)
    page = render_page(
        _TEMPLATES / "verdicts.html",
        _STYLES,
        {"readable": _readable},
        model=model,
        summary=str(summary),
        ads=Markup(here),  # noqa: S704 - hexadecimal digits
    )
    head, _, foot = page.partition(here)
    return head, foot


def _readable(text: object) -> str:
    return readable(str(text), _LONGEST)
