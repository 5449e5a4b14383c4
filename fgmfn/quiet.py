"""Silence for libraries that report on the terminal what a command says better, or not at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the reports and progress bars of transformers, timm and the hub off the terminal.

    What goes wrong still arrives as an exception; everything is as before afterwards.
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
