"""Settings that a run takes from the dataset: thresholds chosen on its val split, and the groups of samples."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hnm_core.thresholds import choose_confidence

from ..settings import RunSettings
from ..store import box_tables, views

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.core.collections import SampleCollection


def with_chosen_thresholds(
    dataset: fo.Dataset, settings: RunSettings, classes: Collection[str]
) -> tuple[RunSettings, list[str]]:
    """Return the settings with a confidence threshold per class, chosen on the val split if they ask for it.

    Args:
        dataset: the whole dataset, whatever view is mined.
        settings: ``choose_thresholds`` and ``target_precision``; a threshold that was given is kept, one that an
            earlier round chose is not.
        classes: classes of the tables to mine; the val split may have others.

    Returns:
        The settings, and a sentence on what was chosen.

    Raises:
        ValueError: if there is no val split to choose on.
    """
    if not settings.choose_thresholds:
        return settings, []
    val = replace(settings, mine_split="val", choose_thresholds=False)
    try:
        tables = box_tables.read_tables(views.images_of(dataset), val)
    except ValueError as error:
        raise ValueError(f"thresholds cannot be chosen on the val split: {error}") from None
    engine = settings.engine.for_classes(tables.truth.classes)
    best = choose_confidence(
        tables.predictions, tables.truth, engine, target_precision=settings.target_precision or None
    )
    given = settings.given_confidence
    chosen = {name: value for name, value in best.items() if name in classes and name not in given}
    aim = f"precision {settings.target_precision:g}" if settings.target_precision else "the highest F1"
    named = ", ".join(f"{name} {value:.2f}" for name, value in sorted(chosen.items()))
    named = named or "none, because the val samples give no threshold for a class that has none yet"
    note = f"confidence thresholds chosen on {len(tables.truth.images)} val samples for {aim}: {named}"
    engine = replace(settings.engine, class_confidence={**chosen, **given})
    return replace(settings, engine=engine, chosen_confidence=chosen), [note]


def groups_of(samples: SampleCollection, settings: RunSettings, sample_ids: Sequence[Any]) -> list[Any] | None:
    """Return the group of every sample, in the order given; a sample without a value is a group of its own.

    Raises:
        ValueError: if there is no such field, or it holds lists or labels.
    """
    if not settings.max_per_group or not settings.group_field:
        return None
    if samples.get_field(settings.group_field) is None:
        raise ValueError(f"group_field {settings.group_field!r} does not exist")
    group = dict(zip(*samples.values(["id", settings.group_field]), strict=True))
    found = [group[str(i)] for i in sample_ids]
    odd = next((value for value in found if not isinstance(value, (str, int, float, bool, type(None)))), None)
    if odd is not None:
        raise ValueError(
            f"group_field {settings.group_field!r} must have a text or a number per sample, got {type(odd).__name__}"
        )
    return [("alone", str(i)) if value is None else value for value, i in zip(found, sample_ids, strict=True)]
