"""Make file names unique, and check that names can be written to text files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["check_names", "is_text", "unique_stem", "with_article"]

PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def unique_stem(stem: str, key: str) -> str:
    """Add the key of a file to a stem that several files have, so that it is unique.

    Args:
        stem: file name without suffix.
        key: unique key of the file; a short hash of it is used if it has characters that are not safe in names.

    Example:
        >>> unique_stem("0000", "street"), unique_stem("0000", "cam1/0000.png")
        ('0000-street', '0000-9a392930de')
    """
    short = hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()[:10]
    return f"{stem}-{key if PLAIN.fullmatch(key) else short}"


def check_names(names: Sequence[str], source: Path) -> None:
    """Raise an error for names that are not UTF-8, which Python reads as lone surrogates and cannot write.

    Args:
        names: of the images.
        source: where they come from, for the message.

    Raises:
        ValueError: with the number of such names and the first one.
    """
    bad = [] if is_text("".join(names)) else [name for name in names if not is_text(name)]
    if bad:
        raise ValueError(
            f"{source}: {len(bad)} of {len(names)} images have a name that is not UTF-8, first {bad[0]!r}; rename "
            f"them, and their labels and predictions"
        )


def with_article(key: str) -> str:
    """Return the key of a file as a sentence names it.

    Example:
        >>> with_article("image_id"), with_article("file_name")
        ('an image_id', 'a file_name')
    """
    return f"{'an' if key[0] in 'aeiou' else 'a'} {key}"


def is_text(name: str) -> bool:
    """Return whether a name can be written as UTF-8: it has no lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
