"""Progress of long work on the error stream, and only where somebody watches."""

from __future__ import annotations

import argparse
import sys
import time

from ..io.progress import Progress, silent

__all__ = ["add_progress_flag", "progress_of"]

PATIENCE = 0.5
"""Seconds of work before the first word, and between words on a terminal; in a log there are ten times as many."""


def add_progress_flag(parser: argparse._ActionsContainer) -> None:
    """Declare ``--progress`` and ``--no-progress``."""
    text = "Print the progress of long work to stderr; default: only on a terminal"
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction, default=None, help=text)


def progress_of(args: argparse.Namespace) -> Progress:
    """Return what the flag asks for."""
    wanted = sys.stderr.isatty() if args.progress is None else args.progress
    return _Spoken() if wanted else silent


class _Spoken:
    """``reading labels: 1,200 of 20,000``: over and over on one line of a terminal, or as lines of a log."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.stage, self.latest, self.printed, self.next_word = "", "", "", 0.0

    def __call__(self, share: float, label: str) -> None:
        """Print the label if it is time, and the last one of a stage if any was printed before."""
        stage = label.partition(":")[0]
        if stage != self.stage:
            self._end()
            self.stage, self.next_word = stage, time.monotonic() + PATIENCE
        self.latest = label
        if time.monotonic() >= self.next_word:
            self._print()
        if share >= 1:
            self._end()

    def _print(self) -> None:
        if self.terminal:
            print(f"\r{self.latest.ljust(len(self.printed))}", file=sys.stderr, end="", flush=True)
        else:
            print(self.latest, file=sys.stderr, flush=True)
        self.printed, self.next_word = self.latest, time.monotonic() + PATIENCE * (1 if self.terminal else 10)

    def _end(self) -> None:
        if self.printed:
            if self.latest != self.printed:
                self._print()
            print(end="\n" if self.terminal else "", file=sys.stderr, flush=True)
        self.stage = self.printed = ""
