"""The marks of the charts and the views they stand for. Every bar and point has an id, which says what to filter by."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fiftyone import ViewField as F

from hnm_core.reporting.chart_data import BINS, bin_range
from hnm_core.taxonomy import BELOW_THRESHOLD, ERROR_TYPES, PROPOSALS, ROW_NAMES

from ..settings import RunSettings
from ..store.views import images_of, known, largest_first

if TYPE_CHECKING:
    import fiftyone as fo

ATTRIBUTES = ("confidence", "iou")
SIDES = ("false_positives", "false_negatives")
BELOW = ROW_NAMES[BELOW_THRESHOLD]


NAMES_LAST = {"class": 2, "confusion": 1}
"""How often ids with names of classes at their end are split: names can contain a colon."""


class Pick(NamedTuple):
    """The samples that a mark stands for, and the field of its objects if they are all in one."""

    view: fo.DatasetView
    field: str | None = None


def of_error(side: str, error: str) -> str:
    """Return the id of a bar of false positives or false negatives."""
    return f"error:{side}:{error}"


def of_bin(attribute: str, index: int, name: str) -> str:
    """Return the id of a bar of a histogram."""
    return f"bin:{attribute}:{index}:{name}"


def of_cell(bins: int, column: int, row: int, name: str) -> str:
    """Return the id of a mark of the scatter plot."""
    return f"cell:{bins}:{column}:{row}:{name}"


def of_class(side: str, name: str) -> str:
    """Return the id of a class's bar; the name comes last, since it can contain any character."""
    return f"class:{side}:{name}"


def of_confusion(true: str, predicted: str) -> str:
    """Return the id of the bar of a pair of classes; names can contain any character."""
    return f"confusion:{json.dumps([true, predicted])}"


def of_other_classes(side: str) -> str:
    """Return the id of the bar of all classes without a bar of their own."""
    return f"others:{side}"


def of_curve(what: str, value: float) -> str:
    """Return the id of a point of the curve of ``difficulty`` or ``weight``: everything that is at least as high."""
    return f"{what}:{value!r}"


def of_run(key: str) -> str:
    """Return the id of a run's point."""
    return f"run:{key}"


def run_of(pick: str) -> str | None:
    """Return the run that a point stands for, or None for any other mark."""
    return pick.removeprefix("run:") if pick.startswith("run:") else None


def view_of(
    dataset: fo.Dataset, settings: RunSettings, pick: str, *, classes: Sequence[str] = (), patches: bool = False
) -> Any:
    """Return the samples and objects that a bar or point stands for, hardest first.

    Args:
        dataset: the whole dataset: a chart shows all of the run, whatever the grid shows.
        settings: the settings of the run that the chart shows.
        pick: an id, made by the functions above.
        classes: classes with bars of their own.
        patches: one object per tile, if all objects are in one field.

    Raises:
        ValueError: if no bar or point has such an id.
    """
    kind, *rest = pick.split(":", NAMES_LAST.get(pick.partition(":")[0], -1))
    lengths = {"error": 2, "bin": 3, "cell": 4, "class": 2, "confusion": 1, "others": 1, "difficulty": 1, "weight": 1}
    if lengths.get(kind) != len(rest):
        raise ValueError(f"no bar or point has the id {pick!r}")
    if kind == "others":
        rest.extend(classes)
    view, field = KINDS[kind](images_of(dataset).exists(f"{settings.run_key}_count"), settings, *rest)
    if patches and field:
        return largest_first(view.to_patches(field), f"{field}.{settings.run_key}_difficulty")
    return view


def _error(dataset: fo.Dataset, settings: RunSettings, side: str, error: str) -> Pick:
    return _objects(dataset, settings, side, _error_is(settings, error))


def _bin(dataset: fo.Dataset, settings: RunSettings, attribute: str, index: str, name: str) -> Pick:
    inside = _inside(settings, known("chart", attribute, ATTRIBUTES), int(index), BINS, name)
    return _objects(dataset, settings, SIDES[0], inside & _error_is(settings, name))


def _cell(dataset: fo.Dataset, settings: RunSettings, bins: str, column: str, row: str, name: str) -> Pick:
    inside = _inside(settings, "confidence", int(column), int(bins), name)
    inside &= _inside(settings, "iou", int(row), int(bins), name)
    return _objects(dataset, settings, SIDES[0], inside & _error_is(settings, name))


