"""Read the boxes of many YOLO text files: some MB of them at a time, and line by line where one is not regular."""

from __future__ import annotations

import codecs
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .progress import Progress, tracked
from .yolo_lines import RowKind, Texts, read_line_by_line, read_many, read_regular

__all__ = ["FILES_AT_ONCE", "YoloBoxes", "read_boxes"]

BYTES_AT_ONCE = 2**22
"""Of text that are numbers at the same time (chosen)."""

FILES_AT_ONCE = 100
"""Of a block that is not regular, files that are read line by line if one of them is not."""


@dataclass(frozen=True, eq=False)
class YoloBoxes:
    """The boxes of some files.

    Attributes:
        image: ``(n,)`` int64, number of the file.
        xyxy: ``(n, 4)`` float64 corners, as fractions of the image.
        label: ``(n,)`` int64.
        score: ``(n,)`` float64; 1 where lines have none.
        polygons: rows that are boxes around polygons.
    """

    image: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    label: NDArray[np.int64]
    score: NDArray[np.float64]
    polygons: int

    def say_polygons(self, source: Path, what: str) -> None:
        """Warn of polygons, of which only the boxes are compared; ``what`` names the rows."""
        if self.polygons:
            warnings.warn(
                f"{source}: {self.polygons} of {len(self.score)} {what} are polygons: only the boxes around them are "
                f"compared",
                stacklevel=3,
            )


def read_boxes(files: Sequence[Path | str], kind: RowKind, progress: Progress) -> YoloBoxes:
    """Read all boxes of all files; file ``i`` belongs to image ``i``, and has no boxes if it does not exist.

    Raises:
        ValueError: if lines cannot be read, with their number and the first place.
    """
    blocks = _Blocks(files, kind)
    for i, file in enumerate(tracked(files, "reading predictions" if kind.scored else "reading labels", progress)):
        try:
            with open(file, "rb", buffering=0) as stream:
                blocks.add(i, stream.read())
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            raise ValueError(f"{file} is a folder, expected a text file of boxes") from None
    return blocks.boxes()


class _Blocks:
    """Collects the texts of files, and makes a block of them columns as soon as it is large."""

    def __init__(self, files: Sequence[Path | str], kind: RowKind) -> None:
        self.files, self.kind = files, kind
        self.texts: Texts = []
        self.size = self.polygons = 0
        self.broken: list[str] = []
        self.columns: list[tuple[NDArray[Any], ...]] = []

    def add(self, number: int, text: bytes) -> None:
        self.texts.append((number, text.removeprefix(codecs.BOM_UTF8)))
        self.size += len(text)
        if self.size >= BYTES_AT_ONCE:
            self.end()

    def end(self) -> None:
        """Make what was collected columns."""
        texts, self.texts, self.size = self.texts, [], 0
        table = read_many(texts, self.kind)
        if table is not None:
            self.keep(table)
            return
        for start in range(0, len(texts), FILES_AT_ONCE):
            some = texts[start : start + FILES_AT_ONCE]
            table = read_regular(some, self.kind)
            if table is None:
                table, why, polygons = read_line_by_line(some, self.files, self.kind)
                self.broken += why
                self.polygons += polygons
            self.keep(table)

    def keep(self, table: NDArray[np.float64]) -> None:
        centre, size = table[:, 2:4], table[:, 4:6]
        corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        self.columns.append((table[:, 0].astype(np.int64), corners, table[:, 1].astype(np.int64), table[:, 6].copy()))

    def boxes(self) -> YoloBoxes:
        self.end()
        if self.broken:
            raise ValueError(f"{len(self.broken)} lines cannot be read, first {self.broken[0]}")
        self.keep(np.zeros((0, 7)))
        image, xyxy, label, score = map(np.concatenate, zip(*self.columns, strict=True))
        return YoloBoxes(image, xyxy, label, score, self.polygons)
