"""File names: for what is known by a key, a sample's id or a path; and those that cannot be written down."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["check_names", "told_apart"]

PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def told_apart(stem: str, key: str) -> str:
    """A stem that several files have, with what tells one of them from the others.

    Args:
        stem: of the file's name.
        key: of the file, like no other's; where it can't stand in a name, a short hash of it does.

    Example:
        >>> told_apart("0000", "street"), told_apart("0000", "cam1/0000.png")
        ('0000-street', '0000-9a392930de')
    """
    short = hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()[:10]
    return f"{stem}-{key if PLAIN.fullmatch(key) else short}"


def check_names(names: Sequence[str], source: Path) -> None:
    """Refuse names that no text file can hold: Python reads bytes of a name that are not UTF-8 as lone surrogates.

    Args:
        names: of images.
        source: where they come from.

    Raises:
        ValueError: if there are any, with their number and the first.
    """
    bad = [name for name in names if not _is_text(name)]
    if bad:
        raise ValueError(
            f"{source}: {len(bad)} of {len(names)} images have a name that is not UTF-8, first {bad[0]!r}; rename "
            f"them, and their labels and predictions"
        )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