def _class(dataset: fo.Dataset, settings: RunSettings, side: str, name: str) -> Pick:
    wanted = F("label").is_in(_labels(settings, side, [name])) & _is_error(settings)
    return _objects(dataset, settings, side, wanted)


def _confusion(dataset: fo.Dataset, settings: RunSettings, pair: str) -> Pick:
    """Return the predictions of one class whose nearest truth is of the other."""
    true, predicted = json.loads(pair)
    truths = F(f"${settings.gt_field}.detections").filter(F("label") == true).map(F("_id").to_string())
    wanted = _error_is(settings, "classification") & F("label").is_in(_labels(settings, SIDES[0], [predicted]))
    has_truths = dataset.match(F(f"{settings.gt_field}.detections").length() > 0)
    return _objects(has_truths, settings, SIDES[0], wanted & truths.contains([F(f"{settings.run_key}_near_id")]))


def _others(dataset: fo.Dataset, settings: RunSettings, side: str, *classes: str) -> Pick:
    wanted = ~F("label").is_in(_labels(settings, side, classes)) & _is_error(settings)
    return _objects(dataset, settings, side, wanted)


def _difficulty(dataset: fo.Dataset, settings: RunSettings, least: str) -> Pick:
    """Return mined objects of both fields; every mined object has a state."""
    wanted = F(f"{settings.run_key}_state").exists() & (F(f"{settings.run_key}_difficulty") >= float(least))
    fields = (settings.pred_field, settings.gt_field)
    counts = [F(f"{field}.detections").filter(wanted).length() for field in fields]
    view = dataset.match(counts[0] + counts[1] > 0)
    for field in fields:
        view = view.filter_labels(field, wanted, only_matches=False)
    return Pick(largest_first(view, f"{settings.run_key}_score"))


def _weight(dataset: fo.Dataset, settings: RunSettings, least: str) -> Pick:
    field = f"{settings.run_key}_weight"
    return Pick(largest_first(dataset.match(F(field) >= float(least)), field))


KINDS: dict[str, Callable[..., Pick]] = {
    "error": _error,
    "bin": _bin,
    "cell": _cell,
    "class": _class,
    "confusion": _confusion,
    "others": _others,
    "difficulty": _difficulty,
    "weight": _weight,
}


def _objects(dataset: fo.Dataset, settings: RunSettings, side: str, wanted: Any) -> Pick:
    """Return the samples with such objects, and only these objects."""
    field = settings.gt_field if known("side", side, SIDES) == "false_negatives" else settings.pred_field
    return Pick(largest_first(dataset.filter_labels(field, wanted), f"{settings.run_key}_score"), field)


def _error_is(settings: RunSettings, name: str) -> Any:
    """Return the filter of a row name; predictions below the threshold have no field, only label and confidence."""
    if known("error", name, ROW_NAMES) != BELOW:
        return F(f"{settings.run_key}_error") == name
    engine = settings.engine
    own = {label: _labels(settings, SIDES[0], [label]) for label in engine.class_confidence}
    below = F("confidence") < engine.confidence_threshold
    if own:
        below &= ~F("label").is_in([label for labels in own.values() for label in labels])
    for label, labels in own.items():
        below |= (F("confidence") < engine.class_confidence[label]) & F("label").is_in(labels)
    return below & F("label").is_in(_labels(settings, SIDES[0], settings.classes)) if settings.classes else below


def _is_error(settings: RunSettings) -> Any:
    return F(f"{settings.run_key}_error").is_in([*ERROR_TYPES, *PROPOSALS])


def _labels(settings: RunSettings, side: str, classes: Sequence[str]) -> list[str]:
    """Return the labels of objects of these classes on a side; a run may have mapped the predictions' names."""
    if side == "false_negatives":
        return list(classes)
    mapped = [name for name, truth in settings.class_map.items() if truth in classes]
    return [*mapped, *(name for name in classes if name not in settings.class_map)]


def _inside(settings: RunSettings, attribute: str, index: int, bins: int, name: str) -> Any:
    """Return the filter of one bin, with its lower edge and without the upper one, except for the last bin.

    Predictions below the threshold have no IoU: they are found by confidence alone.
    """
    if attribute == "iou" and name == BELOW:
        return F("confidence").exists()
    value = F("confidence") if attribute == "confidence" else F(f"{settings.run_key}_iou")
    low, high = bin_range(index, bins)
    return (value >= low) & ((value <= high) if index == bins - 1 else (value < high))
