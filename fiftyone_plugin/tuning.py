"""What a run takes from the dataset beside boxes: thresholds chosen on its val split, groups of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hnm_core.thresholds import choose_confidence

from . import bridge
from .settings import RunSettings


def with_chosen_thresholds(dataset: Any, settings: RunSettings) -> tuple[RunSettings, list[str]]:
    """The settings with a confidence threshold per class, chosen on the val split if that is asked for.

    Args:
        dataset: the whole dataset, whatever view is mined.
        settings: ``choose_thresholds`` and ``target_precision``; a threshold in ``class_confidence`` is kept.

    Returns:
        The settings, and what was chosen, in a sentence.

    Raises:
        ValueError: if there is no val split to choose on.
    """
    if not settings.choose_thresholds:
        return settings, []
    val = replace(settings, mine_split="val", choose_thresholds=False)
    try:
        tables = bridge.read_tables(dataset, val)
    except ValueError as error:
        raise ValueError(f"thresholds cannot be chosen on the val split: {error}") from None
    chosen = choose_confidence(
        tables.predictions, tables.truth, settings.engine, target_precision=settings.target_precision or None
    )
    thresholds = {**chosen, **settings.engine.class_confidence}
    aim = f"precision {settings.target_precision:g}" if settings.target_precision else "the highest F1"
    named = ", ".join(f"{name} {value:.2f}" for name, value in sorted(chosen.items())) or "none was good for any class"
    note = f"confidence thresholds chosen on {len(tables.truth.images)} val samples for {aim}: {named}"
    return replace(settings, engine=replace(settings.engine, class_confidence=thresholds)), [note]


def groups_of(samples: Any, settings: RunSettings, sample_ids: Sequence[Any]) -> list[Any] | None:
    """The group of every sample read, in that order; a sample without one is a group of its own.

    Raises:
        ValueError: if there is no such field, or it holds lists or labels.
    """
    if not settings.engine.max_per_group or not settings.group_field:
        return None
    if samples.get_field(settings.group_field) is None:
        raise ValueError(f"group_field {settings.group_field!r} does not exist")
    group = dict(zip(*samples.values(["id", settings.group_field]), strict=True))
    found = [group[str(i)] for i in sample_ids]
    odd = next((value for value in found if not isinstance(value, (str, int, float, bool, type(None)))), None)
    if odd is not None:
        raise ValueError(
            f"group_field {settings.group_field!r} must hold a text or number per sample, found {type(odd).__name__}"
        )
    return [("alone", str(i)) if value is None else value for value, i in zip(found, sample_ids, strict=True)]
