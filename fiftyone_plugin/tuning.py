"""What a run takes from the dataset beside boxes: thresholds chosen on its val split, groups of samples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hnm_core import MiningSettings
from hnm_core.thresholds import choose_confidence

from . import bridge, views
from .settings import RunSettings


def with_chosen_thresholds(
    dataset: Any, settings: RunSettings, classes: Collection[str]
) -> tuple[RunSettings, list[str]]:
    """The settings with a confidence threshold per class, chosen on the val split if that is asked for.

    Args:
        dataset: the whole dataset, whatever view is mined.
        settings: ``choose_thresholds`` and ``target_precision``; a threshold that was given is kept, one that an
            earlier round chose is not.
        classes: those of the tables to mine; val may have others.

    Returns:
        The settings, and what was chosen, in a sentence.

    Raises:
        ValueError: if there is no val split to choose on.
    """
    if not settings.choose_thresholds:
        return settings, []
    val = replace(settings, mine_split="val", choose_thresholds=False)
    try:
        tables = bridge.read_tables(views.images_of(dataset), val)
    except ValueError as error:
        raise ValueError(f"thresholds cannot be chosen on the val split: {error}") from None
    engine = for_classes(settings.engine, tables.truth.classes)
    best = choose_confidence(
        tables.predictions, tables.truth, engine, target_precision=settings.target_precision or None
    )
    given = settings.given_confidence
    chosen = {name: value for name, value in best.items() if name in classes and name not in given}
    aim = f"precision {settings.target_precision:g}" if settings.target_precision else "the highest F1"
    named = ", ".join(f"{name} {value:.2f}" for name, value in sorted(chosen.items()))
    named = named or "none was good for any class that was given none"
    note = f"confidence thresholds chosen on {len(tables.truth.images)} val samples for {aim}: {named}"
    engine = replace(settings.engine, class_confidence={**chosen, **given})
    return replace(settings, engine=engine, chosen_confidence=chosen), [note]


def for_classes(engine: MiningSettings, classes: Collection[str]) -> MiningSettings:
    """The engine's settings without the thresholds of other classes, which it would refuse.

    The val split, or the samples that two runs have in common, may lack a class of the run.
    """

    def kept(thresholds: Mapping[str, float]) -> dict[str, float]:
        return {name: value for name, value in thresholds.items() if name in classes}

    return replace(engine, class_confidence=kept(engine.class_confidence), class_iou=kept(engine.class_iou))


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
