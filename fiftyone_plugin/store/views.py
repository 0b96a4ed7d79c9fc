"""Queries on a dataset as views: stages over stored fields, never lists of ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import fiftyone as fo
from fiftyone import ViewField as F
from fiftyone.core.utils import to_slug

from hnm_core.boxes import FRACTIONS_OF, SIZE_EDGES, SIZES
from hnm_core.labels.reviews import SIDES, STATES
from hnm_core.rounds import CHANGES, KINDS
from hnm_core.settings.values import check_share, check_switch
from hnm_core.taxonomy import ERROR_TYPES, PROPOSALS

from ..settings import RunSettings
from . import access

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

HELD_OUT = {"val": ("val", "validation", "valid"), "test": ("test",)}
"""Spellings, as tags or as field values, of the splits that are never weighted."""

TYPES = ("false_positive", "false_negative", "lucky_hit")
"""Kinds of mined objects: the first and the last are predictions, the second are truths."""

TRUTH_ERRORS = ("localization", "classification", "missed", "gap")
"""Error types that a missed truth can have, and what is proposed as one."""

MOST_NAMES = 20
"""Classes that an error lists."""

SORTS = ("difficulty", "suspicion", "confidence")
"""Values that mined objects can be sorted by."""


def images_of(samples: SampleCollection) -> Any:
    """Return all images of a dataset in all group slices; a grouped dataset itself shows only one slice."""
    return samples.select_group_slices(media_type="image") if samples.media_type == "group" else samples


def slices_of(samples: SampleCollection) -> list[str]:
    """Return the names of the group slices of these images; none if there are no groups."""
    field = access.root(samples).group_field
    return samples.distinct(f"{field}.name") if field else []


def of_split(samples: SampleCollection, split: str, split_field: str | None = None) -> Any:
    """Return the samples of a split, by tag or by a text field.

    By tag, every sample that is tagged neither val nor test is train, since many datasets tag only what is held out. By
    field, samples with value 'train' or no value are train; unknown values are treated as held out.
    """
    if split_field is None:
        names = HELD_OUT.get(split) or tuple(name for held_out in HELD_OUT.values() for name in held_out)
        return samples.match_tags(names, bool=split in HELD_OUT)
    _check_split_field(samples, split_field)
    if split in HELD_OUT:
        return samples.match(F(split_field).is_in(HELD_OUT[split]))
    return samples.match((F(split_field) == split) | ~F(split_field).exists())


def without_split(samples: SampleCollection, split_field: str | None = None) -> Any:
    """Return the samples that name no split."""
    if split_field is not None:
        return samples.match(~F(split_field).exists())
    return samples.match_tags(("train", *(name for held_out in HELD_OUT.values() for name in held_out)), bool=False)


def hardest(
    samples: SampleCollection,
    settings: RunSettings,
    *,
    type: str | None = None,
    side: str | None = None,
    label: str | None = None,
    error: str | None = None,
    state: str | None = None,
    change: str | None = None,
    min_difficulty: float | None = None,
    min_suspicion: float | None = None,
    max_suspicion: float | None = None,
    size: str | None = None,
    most: int | None = None,
    patches: bool = False,
    sort_by: str = "difficulty",
) -> Any:
    """Return the mined objects of a run and their samples, hardest first.

    Objects reviewed as ``ignore`` are left out unless ``state`` asks for them.

    Args:
        samples: a dataset, or a view of it.
        settings: the settings of the run.
        type: ``false_positive`` (the default if ``side`` is not given), ``false_negative`` (the default for error
            ``missed``) or ``lucky_hit``.
        side: all mined objects among the ``prediction`` or the ``truth`` boxes.
        label: only objects of this class.
        error: only this error type, such as ``background``; of a run without ground truth one of its lists:
            ``confident``, ``uncertain`` or ``gap``.
        state: only this review state, such as ``missing_label``.
        change: only ``persistent`` or ``new`` errors, where the run was compared with another.
        min_difficulty: only objects at least this hard, in ``[0, 1]``.
        min_suspicion: only objects with at least this suspicion.
        max_suspicion: only objects with at most this suspicion.
        size: only ``small``, ``medium`` or ``large`` boxes, by the share of the image, as reports count them.
        most: only so many of these objects, the hardest; of whole images all that are as hard as the last of them.
        patches: one object per tile instead of whole images.
        sort_by: ``difficulty``, ``suspicion`` or ``confidence``, largest first, equal ones by difficulty; whole images
            by their largest value, or by their image score for ``difficulty``.

    Raises:
        ValueError: if a name is none of those above, nothing has this label, or the field to filter by does not exist.
    """
    samples, key = images_of(samples), settings.run_key
    if type is None and side is None:
        type = "false_negative" if error in ("missed", "gap") else TYPES[0]
    own = known("side", side, SIDES) if side else "truth" if type == "false_negative" else "prediction"
    of_truth = own == "truth"
    if type and (known("type", type, TYPES) == "false_negative") != of_truth:
        raise ValueError(f"no {type} is on side {side!r}: name one of the two")
    field = settings.gt_field if of_truth else settings.pred_field
    if known("sort_by", sort_by, SORTS) == "confidence" and of_truth:
        raise ValueError("a truth has no confidence: sort by difficulty or suspicion")
    if change is not None and samples.get_field(f"{field}.detections.{key}_change") is None:
        raise ValueError(f"run {key!r} was not compared with an earlier run: run compare_mining_runs first")
    if error is not None:
        _check_error(known("error", error, errors_of(settings)), settings, type, of_truth=of_truth)
    reviewed, lucky = F(f"{key}_state"), F(f"{key}_error") == "true_positive"
    wanted = reviewed.exists() & (reviewed != "ignore") if state is None else reviewed == known("state", state, STATES)
    if type:
        wanted &= lucky if type == "lucky_hit" else ~lucky
    if error is not None:
        wanted &= F(f"{key}_error") == error
    if change is not None:
        wanted &= F(f"{key}_change") == known("change", change, CHANGES[:2])
    if label is not None:
        names = [label, *_mapped_to(label, settings, of_truth=of_truth)]
        _check_label(samples, settings, label, names)
        wanted &= F("label").is_in(names)
    if size is not None:
        wanted &= _is_of_size(known("size", size, SIZES))
    for least, largest, name in ((min_difficulty, None, "difficulty"), (min_suspicion, max_suspicion, "suspicion")):
        if least is not None:
            wanted &= F(f"{key}_{name}") >= check_share(f"min_{name}", least)
        if largest is not None:
            wanted &= F(f"{key}_{name}") <= check_share(f"max_{name}", largest)
    found = samples.filter_labels(field, wanted)
    if most is not None:
        found = samples.filter_labels(field, wanted & (F(f"{key}_difficulty") >= _least_of(found, field, key, most)))
    attribute = sort_by if sort_by == "confidence" else f"{key}_{sort_by}"
    if check_switch("patches", patches):
        tiles = found.to_patches(field)
        if most is not None:
            tiles = largest_first(tiles, f"{field}.{key}_difficulty").limit(most)
        second = () if sort_by == "difficulty" else (f"{field}.{key}_difficulty",)
        return largest_first(tiles, f"{field}.{attribute}", *second)
    if sort_by == "difficulty":
        return largest_first(found, f"{key}_score")
    return largest_first(found, F(f"{field}.detections").map(F(attribute)).max(), f"{key}_score")


def check_filters(filters: Collection[str]) -> None:
    """Refuse filters that :func:`hardest` does not have.

    Raises:
        ValueError: naming them, and those that there are.
    """
    names = [name for name in signature(hardest).parameters if name not in ("samples", "settings")]
    unknown = [name for name in filters if name not in names]
    if unknown:
        raise ValueError(f"no such filter: {', '.join(unknown)}; filters are {', '.join(names)}")


def errors_of(settings: RunSettings) -> tuple[str, ...]:
    """Return the error types of a run, those that only truths have last; without ground truth, its lists."""
    return PROPOSALS if settings.without_truth else ERROR_TYPES


def _check_error(error: str, settings: RunSettings, type: str | None, *, of_truth: bool) -> None:
    """Refuse an error type that this kind of object never has."""
    names = errors_of(settings)
    fit = [name for name in names if name in TRUTH_ERRORS] if of_truth else list(names[:-1])
    if type == "lucky_hit" or error not in fit:
        what = type or ("truth" if of_truth else "prediction")
        have = "no error type" if type == "lucky_hit" else ", ".join(fit)
        raise ValueError(f"no {what} has error {error!r}: it can have {have}")


def _check_label(samples: SampleCollection, settings: RunSettings, label: str, names: Sequence[str]) -> None:
    """Refuse a class that no box of the run's fields has; a known class without mistakes is no error."""
    collection = access.collection(samples)
    paths = [f"{field}.detections.label" for field in (settings.pred_field, settings.gt_field)]
    if collection.find_one({"$or": [{path: {"$in": names}} for path in paths]}, ["_id"]) is None:
        classes = sorted({str(name) for path in paths for name in collection.distinct(path)})
        listed = ", ".join(classes[:MOST_NAMES]) + (" …" if len(classes) > MOST_NAMES else "")
        raise ValueError(f"no box has label {label!r}; labels are {listed}")


