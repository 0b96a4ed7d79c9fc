"""File names for what is known by a key: a sample's id, or a path."""

from __future__ import annotations

import hashlib
import re

__all__ = ["told_apart"]

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
