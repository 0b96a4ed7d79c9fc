"""FiftyOne samples → two tables of boxes. The only reader; it computes nothing but where things stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnm_core import Detections
from hnm_core.boxes import xywh_to_xyxy

from . import checks
from .settings import RunSettings

COLUMNS = {"id": "_id", "box": "bounding_box", "label": "label", "score": "confidence", "crowd": "iscrowd"}
"""What is read of every box: our name, FiftyOne's."""


@dataclass(frozen=True, eq=False)
class Lists:
    """The lists that a table was read from, for the writer.

    Attributes:
        field: name of the field of Detections.
        ids: per image, the ids of *all* boxes in its list, in order, those of classes left out included.
    """

    field: str
    ids: list[list[Any]]


@dataclass(frozen=True, eq=False)
class Tables:
    """Both tables of a dataset, over the same images and classes, and what the writer needs to find them again.

    ``images`` of the tables are sample ids (text), ``ids`` are label ids (ObjectId); rows stand in the order of images.
    """

    predictions: Detections
    truth: Detections
    sample_ids: list[Any]
    prediction_lists: Lists
    truth_lists: Lists
    warnings: list[str]


def read_tables(samples: Any, settings: RunSettings) -> Tables:
    """Read predictions and ground truth of the split that the settings name, in one pass over columns.

    Args:
        samples: a dataset or a view of images.
        settings: fields, split, class map and classes.

    Raises:
        ValueError: in one sentence, if there is nothing to mine or it can't be compared.
    """
    chosen = checks.check_minable(samples, settings)
    notes = checks.split_notes(samples, chosen, settings)
    documents = _read(chosen, {"p": settings.pred_field, "t": settings.gt_field})
    predicted = _Boxes(documents, "p", settings.pred_field)
    true = _Boxes(documents, "t", settings.gt_field)
    labels = [settings.class_map.get(name, name) for name in predicted.labels()], true.labels()
    classes = settings.classes or tuple(sorted(set(labels[0]) | set(labels[1])))
    notes += predicted.absent("every truth in them counts as missed; if the model never saw them, leave them out")
    notes += true.absent("they count as images without objects; if nobody has annotated them yet, leave them out")
    notes += _class_notes(predicted, *labels, settings)
    sample_ids = [document["_id"] for document in documents]
    predictions = predicted.table(sample_ids, labels[0], classes, scored=True)
    truth = true.table(sample_ids, labels[1], classes, scored=False)
    if not len(predictions) and not len(truth):
        raise ValueError(
            f"no box is of class {_some(settings.classes)}: classes are {_some(sorted({*labels[0], *labels[1]}), 10)}"
        )
    return Tables(predictions, truth, sample_ids, predicted.lists(), true.lists(), notes)


def read_truth(samples: Any, gt_field: str, classes: Sequence[str] = ()) -> Detections:
    """The ground truth of all samples given, for exporters.

    Args:
        samples: a dataset or a view of images.
        gt_field: field of type Detections.
        classes: the classes to keep, in the order they are to be numbered; empty for all, by name.
    """
    documents = _read(samples, {"t": gt_field})
    true = _Boxes(documents, "t", gt_field)
    labels = true.labels()
    names = tuple(classes) or tuple(sorted(set(labels)))
    return true.table([document["_id"] for document in documents], labels, names, scored=False)


def ids_of(table: Detections) -> NDArray[Any]:
    """``(n,)`` label ids of a table that was read here."""
    if table.ids is None:
        raise TypeError("a table without ids was not read from a dataset")
    return table.ids


def _read(samples: Any, prefixes: dict[str, str]) -> list[dict[str, Any]]:
    """Every column of every field in one query, one small document per sample.

    ``$map`` instead of a plain path, for a path skips boxes that lack the attribute and shifts all that follow.
    """
    project = {
        f"{prefix}_{ours}": {"$map": {"input": f"${name}.detections", "in": f"$$this.{theirs}"}}
        for prefix, name in prefixes.items()
        for ours, theirs in COLUMNS.items()
        if not (prefix == "t" and ours == "score") and not (prefix == "p" and ours == "crowd")
    }
    return list(samples._aggregate(post_pipeline=[{"$project": project}]))