def _is_of_size(size: str) -> Any:
    """Return the filter of a box size, with the areas and the inclusive upper edges of the engine."""
    area = F("bounding_box")[2] * F("bounding_box")[3] * FRACTIONS_OF
    edges = (0.0, *SIZE_EDGES, float("inf"))
    at = SIZES.index(size)
    smaller = area <= edges[at + 1] if size != SIZES[-1] else None
    larger = area > edges[at] if at else None
    return smaller & larger if smaller is not None and larger is not None else smaller if larger is None else larger


def _least_of(found: Any, field: str, key: str, most: int) -> float:
    """Return the difficulty of the last of the ``most`` hardest objects of a view."""
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ValueError(f"most must be a whole number, 1 or more, got {most!r}")
    values = found.values(f"{field}.detections.{key}_difficulty", unwind=True)
    rising = sorted(value for value in values if value is not None)
    return float(rising[-most:][0]) if rising else 0.0


def largest_first(samples: SampleCollection, *values: Any) -> Any:
    """Sort by the first value, where it is equal by the next, at last by id.

    Without the id the App, which reads a view page by page, would repeat some samples of equal value and never show
    others: MongoDB orders ties anew for every page.
    """
    return samples.sort_by([*((value, -1) for value in values), ("id", 1)])


def _mapped_to(label: str, settings: RunSettings, *, of_truth: bool) -> list[str]:
    """Return the class names of the predictions that the run maps to this class."""
    return [] if of_truth else [name for name, mapped in settings.class_map.items() if mapped == label]


