"""Named questions to a dataset, as views: stages over stored fields, never lists of ids."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import fiftyone as fo
from fiftyone import ViewField as F
from fiftyone.core.utils import to_slug

from hnm_core.reviews import SIDES, STATES
from hnm_core.rounds import CHANGES, KINDS
from hnm_core.taxonomy import ERROR_TYPES

from .settings import RunSettings

HELD_OUT = {"val": ("val", "validation", "valid"), "test": ("test",)}
"""The spellings, as tags or as field values, of the splits that are never weighted."""

TYPES = ("false_positive", "false_negative", "lucky_hit")
"""What can be mined: the first and the last among the predictions, the second among the truths."""

SORTS = ("difficulty", "suspicion", "confidence")
"""What mined objects can be sorted by."""


def images_of(samples: Any) -> Any:
    """All images of a dataset, whatever group slice they are in; a dataset shows but one of its slices."""
    return samples.select_group_slices(media_type="image") if samples.media_type == "group" else samples


def slices_of(samples: Any) -> list[str]:
    """Names of the group slices that these images are in; none where there are no groups."""
    field = samples._root_dataset.group_field
    return samples.distinct(f"{field}.name") if field else []


def of_split(samples: Any, split: str, split_field: str | None = None) -> Any:
    """The samples of a split: by tag, or by a field of text.

    By tag, ``train`` is whatever is tagged as neither val nor test, for many a dataset tags only what it holds out. By
    field, ``train`` is what says so or says nothing: a value nobody knows may be held out.
    """
    if split_field is None:
        names = HELD_OUT.get(split) or tuple(name for held_out in HELD_OUT.values() for name in held_out)
        return samples.match_tags(names, bool=split in HELD_OUT)
    _check_split_field(samples, split_field)
    if split in HELD_OUT:
        return samples.match(F(split_field).is_in(HELD_OUT[split]))
    return samples.match((F(split_field) == split) | ~F(split_field).exists())


def without_split(samples: Any, split_field: str | None = None) -> Any:
    """The samples of which nobody said what split they belong to."""
    if split_field is not None:
        return samples.match(~F(split_field).exists())
    return samples.match_tags(("train", *(name for held_out in HELD_OUT.values() for name in held_out)), bool=False)


def hardest(
    samples: Any,
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
    patches: bool = False,
    sort_by: str = "difficulty",
) -> Any:
    """The mined objects of a run and their samples, hardest first.

    What a person said to ignore is left out unless ``state`` asks for it.

    Args:
        samples: a dataset, or a view of it.
        settings: the settings of the run.
        type: ``false_positive`` (unless ``side`` says otherwise), ``false_negative`` or ``lucky_hit``.
        side: all that was mined among the ``prediction`` or the ``truth`` boxes.
        label: only objects of this class.
        error: only this error type, such as ``background``.
        state: only this review state, such as ``missing_label``.
        change: only ``persistent`` or ``new`` errors, where the run was compared with another.
        min_difficulty: only objects at least this hard, in ``[0, 1]``.
        min_suspicion: only objects whose label is wrong with at least this probability.
        max_suspicion: only objects whose label is wrong with at most this probability.
        patches: one object a tile instead of whole images.
        sort_by: ``difficulty``, ``suspicion`` or ``confidence``, largest first, and the hardest of those alike; whole
            images by the largest that they show, or by their image score for ``difficulty``.

    Raises:
        ValueError: if a name is none of those above, or nothing has what is asked for.
    """
    samples, key = images_of(samples), settings.run_key
    if type is None and side is None:
        type = TYPES[0]
    own = known("side", side, SIDES) if side else "truth" if type == "false_negative" else "prediction"
    of_truth = own == "truth"
    if type and (known("type", type, TYPES) == "false_negative") != of_truth:
        raise ValueError(f"no {type} is on side {side!r}: name one of the two")
    field = settings.gt_field if of_truth else settings.pred_field
    if known("sort_by", sort_by, SORTS) == "confidence" and of_truth:
        raise ValueError("a truth has no confidence: sort by difficulty or suspicion")
    if change is not None and samples.get_field(f"{field}.detections.{key}_change") is None:
        raise ValueError(f"run {key!r} was not compared with another: compare_mining_runs says what is new")
    held, lucky = F(f"{key}_state"), F(f"{key}_error") == "true_positive"
    wanted = held.exists() & (held != "ignore") if state is None else held == known("state", state, STATES)
    if type:
        wanted &= lucky if type == "lucky_hit" else ~lucky
    if error is not None:
        wanted &= F(f"{key}_error") == known("error", error, ERROR_TYPES)
    if change is not None:
        wanted &= F(f"{key}_change") == known("change", change, CHANGES[:2])
    if label is not None:
        wanted &= F("label").is_in([label, *_mapped_to(label, settings, of_truth=of_truth)])
    for least, most, name in ((min_difficulty, None, "difficulty"), (min_suspicion, max_suspicion, "suspicion")):
        if least is not None:
            wanted &= F(f"{key}_{name}") >= least
        if most is not None:
            wanted &= F(f"{key}_{name}") <= most
    found = samples.filter_labels(field, wanted)
    attribute = sort_by if sort_by == "confidence" else f"{key}_{sort_by}"
    if patches:
        tiles = found.to_patches(field)
        if sort_by == "difficulty":
            return tiles.sort_by(f"{field}.{attribute}", reverse=True)
        return _largest_first(tiles, f"{field}.{attribute}", f"{field}.{key}_difficulty")
    if sort_by == "difficulty":
        return found.sort_by(f"{key}_score", reverse=True)
    return _largest_first(found, F(f"{field}.detections").map(F(attribute)).max(), f"{key}_score")


def _largest_first(samples: Any, first: Any, second: str) -> Any:
    """Sorted by the first, and where that is the same by the second: before any review many are suspected alike."""
    return samples.sort_by([(first, -1), (second, -1)])


def _mapped_to(label: str, settings: RunSettings, *, of_truth: bool) -> list[str]:
    """What the predictions call a class of the run."""
    return [] if of_truth else [name for name, mapped in settings.class_map.items() if mapped == label]


def changed(samples: Any, settings: RunSettings, other: RunSettings, change: str, *, kind: str = KINDS[0]) -> Any:
    """The errors that persist since an earlier run, are new, or fixed, and their samples, hardest first.

    Args:
        samples: a dataset, or a view of it.
        settings: the settings of a run that was compared with another.
        other: the settings of that one.
        change: ``persistent``, ``new`` or ``fixed``.
        kind: ``false_positives`` or ``false_negatives``.

    Raises:
        ValueError: if a name is none of those above.
    """
    run = other if known("change", change, CHANGES) == "fixed" else settings
    field = run.pred_field if known("kind", kind, KINDS) == KINDS[0] else run.gt_field
    found = images_of(samples).filter_labels(field, F(f"{settings.run_key}_change") == change)
    return found.sort_by(f"{run.run_key}_score", reverse=True)


def save(view: Any, name: str) -> None:
    """Keep a view under a name in its dataset.

    Raises:
        ValueError: if the name is taken.
    """
    check_name(view._root_dataset, name)
    view._root_dataset.save_view(name, view)


def check_name(dataset: Any, name: str, parameter: str = "save_as") -> None:
    """Refuse a name that a saved view has, or one that FiftyOne would address by the same word.

    Raises:
        ValueError: naming it.
    """
    for taken in dataset.list_saved_views():
        if to_slug(taken) == to_slug(name):
            raise ValueError(f"a saved view is called {taken!r} already: choose another {parameter} than {name!r}")


def known(what: str, name: str, names: Collection[str]) -> str:
    """The name itself, if it is one of the names."""
    if name not in names:
        raise ValueError(f"{what} must be one of {', '.join(names)}, got {name!r}")
    return name


def _check_split_field(samples: Any, name: str) -> None:
    found = samples.get_field(name)
    if not isinstance(found, fo.StringField):
        problem = f"is a {found.__class__.__name__}" if found is not None else "does not exist"
        texts = ", ".join(path for path in samples.get_field_schema(ftype=fo.StringField) if path != "filepath")
        raise ValueError(
            f"split_field {name!r} {problem}, expected a field of text; fields of text here: {texts or 'none'}"
        )
