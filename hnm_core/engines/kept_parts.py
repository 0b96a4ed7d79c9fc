"""What is kept of a shard, in files that any machine of a cluster can read: columns, and the answer of their step.

A part is a ``.npz`` file: NumPy reads it column by column, and a sum of every column is checked when it is read. The
bytes of equal content are equal. The answer is a pickle: whoever may write into the folder can run code in what reads
it, as everybody can who may use the cluster.
"""

from __future__ import annotations

import io
import platform
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrow_folder import UNFINISHED, ArrowFolder
from .shard import Kept

__all__ = ["StoredColumns", "answer_of", "clear_parts", "part_name", "write_part"]

ANSWER = "answer"
AT_ONCE = 1 << 20
"""Bytes that are read at a time: few requests to a store far away (chosen)."""

DAMAGED = (
    *(OSError, ValueError, LookupError, ArithmeticError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""What reading a part can raise that is not there, or damaged."""

NAME = re.compile(rf"\d{{6,}}-\d{{2,}}-[0-9a-f]{{32}}\.npz|\.\d{{6,}}-.*{re.escape(UNFINISHED)}")
"""Names of parts, and of parts that were being written."""


def part_name(shard: int, number: int, key: str) -> str:
    """Return the file name of a part.

    Args:
        shard: number of the shard.
        number: of the part, among those of the shard.
        key: hexadecimal digest of all that it follows from.

    Example:
        >>> part_name(3, 1, 64 * "a")
        '000003-01-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.npz'
    """
    return f"{shard:06d}-{number:02d}-{key[:32]}.npz"


def write_part(folder: ArrowFolder, name: str, columns: Kept, answer: bytes) -> None:
    """Write a part, which appears when it is complete."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for member, column in (*columns.items(), (ANSWER, np.frombuffer(answer, dtype=np.uint8))):
            with file.open(zipfile.ZipInfo(f"{member}.npy"), "w", force_zip64=True) as entry:  # without the time of day
                np.lib.format.write_array(entry, np.asarray(column), allow_pickle=False)
    folder.write(name, out.getbuffer())


def answer_of(folder: ArrowFolder, name: str) -> bytes | None:
    """Return the answer that a part holds; None if there is no such part, or it is damaged."""
    try:
        with folder.open(name) as raw, zipfile.ZipFile(io.BufferedReader(raw, AT_ONCE)) as file:
            if file.testzip() is not None:
                return None
            with file.open(f"{ANSWER}.npy") as entry:
                return bytes(np.lib.format.read_array(entry, allow_pickle=False))
    except DAMAGED:
        return None


def clear_parts(folder: ArrowFolder) -> None:
    """Remove all parts from a folder, and the folder if nothing else is in it."""
    folder.remove(name for name in folder.names() if NAME.fullmatch(name))
    folder.remove_itself()


class StoredColumns:
    """The columns that are kept of a shard, each read when it is asked for.

    Args:
        folder: where the parts are.
        names: of the parts, oldest first; of columns with the same name the newest is read.
    """

    def __init__(self, folder: ArrowFolder, names: Sequence[str]) -> None:
        self._folder = folder
        self._names = names
        self._open = ExitStack()
        self._files: dict[str, Any] = {}

    def __enter__(self) -> StoredColumns:
        """Return the columns, whose files are closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self._open.close()

    def __getitem__(self, name: str) -> NDArray[Any]:
        for part in reversed(self._names):
            file = self._file(part)
            if name in file.files:
                column: NDArray[Any] = file[name]
                return column
        raise KeyError(name)

    def some(self, name: str, rows: slice) -> NDArray[Any]:
        """Return some rows of a column, all of which is read."""
        return self[name][rows]

    def _file(self, part: str) -> Any:
        if part not in self._files:
            try:
                raw = self._open.enter_context(self._folder.open(part))
            except FileNotFoundError:
                raise FileNotFoundError(
                    f"{self._folder.uri} has no {part} as {platform.node()} sees it: the folder must be one that all "
                    "machines of the cluster share, and its files must stay while mining runs"
                ) from None
            self._files[part] = self._open.enter_context(np.load(io.BufferedReader(raw, AT_ONCE), allow_pickle=False))
        return self._files[part]
