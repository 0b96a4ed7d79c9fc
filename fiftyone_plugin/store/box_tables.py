"""Read two tables of boxes from FiftyOne samples. Nothing else reads boxes for mining, and nothing is computed here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hnm_core import Detections
from hnm_core.boxes import FRACTION_LIMIT, xywh_to_xyxy
from hnm_core.matching.class_roles import beside_classes

from ..settings import RunSettings
from . import checks, labelled
from .access import ObjectId
from .reading import Columns, read_columns
from .rereading import Read, read_samples

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection


@dataclass(frozen=True, eq=False)
class Lists:
    """The lists that a table was read from, for the writer.

    Attributes:
        field: name of the field of Detections.
        ids: ``(n,)`` ids of *all* boxes of the lists, in order, also of classes that are left out.
        start: ``(images + 1,)`` where the ids of each image begin.
    """

    field: str
    ids: NDArray[Any]
    start: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tables:
    """Both tables of a dataset, over the same images and classes, with what the writer needs to find the boxes again.

    ``images`` of the tables are sample ids (text); rows are in the order of images.

    Attributes:
        sample_ids: id of the sample of each image.
        warnings: notes on the data, as sentences.
        read: what was read, also of samples that nobody labelled.
        sample: ``(images,)`` int64, the sample of each image in what was read.
    """

    predictions: Detections
    truth: Detections
    sample_ids: list[Any]
    prediction_lists: Lists
    truth_lists: Lists
    warnings: list[str]
    read: Read
    sample: NDArray[np.int64]


def read_tables(samples: SampleCollection, settings: RunSettings, before: Read | None = None) -> Tables:
    """Read predictions and ground truth of the split that the settings name, in one pass.

    Args:
        samples: a dataset or a view of images.
        settings: fields, split, class map and classes.
        before: an earlier reading of both fields: only samples that were modified since are read.

    Raises:
        ValueError: if there is nothing to mine, or the fields cannot be compared.
    """
    chosen = checks.check_minable(samples, settings)
    checks.check_shapes(chosen, settings.pred_field, settings.gt_field)
    notes = checks.hidden_notes(samples) + checks.split_notes(samples, chosen, settings)
    read = read_samples(chosen, settings.pred_field, settings.gt_field, before)
    _refuse_repeated(read)
    columns = list(read.columns)
    unlabelled, unlabelled_notes = labelled.unlabelled(columns[1].counts, settings)
    if unlabelled.any():
        columns = [of_field.of_samples(~unlabelled) for of_field in columns]
    sample = np.flatnonzero(~unlabelled)
    sample_ids = [ObjectId(i) for i in read.ids[sample].tolist()]
    predicted = _Boxes(settings.pred_field, sample_ids, columns[0], settings.class_map)
    true = _Boxes(settings.gt_field, sample_ids, columns[1])
    known = tuple(sorted({*predicted.names, *true.names}))
    beside = beside_classes(settings.classes or predicted.names, known, settings.engine.neutral)
    classes = (*settings.classes, *beside) if settings.classes else known
    predicted.refuse_shared_ids()
    true.refuse_shared_ids()
    notes += predicted.absent() + unlabelled_notes + labelled.shape_notes(chosen, settings)
    notes += _class_notes(predicted, true, settings, beside)
    predictions = predicted.table(classes, beside if settings.classes else ())
    truth = labelled.with_verified(true.table(classes), chosen, settings)
    if not len(predictions) and not len(truth):
        raise ValueError(f"no box is of class {_some(settings.classes)}: classes are {_some(known, 10)}")
    return Tables(predictions, truth, sample_ids, predicted.lists(), true.lists(), notes, read, sample)


def read_predictions(samples: SampleCollection, settings: RunSettings, more: Sequence[str] = ()) -> Tables:
    """Read the predictions of all samples given; the table of truths is empty.

    Args:
        samples: a dataset or a view of images.
        settings: the field of the predictions; that of the truth is none that exists, and is not read.
        more: further classes that the table has.

    Raises:
        ValueError: if there is nothing to propose.
    """
    checks.check_proposable(samples, settings.pred_field)
    checks.check_shapes(samples, settings.pred_field)
    read = read_samples(samples, settings.pred_field, settings.gt_field)
    _refuse_repeated(read)
    sample_ids = read.sample_ids()
    predicted = _Boxes(settings.pred_field, sample_ids, read.columns[0])
    predicted.refuse_shared_ids()
    predictions = predicted.table(tuple(sorted({*predicted.names, *more})))
    notes = [*checks.hidden_notes(samples), *predicted.not_predicted()]
    truth = Detections.empty(predictions.images, predictions.classes)
    none = replace(truth, ids=predictions.ids[:0] if predictions.ids is not None else None)
    nothing = _Boxes(settings.gt_field, sample_ids, read.columns[1]).lists()
    return Tables(predictions, none, sample_ids, predicted.lists(), nothing, notes, read, np.arange(len(sample_ids)))


def _refuse_repeated(read: Read) -> None:
    ids, times = np.unique(read.ids, return_counts=True)
    if len(ids) < len(read.ids):
        again = ids[times > 1].tolist()
        raise ValueError(
            f"{len(again)} of {len(ids)} samples occur more than once in this view (first {ObjectId(again[0])}): mine "
            f"each once, as dataset.select(view.values('id')) has them"
        )


def read_truth(samples: SampleCollection, gt_field: str, classes: Sequence[str] = ()) -> Detections:
    """Read the ground truth of all samples given, for exporters.

    Args:
        samples: a dataset or a view of images.
        gt_field: field of type Detections.
        classes: the classes to keep, in the order of their numbers; empty for all, sorted by name.
    """
    sample_ids, columns = read_columns(samples, {gt_field: "kind"})
    true = _Boxes(gt_field, sample_ids, columns[gt_field])
    return true.table(tuple(classes) or tuple(sorted(set(true.names))))


def ids_of(table: Detections, rows: Any = slice(None)) -> list[str]:
    """Return the label ids of these rows of a table that was read here, as FiftyOne shows them."""
    if table.ids is None:
        raise TypeError("a table without ids was not read from a dataset")
    text = table.ids[rows].tobytes().hex().encode()
    return np.frombuffer(text, "S24").astype(str).tolist()


class _Boxes:
    """The boxes of one field, flat over all samples, with their checks."""

    def __init__(
        self, field: str, sample_ids: list[Any], columns: Columns, class_map: Mapping[str, str] | None = None
    ) -> None:
        self.field, self.sample_ids, self.columns = field, sample_ids, columns
        self.counts = np.maximum(columns.counts, 0)
        self._refuse(columns.lacks["id"], "no _id: load and save them once with FiftyOne")
        self._refuse(columns.lacks["label"], "no label: give every box a class")
        self.unmapped = list(columns.names)
        self.names = [(class_map or {}).get(name, name) for name in self.unmapped]

    def __len__(self) -> int:
        return len(self.columns.id)

    def of_class(self) -> Counter[str]:
        """Count the boxes of each class."""
        boxes: Counter[str] = Counter()
        for name, n in zip(self.names, np.bincount(self.columns.label, minlength=len(self.names)), strict=True):
            boxes[name] += int(n)
        return boxes

    def absent(self) -> list[str]:
        """Return a note on samples without predictions, which may be those of other images."""
        absent, total = int((self.columns.counts < 0).sum()), len(self.counts)
        if not absent:
            return []
        what = "every truth in them counts as missed; if the model was not run on them, leave them out"
        doubt = ". Are these predictions of these images?" if 2 * absent > total else ""
        return [f"{absent} of {total} samples have no value in {self.field!r}: {what}{doubt}"]

    def not_predicted(self) -> list[str]:
        """Return a note on samples on which no model was run."""
        absent, total = int((self.columns.counts < 0).sum()), len(self.counts)
        if not absent:
            return []
        return [f"{absent} of {total} samples have no value in {self.field!r}: the model was not run on them"]

    def refuse_shared_ids(self) -> None:
        """Refuse boxes with the id of another box of the field, as copied labels have: reviews name boxes by id."""
        if len(np.unique(self.columns.id)) < len(self):
            _, number, times = np.unique(self.columns.id, return_inverse=True, return_counts=True)
            self._refuse(times[number] > 1, checks.shared_id(self.field))

    def table(self, classes: Sequence[str], without: Sequence[str] = ()) -> Detections:
        """Return the boxes of the given classes as a table over all samples, but for those of some of these classes."""
        columns = self.columns
        number = {name: i for i, name in enumerate(classes) if name not in without}
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
            kind=None if columns.kind is None else columns.kind[kept],
        )

    def lists(self) -> Lists:
        """Return the ids in the order of the lists."""
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
            (np.abs(xywh) > FRACTION_LIMIT).any(axis=1),
            "coordinates far outside the image: boxes are fractions of the image; are these pixels?",
        )
        self._refuse(
            lacks["kind"],
            f"a value that is not a flag, first {next(iter(self.columns.odd), '')}; expected true or false, 1 or 0",
        )
        self._refuse(
            lacks["score"],
            "no confidence, which mining needs on each prediction: is this field the ground truth?",
        )

    def _refuse(self, bad: Any, problem: str) -> None:
        rows = np.flatnonzero(bad)
        if rows.size:
            at = int(np.searchsorted(np.cumsum(self.counts), rows[0], side="right"))
            raise ValueError(
                f"{rows.size} of {len(self)} boxes in field {self.field!r} (first in sample "
                f"{self.sample_ids[at]}) have {problem}"
            )


def _class_notes(predicted: _Boxes, true: _Boxes, settings: RunSettings, beside: Sequence[str]) -> list[str]:
    """Return notes on classes that occur on one side only: often a spelling that ``class_map`` corrects.

    ``beside`` are regions and neighbours of other classes, which no prediction needs to name.
    """
    ours, theirs = predicted.of_class(), true.of_class()
    wanted = set(settings.classes) or {*ours, *theirs}
    notes = []
    for names, count, text in (
        (
            sorted((set(ours) - set(theirs)) & wanted),
            ours,
            "occur in the predictions only ({} boxes), so all are false positives",
        ),
        (
            sorted((set(theirs) - set(ours) - set(beside)) & wanted),
            theirs,
            "occur in the ground truth only ({} boxes), so all are missed",
        ),
    ):
        if names:
            boxes = text.format(sum(count[name] for name in names))
            notes.append(
                f"{len(names)} classes {boxes}: {_some(names)}; if the other side names them differently, use class_map"
            )
    absent = sorted(wanted - {*ours, *theirs})
    if absent:
        notes.append(f"no box is of class {_some(absent)}, which the setting classes names")
    unused = sorted(set(settings.class_map) - set(predicted.unmapped))
    if unused:
        notes.append(f"class_map names {_some(unused)}, which no prediction has")
    return notes


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
