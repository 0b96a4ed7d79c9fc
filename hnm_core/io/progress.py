"""One progress protocol: long tasks report the share done and a sentence, as FiftyOne's ``ctx.set_progress`` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

__all__ = ["Progress", "part_of", "silent", "tracked"]

Item = TypeVar("Item")
Progress = Callable[[float, str], None]
"""Told the share done, in [0, 1], and what is being done, such as ``reading labels: 50 of 200``."""


def silent(share: float, label: str) -> None:
    """Tell nobody."""


def tracked(items: Sequence[Item], what: str, progress: Progress = silent) -> Iterable[Item]:
    """Return the items, telling before each one, and after the last, how many are done.

    Whoever is told decides how often to show it.

    Args:
        items: what is gone through.
        what: what is done with them, such as ``reading labels``.
        progress: who is told.

    Example:
        >>> list(tracked("ab", "spelling", lambda share, label: print(share, label)))
        0.0 spelling: 0 of 2
        0.5 spelling: 1 of 2
        1.0 spelling: 2 of 2
        ['a', 'b']
    """
    return items if progress is silent else _told(items, what, progress)


def part_of(progress: Progress, low: float, high: float) -> Progress:
    """Return a progress for a part of the work, which is from ``low`` to ``high`` of the whole."""
    if progress is silent:
        return silent
    return lambda share, label: progress(low * (1 - share) + high * share, label)


def _told(items: Sequence[Item], what: str, progress: Progress) -> Iterator[Item]:
    count = len(items)
    for done, item in enumerate(items):
        progress(done / count, f"{what}: {done:,} of {count:,}")
        yield item
    if count:
        progress(1.0, f"{what}: {count:,} of {count:,}")
