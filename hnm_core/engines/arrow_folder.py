"""A folder on any filesystem that Arrow knows, such as S3 or Google Cloud Storage; files appear when complete."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

__all__ = ["UNFINISHED", "ArrowFolder"]

UNFINISHED = ".unfinished"
"""End of the names of files that are being written, which begin with a dot."""


@dataclass(frozen=True)
class ArrowFolder:
    """A folder by its address, which is opened where it is used, so that the address can be sent to other machines.

    Attributes:
        uri: an absolute path, or what Arrow's ``FileSystem.from_uri`` takes, such as ``s3://bucket/folder``.
    """

    uri: str

    @classmethod
    def of(cls, place: str | Path) -> ArrowFolder:
        """Return the folder of a path or an address; a path is made absolute.

        Example:
            >>> ArrowFolder.of("s3://bucket/shards/").uri
            's3://bucket/shards'
        """
        text = str(place)
        return cls(text.rstrip("/") if "://" in text else os.path.abspath(text))

    def names(self) -> list[str]:
        """Return the names of the files in the folder, sorted; none if there is no folder.

        Raises:
            ImportError: if pyarrow is missing.
            NotADirectoryError: if it is a file.
            ValueError: if Arrow does not know such an address.
        """
        files, path = self._opened()
        from pyarrow import fs

        try:
            found = files.get_file_info(fs.FileSelector(path, allow_not_found=True))
        except NotADirectoryError:
            raise NotADirectoryError(f"{self.uri} is a file, expected a folder") from None
        return sorted(info.base_name for info in found if info.type == fs.FileType.File)

    def open(self, name: str) -> Any:
        """Return a file that can be read and searched, to be closed by the caller.

        Raises:
            FileNotFoundError: if there is none.
        """
        files, path = self._opened()
        return files.open_input_file(f"{path}/{name}")

    def read(self, name: str) -> Any:
        """Return the content of a file as an Arrow buffer."""
        with self.open(name) as file:
            return file.read_buffer()

    def write(self, name: str, content: Any) -> None:
        """Write a file beside its place and rename it: whoever reads it reads all of it. An older one is replaced.

        Args:
            name: of the file.
            content: bytes.
        """
        files, path = self._opened()
        aside = f"{path}/.{name}-{uuid4().hex}{UNFINISHED}"
        try:
            stream = files.open_output_stream(aside)
        except FileNotFoundError:
            files.create_dir(path, recursive=True)
            stream = files.open_output_stream(aside)
        try:
            with stream:
                stream.write(content)
            files.move(aside, f"{path}/{name}")
        except BaseException:
            with suppress(OSError):
                files.delete_file(aside)
            raise

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; those that are not there are none of its business."""
        files, path = self._opened()
        for name in names:
            with suppress(FileNotFoundError):
                files.delete_file(f"{path}/{name}")

    def remove_itself(self) -> None:
        """Remove the folder if nothing is in it."""
        files, path = self._opened()
        from pyarrow import fs

        if not files.get_file_info(fs.FileSelector(path, allow_not_found=True)):
            with suppress(OSError):
                files.delete_dir(path)

    def _opened(self) -> tuple[Any, str]:
        return _open(self.uri)


@lru_cache(maxsize=64)  # a connection to a store takes longer than what is read from it
def _open(uri: str) -> tuple[Any, str]:
    """Return the filesystem of an address, and the path on it."""
    try:
        import pyarrow
        from pyarrow import fs
    except ImportError:
        raise ImportError(f"{uri} is opened by pyarrow, which is missing: pip install pyarrow") from None
    if "://" not in uri:
        return fs.LocalFileSystem(), uri
    try:
        files, path = fs.FileSystem.from_uri(uri)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{uri} cannot be opened: {reason}; expected a path, or an address such as s3://bucket/folder or "
            "gs://bucket/folder"
        ) from None
    return files, path.rstrip("/")
