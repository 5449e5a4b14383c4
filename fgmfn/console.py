"""Output of commands: results on standard output, reports on standard error, no messages of libraries."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

results = Console()
reports = Console(stderr=True, highlight=False, soft_wrap=True)


class ReportHandler(logging.Handler):
    """Writes the package's log to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message unchanged."""
        reports.print(record.getMessage(), markup=False)


def print_line(text: str) -> None:
    """Print a result unchanged on one line of any length."""
    results.print(text, soft_wrap=True, markup=False, highlight=False)


def print_paths(paths: Sequence[Path]) -> None:
    """Print file names, one per line."""
    sys.stdout.write("".join(f"{path}\n" for path in paths))


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def short_checksums(checksums: Mapping[str, str]) -> str:
    """Return the beginning of each split's checksum, `train 0123456789ab, test ...`."""
    return ", ".join(f"{split} {checksum[:12]}" for split, checksum in checksums.items())


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Suppress the reports and progress bars of transformers, timm and the hub.

    Errors still arrive as exceptions; every setting is restored afterwards.
    """
    from transformers.utils import logging as transformers_logging

    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "httpx", "timm", "accelerate")]
    levels = [logger.level for logger in loggers]
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR + 1)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
