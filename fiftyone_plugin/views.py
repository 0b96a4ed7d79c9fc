"""Named questions to a dataset, as views: stages over stored fields, never lists of ids."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import fiftyone as fo
from fiftyone import ViewField as F

from hnm_core.rounds import CHANGES, KINDS
from hnm_core.taxonomy import ERROR_TYPES

from .settings import RunSettings

HELD_OUT = {"val": ("val", "validation", "valid"), "test": ("test",)}
"""The spellings, as tags or as field values, of the splits that are never weighted."""

TYPES = ("false_positive", "false_negative", "lucky_hit")
"""What can be mined: the first and the last among the predictions, the second among the truths."""


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
    type: str = "false_positive",
    error: str | None = None,
    min_difficulty: float | None = None,
    patches: bool = False,
) -> Any:
    """The mined objects of a run and their samples, hardest first.

    Args:
        samples: a dataset, or a view of it.
        settings: the settings of the run.
        type: ``false_positive``, ``false_negative`` or ``lucky_hit``.
        error: only this error type, such as ``background``.
        min_difficulty: only objects at least this hard, in ``[0, 1]``.
        patches: one object a tile, by its difficulty, instead of whole images by their score.

    Raises:
        ValueError: if a name is none of those above.
    """
    key = settings.run_key
    field = settings.gt_field if known("type", type, TYPES) == "false_negative" else settings.pred_field
    lucky = F(f"{key}_error") == "true_positive"
    wanted = F(f"{key}_state").exists() & (lucky if type == "lucky_hit" else ~lucky)  # what was mined has a state
    if error is not None:
        wanted &= F(f"{key}_error") == known("error", error, ERROR_TYPES)
    if min_difficulty is not None:
        wanted &= F(f"{key}_difficulty") >= min_difficulty
    found = samples.filter_labels(field, wanted)
    if patches:
        return found.to_patches(field).sort_by(f"{field}.{key}_difficulty", reverse=True)
    return found.sort_by(f"{key}_score", reverse=True)


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
    found = samples.filter_labels(field, F(f"{settings.run_key}_change") == change)
    return found.sort_by(f"{run.run_key}_score", reverse=True)


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
