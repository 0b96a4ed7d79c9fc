"""Names of files that can be written down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["check_names"]


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
            f"{source}: {len(bad)} of {len(names)} images have a name that is not UTF-8, first {bad[0]!r}; rename them, "
            f"and their labels and predictions"
        )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