class _Boxes:
    """The boxes of one field, flat over all samples, and every complaint about them."""

    def __init__(self, documents: list[dict[str, Any]], prefix: str, field: str) -> None:
        self.field = field
        self.documents = documents
        self.prefix = prefix
        self.listed: list[list[Any]] = [document.get(f"{prefix}_id") or [] for document in documents]
        self.counts = np.array([len(ids) for ids in self.listed], dtype=np.int64)

    def __len__(self) -> int:
        return int(self.counts.sum())

    def values(self, name: str) -> list[Any]:
        """One attribute of every box."""
        key = f"{self.prefix}_{name}"
        return list(chain.from_iterable(document.get(key) or () for document in self.documents))

    def labels(self) -> list[str]:
        """Class name of every box."""
        labels = self.values("label")
        self._refuse((name is None for name in labels), "no label: give every box a class")
        return labels

    def absent(self, meaning: str) -> list[str]:
        """A note on samples that have no list at all, which may mean that nobody looked at them."""
        absent = sum(document.get(f"{self.prefix}_id") is None for document in self.documents)
        return (
            [f"{absent} of {len(self.documents)} samples have no value in {self.field!r}: {meaning}"] if absent else []
        )

    def table(self, sample_ids: list[Any], labels: list[str], classes: Sequence[str], *, scored: bool) -> Detections:
        """The boxes of the given classes as a table over all samples."""
        number = {name: i for i, name in enumerate(classes)}
        label = np.fromiter((number.get(name, -1) for name in labels), dtype=np.int64, count=len(labels))
        kept = np.flatnonzero(label >= 0)
        image = np.repeat(np.arange(len(self.counts)), self.counts)
        ids = np.empty(len(label), dtype=object)
        ids[:] = self.values("id")
        return Detections(
            image=image[kept],
            xyxy=xywh_to_xyxy(self._boxes())[kept],
            label=label[kept],
            score=self._scores()[kept] if scored else None,
            images=tuple(map(str, sample_ids)),
            classes=tuple(classes),
            ids=ids[kept],
            crowd=None if scored else np.array([bool(c) for c in self.values("crowd")], dtype=bool)[kept],
        )

    def lists(self) -> Lists:
        """The ids as they were listed."""
        return Lists(self.field, self.listed)

    def _boxes(self) -> NDArray[np.float64]:
        """``(n, 4)`` x, y, width, height as fractions of the image, as FiftyOne stores them."""
        boxes = self.values("box")
        self._refuse((box is None or len(box) != 4 for box in boxes), "no bounding_box of four numbers")
        xywh = np.array(boxes, dtype=np.float64).reshape(-1, 4)
        with np.errstate(invalid="ignore"):
            self._refuse(
                ~(np.isfinite(xywh).all(axis=1) & (xywh[:, 2:] >= 0).all(axis=1)),
                "a negative width or height, or NaN: boxes are [x, y, width, height] as fractions of the image",
            )
        return xywh

    def _scores(self) -> NDArray[np.float64]:
        scores = self.values("score")
        self._refuse(
            (score is None for score in scores),
            "no confidence, and mining needs the detector's confidence on each: is this the ground truth?",
        )
        return np.array(scores, dtype=np.float64)

    def _refuse(self, bad: Any, problem: str) -> None:
        rows = np.flatnonzero(np.fromiter(bad, dtype=bool, count=len(self)))
        if rows.size:
            at = int(np.searchsorted(np.cumsum(self.counts), rows[0], side="right"))
            raise ValueError(
                f"{rows.size} of {len(self)} boxes in field {self.field!r} (first in sample "
                f"{self.documents[at]['_id']}) have {problem}"
            )


def _class_notes(predicted: _Boxes, predictions: list[str], truth: list[str], settings: RunSettings) -> list[str]:
    """Warn of classes on one side only: mostly a matter of spelling that ``class_map`` mends."""
    ours, theirs = Counter(predictions), Counter(truth)
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
    unused = sorted(set(settings.class_map) - set(predicted.labels()))
    if unused:
        notes.append(f"class_map names {_some(unused)}, which no prediction has")
    return notes


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
