"""FiftyOne samples → two tables of boxes. The only reader; it computes nothing but where things stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnm_core import Detections
from hnm_core.boxes import xywh_to_xyxy

from . import checks
from .reading import Columns, read_columns
from .settings import RunSettings


@dataclass(frozen=True, eq=False)
class Lists:
    """The lists that a table was read from, for the writer.

    Attributes:
        field: name of the field of Detections.
        ids: ``(n,)`` ids of *all* boxes of the lists, in order, those of classes left out included.
        start: ``(images + 1,)`` where each image's ids begin.
    """

    field: str
    ids: NDArray[Any]
    start: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tables:
    """Both tables of a dataset, over the same images and classes, and what the writer needs to find them again.

    ``images`` of the tables are sample ids (text); rows stand in the order of images.
    """

    predictions: Detections
    truth: Detections
    sample_ids: list[Any]
    prediction_lists: Lists
    truth_lists: Lists
    warnings: list[str]


def read_tables(samples: Any, settings: RunSettings) -> Tables:
    """Read predictions and ground truth of the split that the settings name, in one pass.

    Args:
        samples: a dataset or a view of images.
        settings: fields, split, class map and classes.

    Raises:
        ValueError: in one sentence, if there is nothing to mine or it can't be compared.
    """
    chosen = checks.check_minable(samples, settings)
    notes = checks.hidden_notes(samples) + checks.split_notes(samples, chosen, settings)
    sample_ids, columns = read_columns(chosen, {settings.pred_field: "score", settings.gt_field: "crowd"})
    predicted = _Boxes(settings.pred_field, sample_ids, columns[settings.pred_field], settings.class_map)
    true = _Boxes(settings.gt_field, sample_ids, columns[settings.gt_field])
    classes = settings.classes or tuple(sorted({*predicted.names, *true.names}))
    notes += predicted.absent("every truth in them counts as missed; if the model never saw them, leave them out")
    notes += true.absent("they count as images without objects; if nobody has annotated them yet, leave them out")
    notes += _class_notes(predicted, true, settings)
    predictions, truth = predicted.table(classes), true.table(classes)
    if not len(predictions) and not len(truth):
        known = sorted({*predicted.names, *true.names})
        raise ValueError(f"no box is of class {_some(settings.classes)}: classes are {_some(known, 10)}")
    return Tables(predictions, truth, sample_ids, predicted.lists(), true.lists(), notes)


def read_truth(samples: Any, gt_field: str, classes: Sequence[str] = ()) -> Detections:
    """The ground truth of all samples given, for exporters.

    Args:
        samples: a dataset or a view of images.
        gt_field: field of type Detections.
        classes: the classes to keep, in the order they are to be numbered; empty for all, by name.
    """
    sample_ids, columns = read_columns(samples, {gt_field: "crowd"})
    true = _Boxes(gt_field, sample_ids, columns[gt_field])
    return true.table(tuple(classes) or tuple(sorted(set(true.names))))


def ids_of(table: Detections, rows: Any = slice(None)) -> list[str]:
    """Label ids of these rows of a table that was read here, as FiftyOne shows them."""
    if table.ids is None:
        raise TypeError("a table without ids was not read from a dataset")
    text = table.ids[rows].tobytes().hex().encode()
    return np.frombuffer(text, "S24").astype(str).tolist()


class _Boxes:
    """The boxes of one field, flat over all samples, and every complaint about them."""

    def __init__(
        self, field: str, sample_ids: list[Any], columns: Columns, class_map: Mapping[str, str] | None = None
    ) -> None:
        self.field, self.sample_ids, self.columns = field, sample_ids, columns
        self.counts = np.maximum(columns.counts, 0)
        self._refuse(columns.lacks["id"], "no _id: load and save them with FiftyOne once")
        self._refuse(columns.lacks["label"], "no label: give every box a class")
        self.unmapped = list(columns.names)
        self.names = [(class_map or {}).get(name, name) for name in self.unmapped]

    def __len__(self) -> int:
        return len(self.columns.id)

    def of_class(self) -> Counter[str]:
        """How many boxes of each class there are."""
        boxes: Counter[str] = Counter()
        for name, n in zip(self.names, np.bincount(self.columns.label, minlength=len(self.names)), strict=True):
            boxes[name] += int(n)
        return boxes

    def absent(self, meaning: str) -> list[str]:
        """A note on samples that have no list at all, which may mean that nobody looked at them."""
        absent = int((self.columns.counts < 0).sum())
        return [f"{absent} of {len(self.counts)} samples have no value in {self.field!r}: {meaning}"] if absent else []

    def table(self, classes: Sequence[str]) -> Detections:
        """The boxes of the given classes as a table over all samples."""
        columns, number = self.columns, {name: i for i, name in enumerate(classes)}
        self._check_boxes()
        label = np.array([number.get(name, -1) for name in self.names], dtype=np.int64)[columns.label]
        kept = slice(None) if (label >= 0).all() else np.flatnonzero(label >= 0)
        return Detections(
            image=np.repeat(np.arange(len(self.counts)), self.counts)[kept],
            xyxy=xywh_to_xyxy(columns.xywh[kept]),
            label=label[kept],
            score=None if columns.score is None else columns.score[kept],
            images=tuple(map(str, self.sample_ids)),
            classes=tuple(classes),
            ids=columns.id[kept],
            crowd=None if columns.crowd is None else columns.crowd[kept],
        )

    def lists(self) -> Lists:
        """The ids as they were listed."""
        return Lists(self.field, self.columns.id, np.concatenate([[0], np.cumsum(self.counts)]))

    def _check_boxes(self) -> None:
        xywh, lacks = self.columns.xywh, self.columns.lacks
        self._refuse(lacks["xywh"], "no bounding_box of four numbers")
        with np.errstate(invalid="ignore"):
            self._refuse(
                ~(np.isfinite(xywh).all(axis=1) & (xywh[:, 2:] >= 0).all(axis=1)),
                "a negative width or height, or NaN: boxes are [x, y, width, height] as fractions of the image",
            )
        self._refuse(
            lacks["score"],
            "no confidence, and mining needs the detector's confidence on each: is this the ground truth?",
        )

    def _refuse(self, bad: Any, problem: str) -> None:
        rows = np.flatnonzero(bad)
        if rows.size:
            at = int(np.searchsorted(np.cumsum(self.counts), rows[0], side="right"))
            raise ValueError(
                f"{rows.size} of {len(self)} boxes in field {self.field!r} (first in sample "
                f"{self.sample_ids[at]}) have {problem}"
            )


def _class_notes(predicted: _Boxes, true: _Boxes, settings: RunSettings) -> list[str]:
    """Warn of classes on one side only: mostly a matter of spelling that ``class_map`` mends."""
    ours, theirs = predicted.of_class(), true.of_class()
    wanted = set(settings.classes) or {*ours, *theirs}
    notes = []
    for names, count, text in (
        (
            sorted((set(ours) - set(theirs)) & wanted),
            ours,
            "occur in the predictions only ({} boxes), so all are false alarms",
        ),
        (
            sorted((set(theirs) - set(ours)) & wanted),
            theirs,
            "occur in the ground truth only ({} boxes), so all are missed",
        ),
    ):
        if names:
            boxes = text.format(sum(count[name] for name in names))
            notes.append(
                f"{len(names)} classes {boxes}: {_some(names)}; if the other side calls them otherwise, use class_map"
            )
    absent = sorted(wanted - {*ours, *theirs})
    if absent:
        notes.append(f"classes names {_some(absent)}, which no box has")
    unused = sorted(set(settings.class_map) - set(predicted.unmapped))
    if unused:
        notes.append(f"class_map names {_some(unused)}, which no prediction has")
    return notes


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
