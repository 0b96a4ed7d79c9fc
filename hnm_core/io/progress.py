"""What long reading and writing tells about how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = ["Progress", "silent"]

Progress = Callable[[Sequence[Any], str], Iterable[Any]]
"""Wraps the things that are gone through, and is told what is done with them, such as ``reading labels``."""


def silent(items: Sequence[Any], what: str) -> Iterable[Any]:
    """Says nothing."""
    return items
