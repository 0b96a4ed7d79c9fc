"""What a mining found, without the boxes that it was found in: the rows that count, and counts of all others.

It is enough for reports, exports and comparisons, and gives them the same bits as all boxes do.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..counting import RecallCurve, ScoreCells, ThresholdCounts
from ..counting.scores import FINEST
from ..labels.reviews import Reviews
from ..report import MiningReport
from ..result import Mined
from ..selection.mined import MinedPart
from ..settings import MiningSettings
from ..taxonomy import LOCALIZATION, ROW_NAMES, Errors
from ..weighting.images import Images

__all__ = ["FoundMining", "read_found", "write_arrays", "write_found"]

PER_IMAGE = ("weights", "repeats", "image_scores", "hard_counts", "hard_images", "label_digests")
COLUMNS = tuple(column.name for column in fields(MinedPart))
CELLS = tuple(column.name for column in fields(ScoreCells))
NAMES = (
    *("images", "classes", *PER_IMAGE, *(f"row_{name}" for name in COLUMNS), "row_mined"),
    *("thresholds", "threshold_truths", "wrong_by_recall", *(f"cell_{name}" for name in CELLS)),
)
UTF8 = "utf-8", "surrogatepass"


@dataclass(frozen=True, eq=False)
class FoundMining:
    """A mining as it is read without its boxes.

    Attributes:
        settings: the settings it was mined with.
        report: counts, rates and the effect of the weights.
        reviews: the reviews that were given, or None.
        kinds: the kinds of evidence.
        unit: of the boxes, ``pixels`` or ``fractions``.
        max_per_group: at most this many objects of a group were mined, 0 for no limit.
        arrays: what :func:`write_found` wrote, by name.
    """

    settings: MiningSettings
    report: MiningReport
    reviews: Reviews | None
    kinds: tuple[str, ...]
    unit: str
    max_per_group: int
    arrays: dict[str, NDArray[Any]]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the keys of all images."""
        return tuple(name.decode(*UTF8) for name in self.arrays["images"].tolist())

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Return the class name per label."""
        return tuple(self.arrays["classes"].tolist())

    @property
    def weights(self) -> NDArray[np.float64]:
        """``(images,)`` float64 ≥ 1."""
        return self.arrays["weights"]

    @property
    def repeats(self) -> NDArray[np.int64]:
        """``(images,)`` int64 ≥ 1."""
        return self.arrays["repeats"]

    @property
    def image_scores(self) -> NDArray[np.float64]:
        """``(images,)`` float64 in ``[0, 1]``, higher is harder."""
        return self.arrays["image_scores"]

    @property
    def hard_counts(self) -> NDArray[np.int64]:
        """``(images,)`` mined objects in each image."""
        return self.arrays["hard_counts"]

    @property
    def hard_images(self) -> NDArray[np.bool_]:
        """``(images,)`` bool, images with a higher weight because of their mistakes."""
        return self.arrays["hard_images"]

    @property
    def label_digests(self) -> NDArray[np.uint64]:
        """``(images,)`` digest of the labels of each image."""
        return self.arrays["label_digests"]

    @cached_property
    def hardest(self) -> MinedPart:
        """Return the mined rows in the order in which they are mined."""
        mined = self._rows.take(self.arrays["row_mined"])
        return MinedPart.hardest_first([mined], len(mined), Images.of(self.truth).place)

    @property
    def thresholds(self) -> ThresholdCounts:
        """Return the counts at other thresholds."""
        return ThresholdCounts(self.arrays["thresholds"], self.arrays["threshold_truths"])

    @property
    def recall_curve(self) -> RecallCurve:
        """Return the false positives by recall."""
        truths = int(self.arrays["threshold_truths"].sum())
        return RecallCurve(self.arrays["wrong_by_recall"], truths, len(self.names))

    @cached_property
    def predictions(self) -> Detections:
        """Return the false positives alone, as comparing takes them."""
        return self._errors_of(of_truth=False)

    @cached_property
    def truth(self) -> Detections:
        """Return the missed truths alone."""
        return self._errors_of(of_truth=True)

    @cached_property
    def errors(self) -> Errors:
        """Return the error types of both."""
        codes = [self._rows.code[self._error_rows(of_truth=side)] for side in (False, True)]
        return Errors(codes[0], codes[1], np.ones(len(codes[0]), dtype=bool))

    @property
    def mined_difficulty(self) -> NDArray[np.float64]:
        """``(k,)`` difficulty of the mined rows, predictions first."""
        difficulty: NDArray[np.float64] = self.arrays["row_difficulty"][self.arrays["row_mined"]]
        return difficulty

    def images(self) -> Sequence[str]:
        """Return the keys of all images."""
        return self.names

    def hardest_first(self, rows: int = 0) -> Iterator[MinedPart]:
        """Yield the mined rows in the order in which they are mined: all of :attr:`hardest`, whatever ``rows`` is."""
        yield self.hardest

    def counted(self, name: str) -> Iterator[NDArray[Any]]:
        """Yield a column of the rows that count, in one piece: all mistakes and mined lucky hits, predictions first."""
        yield self.arrays[f"row_{name}"]

    def ask_cells(self, name: str, *args: Any) -> list[Any]:
        """Call a method of the :class:`~hnm_core.counting.ScoreCells` of the predictions."""
        return [getattr(ScoreCells(*(self.arrays[f"cell_{column}"] for column in CELLS)), name)(*args)]

    @cached_property
    def _rows(self) -> MinedPart:
        return MinedPart(**{name: self.arrays[f"row_{name}"] for name in COLUMNS})

    def _error_rows(self, *, of_truth: bool) -> NDArray[np.int64]:
        return np.flatnonzero((self._rows.code >= LOCALIZATION) & (self._rows.of_truth == of_truth))

    def _errors_of(self, *, of_truth: bool) -> Detections:
        rows = self._rows.take(self._error_rows(of_truth=of_truth))
        score = None if of_truth else rows.score
        return Detections(rows.image, rows.xyxy, rows.label, score, self.names, self.classes)


@dataclass(frozen=True, eq=False)
class InParts:
    """An array whose rows come in parts.

    Attributes:
        rows: how many all parts have.
        parts: at least one, of one type.
    """

    rows: int
    parts: Iterator[NDArray[Any]]

    def write(self, file: IO[bytes]) -> None:
        """Write it as ``np.save`` does the whole."""
        first = next(self.parts)
        shape, kind = (self.rows, *first.shape[1:]), np.lib.format.dtype_to_descr(first.dtype)
        np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
        for part in chain([first], self.parts):
            file.write(part.tobytes())


def write_found(path: Path, result: Mined) -> None:
    """Write what a mining found into a new file; in memory is a column of one shard at a time."""
    write_arrays(path, _arrays_of(result))


def read_found(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays that :func:`write_found` wrote.

    Raises:
        KeyError: if one is missing; and whatever reading a damaged ``.npz`` can raise.
        ValueError: if they do not fit together.
    """
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in NAMES}
    _check(found)
    return found


