"""Saying how far long work has come: on the error stream, and only where somebody watches."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ..io.progress import Progress, silent

__all__ = ["add_progress_flag", "progress_of"]

PATIENCE = 0.5
"""Seconds of work before the first word, and between words on a terminal; in a log there are ten times as many."""


def add_progress_flag(parser: argparse.ArgumentParser) -> None:
    """``--progress`` and ``--no-progress``."""
    text = "say on stderr how far long work has come; as it is, only on a terminal"
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction, default=None, help=text)


def progress_of(args: argparse.Namespace) -> Progress:
    """What the flag asks for."""
    wanted = sys.stderr.isatty() if args.progress is None else args.progress
    return _spoken if wanted else silent


def _spoken(items: Sequence[Any], what: str) -> Iterator[Any]:
    """``reading labels 1,200 of 20,000``: over and over on one line of a terminal, or as lines of a log."""
    terminal = sys.stderr.isatty()
    wait = PATIENCE if terminal else 10 * PATIENCE
    next_word, said = time.monotonic() + PATIENCE, False
    for done, item in enumerate(items):
        if time.monotonic() >= next_word:
            next_word, said = time.monotonic() + wait, True
            _say(f"{what}: {done:,} of {len(items):,}", terminal)
        yield item
    if said:
        _say(f"{what}: {len(items):,} of {len(items):,}", terminal)
        print(file=sys.stderr, end="\n" if terminal else "", flush=True)


def _say(words: str, terminal: bool) -> None:
    print(f"\r{words}" if terminal else words, file=sys.stderr, end="" if terminal else "\n", flush=True)
