"""Write text from the data into CSV so that a spreadsheet does not run it as a formula, and read it back."""

from __future__ import annotations

from typing import Any

__all__ = ["plain_cell", "safe_cell"]

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters by which a spreadsheet takes a cell for a formula (OWASP, *CSV Injection*)."""

MARK = "'"


def safe_cell(value: Any) -> Any:
    """Return text that begins like a formula with an apostrophe before it; anything else as it is.

    Example:
        >>> safe_cell("=1+1"), safe_cell("a.jpg"), safe_cell(-0.5)
        ("'=1+1", 'a.jpg', -0.5)
    """
    return MARK + value if isinstance(value, str) and value.lstrip(MARK).startswith(FORMULA) else value


def plain_cell(text: str) -> str:
    """Return the text that :func:`safe_cell` was given.

    Example:
        >>> [plain_cell(safe_cell(text)) for text in ("=1+1", "'=1", "'a", "a")]
        ['=1+1', "'=1", "'a", 'a']
    """
    return text[1:] if text.startswith(MARK) and text.lstrip(MARK).startswith(FORMULA) else text
