"""Keep what a detector saw, by the digests of the image and of the model, so that nothing is asked twice."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["ViewCache", "cache_folder", "digest_of"]

Boxes = list[NDArray[np.float32]]
COLUMNS = "asked TEXT, image TEXT, rows TEXT, seen BLOB, PRIMARY KEY (asked, image)"

WAIT = 60.0
"""Seconds to wait for another process that writes."""


class ViewCache:
    """What one model saw in images, in a file that several processes may use.

    Args:
        file: a SQLite file; it and its folder are made when something is kept.
        asked: what was asked, of which model: any text; what was kept for another text is not found.
    """

    def __init__(self, file: Path, asked: str) -> None:
        self._file, self._asked = file, asked

    def find(self, images: Iterable[str]) -> dict[str, Boxes]:
        """Return what was seen in the images of these digests, one ``(k, 6)`` array per view; only what is kept."""
        found: dict[str, Boxes] = {}
        if not self._file.is_file():
            return found
        with closing(self._open()) as base:
            for image in images:
                asked = "SELECT rows, seen FROM views WHERE asked = ? AND image = ?", (self._asked, image)
                for rows, seen in base.execute(*asked):  # at most one
                    ends = np.cumsum([int(n) for n in rows.split()])
                    found[image] = np.split(np.frombuffer(seen, dtype=np.float32).reshape(-1, 6), ends[:-1])
        return found

    def keep(self, images: Sequence[str], seen: Sequence[Boxes]) -> None:
        """Keep what was seen in the images of these digests."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            (self._asked, image, " ".join(str(len(view)) for view in views), np.concatenate(views).tobytes())
            for image, views in zip(images, seen, strict=True)
        ]
        with closing(self._open()) as base, base:
            base.executemany("INSERT OR REPLACE INTO views VALUES (?, ?, ?, ?)", rows)

    def _open(self) -> sqlite3.Connection:
        base = sqlite3.connect(self._file, timeout=WAIT)
        base.execute(f"CREATE TABLE IF NOT EXISTS views ({COLUMNS})")
        return base


def cache_folder() -> Path:
    """Return where computed things are kept: ``HNM_CACHE_DIR``, or ``hnm`` in the user's cache folder."""
    own = os.environ.get("HNM_CACHE_DIR")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hnm"


def digest_of(file: Path) -> str:
    """Return the SHA-256 digest of a file's bytes."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        for block in iter(lambda: content.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
