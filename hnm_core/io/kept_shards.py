"""Keep the shards that were mined with what was found in them, without a second copy where that is safe."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from .shard_heads import ShardFolder

__all__ = ["check_shards", "digests_of", "keep_shards"]

ANYONE_WRITES = 0o222
AT_ONCE = 1 << 20


def keep_shards(shards: ShardFolder, folder: Path, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Make a folder that has the same shards, and return their digests (SHA-256) by file name.

    A shard that nobody may write, as ``hnm convert`` leaves them, is linked: it costs nothing, and stays when the
    other name is removed. Any other, or one on another file system, is copied.

    Args:
        shards: what the folder's shards say of themselves.
        folder: must not exist.
        known: their digests, if they are known.
    """
    folder.mkdir()
    digests = {}
    for file in shards.files:
        kept = folder / file.name
        linked = not file.stat().st_mode & ANYONE_WRITES and _link(file, kept)
        if not linked:
            shutil.copyfile(file, kept)
        digests[file.name] = known[file.name] if linked and known else _digest(kept)
    return digests


def digests_of(shards: ShardFolder) -> dict[str, str]:
    """Return the digests of shards by file name."""
    return {file.name: _digest(file) for file in shards.files}


def check_shards(folder: Path, digests: Mapping[str, str]) -> None:
    """Check that a folder has the shards that were kept in it.

    Raises:
        ValueError: if one is missing, or was changed.
    """
    for name, digest in digests.items():
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name} is missing")
        if _digest(folder / name) != digest:
            raise ValueError(f"{folder / name} was changed since it was mined")


def _link(file: Path, kept: Path) -> bool:
    try:
        os.link(file.resolve(), kept)
    except OSError:  # another file system, or one without links
        return False
    return True


def _digest(path: Path) -> str:
    found = sha256()
    with path.open("rb") as file:
        while block := file.read(AT_ONCE):
            found.update(block)
    return found.hexdigest()
