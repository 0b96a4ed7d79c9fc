"""Folders that appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["check_free", "new_folder"]


def check_free(folder: Path, advice: str) -> None:
    """Refuse a folder that holds anything.

    Raises:
        FileExistsError: naming it, with the advice.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and is not empty; {advice}")


@contextmanager
def new_folder(folder: Path, advice: str) -> Iterator[Path]:
    """Build a folder beside its place, and put it there when the block ends well; else nothing is left.

    A process that is killed leaves a hidden folder whose name ends in ``.unfinished``.

    Args:
        folder: absolute path; must not exist, or be empty.
        advice: what to do if it is not free.

    Yields:
        Where to write.

    Raises:
        FileExistsError: if the folder holds anything.
    """
    check_free(folder, advice)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".unfinished", dir=folder.parent))
    try:
        yield aside
        aside.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
