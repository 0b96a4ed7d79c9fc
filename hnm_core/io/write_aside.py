"""Write files and folders beside their place and rename them when they are complete: never half a result.

A process that is killed leaves a hidden folder ``.NAME-xxxxxxxx.unfinished``. An owner file in it names the process, so
that the next write in the same place can remove what is left of processes that have ended, and of no other.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .processes import has_ended, this_process

__all__ = [
    "check_file",
    "check_free",
    "clear_unfinished",
    "new_file",
    "new_folder",
    "say_unfinished",
    "unfinished_work",
]

END, OWNER, CONTENT = ".unfinished", "owner.json", "new"

YOUNG = 60.0
"""Seconds in which a folder without an owner may still get one (chosen; it takes less than a millisecond)."""


def check_free(folder: Path, advice: str) -> None:
    """Refuse a folder that is not empty.

    Args:
        folder: where something is to be written.
        advice: what the user can do, for the message.

    Raises:
        FileExistsError: if it exists and is not an empty folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and is not empty; {advice}")


def check_file(path: Path) -> None:
    """Refuse a folder where a file is to be written.

    Raises:
        IsADirectoryError: if it is one.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, but a file is to be written: add its name")


@contextmanager
def new_folder(folder: Path, advice: str) -> Iterator[Path]:
    """Write a folder beside its place and rename it at the end of the block; on an error nothing is left.

    Args:
        folder: absolute path; must not exist, or be empty.
        advice: what the user can do if it is not empty, for the message.

    Yields:
        Where to write.

    Raises:
        FileExistsError: if the folder is not empty.
    """
    check_free(folder, advice)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _aside(folder) as aside:
        aside.mkdir()
        yield aside
        check_free(folder, advice)  # somebody else may have written there meanwhile
        if folder.exists():
            folder.rmdir()
        aside.rename(folder)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Write a file beside its place and rename it at the end of the block; on an error the old file stays as it is.

    Args:
        path: the file to write or replace; its folder must exist.

    Yields:
        The path to write to, on the same file system.

    Raises:
        IsADirectoryError: if it is a folder.
    """
    check_file(path)
    with _aside(path) as aside:
        yield aside
        os.replace(aside, path)


@contextmanager
def unfinished_work(target: Path, key: str) -> Iterator[Path]:
    """Yield a hidden folder for work on a target, in which an interrupted process may have left what it had done.

    It is removed at the end of the block and on an error, but stays if the process is interrupted or killed. To be
    asked for before :func:`clear_unfinished`, which removes what nobody works on.

    Args:
        target: absolute path of what is written.
        key: hexadecimal digest of what the work depends on: other work never sees the folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = target.parent / f".{target.name[:80]}-{key[:16]}{END}"
    owner = _owner_of(hidden)
    if owner is not None and not has_ended(owner):  # somebody does the same at this moment
        with _aside(target) as other:
            yield other
        return
    hidden.mkdir(exist_ok=True)
    (hidden / OWNER).write_text(json.dumps(this_process()), encoding="utf-8")
    try:
        yield hidden
    except Exception:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    shutil.rmtree(hidden, ignore_errors=True)


def clear_unfinished(parent: Path) -> list[str]:
    """Remove what interrupted writes have left in a folder, where their process has provably ended.

    Args:
        parent: the folder that holds what is written, not searched any deeper.

    Returns:
        A sentence on each that was found: removed, or why not.
    """
    said = []
    for left in sorted(parent.glob(f".*{END}")) if parent.is_dir() else ():
        owner = _owner_of(left)
        if owner is None and not _is_abandoned(left):
            said.append(f"{left} does not say who writes it: remove it if nothing is being written there")
        elif owner is None or has_ended(owner):
            shutil.rmtree(left, ignore_errors=True)
            kept = ", but could not be removed completely" if left.exists() else " and is removed"
            said.append(f"{left} was left by a process that was interrupted{kept}")
    return said


def say_unfinished(parent: Path) -> None:
    """Remove what interrupted writes have left in a folder, and warn of it."""
    for sentence in clear_unfinished(parent):
        warnings.warn(sentence, stacklevel=3)


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """Yield a path that does not exist, in a hidden folder that is removed at the end of the block."""
    try:
        hidden = Path(tempfile.mkdtemp(prefix=f".{target.name[:80]}-", suffix=END, dir=target.parent))
    except OSError as error:
        error.filename = str(target)  # nobody knows the hidden one
        raise _full_disk(error, target) from None
    try:
        (hidden / OWNER).write_text(json.dumps(this_process()), encoding="utf-8")
        yield hidden / CONTENT
    except OSError as error:
        raise _full_disk(error, target) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _full_disk(error: OSError, target: Path) -> OSError:
    """Return an error that says what is not written where the disk is full; any other with the name of a file."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        said = OSError(f"the disk of {target.parent} is full: {target.name} is not written. Make room and try again")
        said.errno = error.errno  # whoever writes several files says what to do with the others
        return said.with_traceback(error.__traceback__)
    if error.errno is not None and error.filename is None:
        error.filename = str(target)
    return error


def _owner_of(left: Path) -> dict[str, object] | None:
    try:
        owner = json.loads((left / OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return owner if isinstance(owner, dict) else None


def _is_abandoned(left: Path) -> bool:
    """Return whether a folder was left before it got an owner: it is old, and has no content."""
    with suppress(OSError):
        empty = all(path.name == OWNER and not path.stat().st_size for path in left.iterdir())
        return empty and time.time() - left.stat().st_mtime > YOUNG
    return False
