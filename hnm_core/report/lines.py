"""Lines of the report as text."""

from __future__ import annotations

import textwrap

__all__ = ["how_many", "printable", "row", "wrapped"]

WIDTH = 76
"""Characters per line, so that the text fits into the App."""


def printable(line: str) -> str:
    """Return a line in which control characters, which names in the data may hold, are question marks."""
    return line if line.isprintable() else "".join(c if c.isprintable() else "?" for c in line)


def wrapped(sentence: str) -> list[str]:
    """Return a sentence as indented lines."""
    return textwrap.wrap(sentence, WIDTH, initial_indent="  ", subsequent_indent="  ")


def row(name: str, value: object, remark: str = "") -> str:
    """Return a line with a name, a value and a remark."""
    return f"  {name:<20}{value!s:>10}  {remark}".rstrip()


def how_many(count: int, one: str, more: str | None = None) -> str:
    """Return a number and its noun; the plural of the noun takes an s unless ``more`` is given.

    Example:
        >>> how_many(1, "image"), how_many(1200, "image"), how_many(0, "box", "boxes")
        ('1 image', '1,200 images', '0 boxes')
    """
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"
