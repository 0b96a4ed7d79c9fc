"""A mark in a chart ↔ the view it stands for. Every bar and point carries its id, and the id says what to filter by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fiftyone import ViewField as F

from hnm_core.charts import BINS, bin_range
from hnm_core.taxonomy import ERROR_TYPES, ROW_NAMES

from ..settings import RunSettings
from ..views import images_of, known

ATTRIBUTES = ("confidence", "iou")
SIDES = ("false_positives", "false_negatives")


class Pick(NamedTuple):
    """What a mark stands for: the samples, and the field of the objects if they are all in one."""

    view: Any
    field: str | None = None


def of_error(side: str, error: str) -> str:
    """Id of a bar of false positives or false negatives."""
    return f"error:{side}:{error}"


def of_bin(attribute: str, index: int, name: str) -> str:
    """Id of a bar of a histogram."""
    return f"bin:{attribute}:{index}:{name}"


def of_cell(bins: int, column: int, row: int, name: str) -> str:
    """Id of a mark of the scatter plot."""
    return f"cell:{bins}:{column}:{row}:{name}"


def of_class(side: str, name: str) -> str:
    """Id of a class's bar; the name comes last, for it may hold anything."""
    return f"class:{side}:{name}"


def of_other_classes(side: str) -> str:
    """Id of the bar of all classes that have none of their own."""
    return f"others:{side}"


def of_curve(what: str, value: float) -> str:
    """Id of a point of the curve of ``difficulty`` or ``weight``: what is at least as high."""
    return f"{what}:{value!r}"


def of_run(key: str) -> str:
    """Id of a round's point."""
    return f"run:{key}"


def run_of(pick: str) -> str | None:
    """The run that a round's point stands for, and None for all other marks."""
    return pick.removeprefix("run:") if pick.startswith("run:") else None


def view_of(
    dataset: Any, settings: RunSettings, pick: str, *, classes: Sequence[str] = (), patches: bool = False
) -> Any:
    """The samples and objects that a bar or point stands for; hardest first.

    Args:
        dataset: the whole dataset: a chart shows the run, whatever the grid shows.
        settings: the settings of the run that the chart shows.
        pick: an id, made by the functions above.
        classes: those that have bars of their own.
        patches: one object a tile, where all objects are in one field.

    Raises:
        ValueError: if no bar or point has such an id.
    """
    kind, *rest = pick.split(":", 2 if pick.startswith("class:") else -1)
    words = {"error": 2, "bin": 3, "cell": 4, "class": 2, "others": 1, "difficulty": 1, "weight": 1}
    if words.get(kind) != len(rest):
        raise ValueError(f"no bar or point is called {pick!r}")
    if kind == "others":
        rest.extend(classes)
    view, field = KINDS[kind](images_of(dataset), settings, *rest)
    if patches and field:
        return view.to_patches(field).sort_by(f"{field}.{settings.run_key}_difficulty", reverse=True)
    return view


def _error(dataset: Any, settings: RunSettings, side: str, error: str) -> Pick:
    return _objects(dataset, settings, side, _error_is(settings, error))


def _bin(dataset: Any, settings: RunSettings, attribute: str, index: str, name: str) -> Pick:
    inside = _inside(settings, known("chart", attribute, ATTRIBUTES), int(index), BINS)
    return _objects(dataset, settings, SIDES[0], inside & _error_is(settings, name))


def _cell(dataset: Any, settings: RunSettings, bins: str, column: str, row: str, name: str) -> Pick:
    inside = _inside(settings, "confidence", int(column), int(bins)) & _inside(settings, "iou", int(row), int(bins))
    return _objects(dataset, settings, SIDES[0], inside & _error_is(settings, name))


def _class(dataset: Any, settings: RunSettings, side: str, name: str) -> Pick:
    wanted = F("label").is_in(_labels(settings, side, [name])) & _is_error(settings)
    return _objects(dataset, settings, side, wanted)


def _others(dataset: Any, settings: RunSettings, side: str, *classes: str) -> Pick:
    wanted = ~F("label").is_in(_labels(settings, side, classes)) & _is_error(settings)
    return _objects(dataset, settings, side, wanted)


def _difficulty(dataset: Any, settings: RunSettings, least: str) -> Pick:
    """Mined objects of both fields; what was mined has a state."""
    wanted = F(f"{settings.run_key}_state").exists() & (F(f"{settings.run_key}_difficulty") >= float(least))
    fields = (settings.pred_field, settings.gt_field)
    counts = [F(f"{field}.detections").filter(wanted).length() for field in fields]
    view = dataset.match(counts[0] + counts[1] > 0)
    for field in fields:
        view = view.filter_labels(field, wanted, only_matches=False)
    return Pick(view.sort_by(f"{settings.run_key}_score", reverse=True))


def _weight(dataset: Any, settings: RunSettings, least: str) -> Pick:
    field = f"{settings.run_key}_weight"
    return Pick(dataset.match(F(field) >= float(least)).sort_by(field, reverse=True))


KINDS: dict[str, Callable[..., Pick]] = {
    "error": _error,
    "bin": _bin,
    "cell": _cell,
    "class": _class,
    "others": _others,
    "difficulty": _difficulty,
    "weight": _weight,
}


def _objects(dataset: Any, settings: RunSettings, side: str, wanted: Any) -> Pick:
    """The samples that hold such objects, and of these objects no others."""
    field = settings.gt_field if known("side", side, SIDES) == "false_negatives" else settings.pred_field
    return Pick(dataset.filter_labels(field, wanted).sort_by(f"{settings.run_key}_score", reverse=True), field)


def _error_is(settings: RunSettings, name: str) -> Any:
    return F(f"{settings.run_key}_error") == known("error", name, ROW_NAMES)


def _is_error(settings: RunSettings) -> Any:
    return F(f"{settings.run_key}_error").is_in(list(ERROR_TYPES))


def _labels(settings: RunSettings, side: str, classes: Sequence[str]) -> list[str]:
    """How objects of these classes are labelled on a side: a run may have mapped the predictions' names."""
    if side == "false_negatives":
        return list(classes)
    mapped = [name for name, truth in settings.class_map.items() if truth in classes]
    return [*mapped, *(name for name in classes if name not in settings.class_map)]


def _inside(settings: RunSettings, attribute: str, index: int, bins: int) -> Any:
    """The filter for one bin: with its lower edge, and without the upper one unless it is the last."""
    value = F("confidence") if attribute == "confidence" else F(f"{settings.run_key}_iou")
    low, high = bin_range(index, bins)
    return (value >= low) & ((value <= high) if index == bins - 1 else (value < high))