def changed(
    samples: SampleCollection, earlier: RunSettings, later: RunSettings, change: str, *, kind: str = KINDS[0]
) -> Any:
    """Return the errors that persist, are new or are fixed since an earlier run, and their samples, hardest first.

    Args:
        samples: a dataset, or a view of it.
        earlier: settings of the earlier run.
        later: settings of the run that was compared with it.
        change: ``persistent``, ``new`` or ``fixed``.
        kind: ``false_positives`` or ``false_negatives``.

    Raises:
        ValueError: if a name is none of those above.
    """
    run = earlier if known("change", change, CHANGES) == "fixed" else later
    field = run.pred_field if known("kind", kind, KINDS) == KINDS[0] else run.gt_field
    found = images_of(samples).filter_labels(field, F(f"{later.run_key}_change") == change)
    return largest_first(found, f"{run.run_key}_score")


def save(view: fo.DatasetView, name: str) -> None:
    """Save a view under a name in its dataset.

    Raises:
        ValueError: if the name is taken.
    """
    check_name(access.root(view), name)
    access.root(view).save_view(name, view)


def check_name(dataset: fo.Dataset, name: str, parameter: str = "save_as") -> None:
    """Refuse a name that a saved view has, or one that FiftyOne would give the same URL.

    Raises:
        ValueError: naming it.
    """
    for taken in dataset.list_saved_views():
        if to_slug(taken) == to_slug(name):
            raise ValueError(f"{parameter} {name!r} is taken by saved view {taken!r}: choose another name")


def known(what: str, name: str, names: Collection[str]) -> str:
    """Return the name if it is one of the names."""
    if name not in names:
        raise ValueError(f"{what} must be one of {', '.join(names)}, got {name!r}")
    return name


def _check_split_field(samples: SampleCollection, name: str) -> None:
    found = samples.get_field(name) if isinstance(name, str) else None
    if not isinstance(found, fo.StringField):
        problem = f"is a {found.__class__.__name__}" if found is not None else "does not exist"
        texts = ", ".join(path for path in samples.get_field_schema(ftype=fo.StringField) if path != "filepath")
        raise ValueError(
            f"split_field {name!r} {problem}, expected a text field; text fields in this dataset: {texts or 'none'}"
        )