def _check(found: Mapping[str, NDArray[Any]]) -> None:
    """Refuse columns of different lengths, and numbers of images, classes and names that there are not."""
    lengths = {
        **dict.fromkeys(PER_IMAGE, len(found["images"])),
        **{f"row_{name}": len(found["row_row"]) for name in (*COLUMNS, "mined")},
        **{f"cell_{name}": len(found["cell_cell"]) for name in CELLS},
        "threshold_truths": len(found["classes"]),
    }
    for name, length in lengths.items():
        if len(found[name]) != length:
            raise ValueError(f"{name} has {len(found[name])} rows, expected {length}")
    for name, end in (("image", len(found["images"])), ("label", len(found["classes"])), ("code", len(ROW_NAMES))):
        numbers = found[f"row_{name}"]
        if numbers.dtype.kind != "i" or ((numbers < 0) | (numbers >= end)).any():
            raise ValueError(f"row_{name} is not whole numbers from 0 to {end - 1}")


def write_arrays(path: Path, arrays: Iterator[tuple[str, Any]]) -> None:
    """Write arrays by name as ``.npz``, lightly compressed: a quarter of the time of NumPy's compression."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, array in arrays:
            with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                if isinstance(array, InParts):
                    array.write(entry)
                else:
                    np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)


def _arrays_of(result: Mined) -> Iterator[tuple[str, Any]]:
    yield "images", np.array([name.encode(*UTF8) for name in result.images()], dtype=np.bytes_)
    yield "classes", np.array(result.classes, dtype=np.str_)
    for name in PER_IMAGE:
        yield name, getattr(result, name)
    rows = sum(map(len, result.counted("code")))
    for name in (*COLUMNS, "mined"):
        yield f"row_{name}", InParts(rows, result.counted(name))
    yield "thresholds", result.thresholds.counts
    yield "threshold_truths", result.thresholds.truths
    yield "wrong_by_recall", result.recall_curve.wrong
    parts = zip(*result.ask_cells("marks", FINEST), strict=True)
    cells = ScoreCells(*map(np.concatenate, parts)).marks(FINEST)
    yield from ((f"cell_{name}", column) for name, column in zip(CELLS, cells, strict=True))
