"""What became of every error from one run to another, as a field of the later run: ``KEY_change``.

The field belongs to the later run: comparing again replaces it, renaming the run renames it, deleting the run removes
it. Boxes are read and matched anew, which takes less than loading what was stored of them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fiftyone as fo
from bson import ObjectId
from fiftyone.core.sample import Sample
from pymongo import UpdateOne

from hnm_core import MiningResult, mine
from hnm_core.rounds import RoundChanges, compare_rounds

from . import bridge, predicting, runs, tuning, views, writeback
from .settings import RunSettings
from .updates import now

FIELD = "change"
"""``KEY_change`` of an object: ``persistent`` or ``new`` in the run, ``fixed`` where only the other run was wrong."""


def compare(
    dataset: Any,
    run_key: str | None,
    other_run_key: str | None,
    progress: Callable[[float, str], None] = lambda share, label: None,
) -> dict[str, Any]:
    """Follow every error from an earlier run to a later one, and write what became of it.

    Args:
        dataset: the dataset of both runs; they may have read other fields of it.
        run_key: the later run.
        other_run_key: the earlier one.
        progress: told the share done, and what is being done.

    Returns:
        ``run_key``, ``other_run_key``, ``changes`` (counts by kind, error type and class, false positives per image
        at equal recall), the ``summary`` as text, and ``warnings``; JSON-clean.

    Raises:
        ValueError: in one sentence, if they can't be compared.
    """
    if run_key == other_run_key:
        raise ValueError(f"run_key and other_run_key are both {run_key!r}: name two runs")
    (settings, results), (other, other_results) = (runs.load(dataset, key) for key in (run_key, other_run_key))
    samples = in_common(dataset, settings, other)
    if not len(samples):
        what = ", ".join(f"{s.run_key!r} mined {s.mine_split} of {s.pred_field!r}" for s in (settings, other))
        raise ValueError(f"the runs looked at no sample in common: {what}; mine both on the same samples")
    progress(0.0, f"Reading {len(samples):,} samples")
    before, after = _mined(samples, other), _mined(samples, settings)
    progress(0.5, "Comparing")
    changes = compare_rounds(before, after)
    progress(0.6, "Writing what changed")
    _record(dataset, settings, other, changes)
    progress(1.0, "Done")
    return {
        "run_key": settings.run_key,
        "other_run_key": other.run_key,
        "changes": changes.as_dict(),
        "summary": str(changes),
        "warnings": [
            *_coverage_notes(len(samples), results, other_results),
            *_drift_notes(after, results, settings),
            *_drift_notes(before, other_results, other),
            *_settings_notes(settings, other),
            *_model_notes(dataset, settings, other),
        ],
    }


def in_common(dataset: Any, settings: RunSettings, other: RunSettings) -> Any:
    """The samples that both runs looked at."""
    return views.images_of(dataset).exists(f"{settings.run_key}_score").exists(f"{other.run_key}_score")


def comparison_of(dataset: Any, key: str) -> dict[str, Any] | None:
    """What a run was last compared with (``other_run_key``) and how (``changes``); None if it never was."""
    stored = getattr(dataset.get_run_info(key).config, "comparison", None)
    return json.loads(stored) if stored else None


def _mined(samples: Any, settings: RunSettings) -> MiningResult:
    """The errors of a run, found again; what makes them hard is not asked for."""
    tables = bridge.read_tables(samples, settings)
    engine = tuning.for_classes(settings.engine, tables.truth.classes)
    plain = replace(engine, strategy="confidence_based", max_per_group=0)
    return mine(tables.predictions, tables.truth, plain)


def _record(dataset: Any, settings: RunSettings, other: RunSettings, changes: RoundChanges) -> None:
    """Take the comparison before away and write this one; the record first, so that it can always be undone."""
    key = settings.run_key
    touched = dict.fromkeys((settings.pred_field, settings.gt_field, other.pred_field, other.gt_field))
    paths = [f"{field}.detections.{key}_{FIELD}" for field in touched]
    runs.claim(dataset, key, FIELD, paths)
    config = dataset.get_run_info(key).config
    config.comparison = json.dumps({"other_run_key": other.run_key, "changes": changes.as_dict()})
    runs.MiningRun.update_run_config(dataset, key, config)
    text = "What became of this error since the run before: persistent, new, or fixed"
    writeback.declare(dataset, {path: (fo.StringField, text) for path in paths})
    _write(dataset, key, settings, other, changes)


def _write(dataset: Any, key: str, settings: RunSettings, other: RunSettings, changes: RoundChanges) -> None:
    """One update a sample; boxes are found by their id, so that nothing edited meanwhile is overwritten."""
    todo: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    for kind, change, table, rows in sorted(changes.changed(), key=lambda item: item[1] != "fixed"):
        run = other if change == "fixed" else settings
        field = run.pred_field if kind == "false_positives" else run.gt_field
        images = table.image[rows].tolist()
        for image, box in zip(images, bridge.ids_of(table, rows), strict=True):
            todo[table.images[image]][field, box] = change  # of two equal boxes that changed places the later word
    updates = [_update(sample_id, of_boxes, f"{key}_{FIELD}") for sample_id, of_boxes in todo.items()]
    if updates:
        dataset._sample_collection.bulk_write(updates, ordered=False)
    Sample._reload_docs(dataset._sample_collection_name)


def _update(sample_id: str, of_boxes: dict[tuple[str, str], str], attribute: str) -> UpdateOne:
    ids: dict[tuple[str, str], list[ObjectId]] = defaultdict(list)
    for (field, box), change in of_boxes.items():
        ids[field, change].append(ObjectId(box))
    names = {f"{change}{n}": (field, change) for n, (field, change) in enumerate(ids)}
    values = {f"{field}.detections.$[{name}].{attribute}": change for name, (field, change) in names.items()}
    chosen = [{f"{name}._id": {"$in": ids[which]}} for name, which in names.items()]
    return UpdateOne({"_id": ObjectId(sample_id)}, {"$set": values | now()}, array_filters=chosen)


def _coverage_notes(common: int, *results: Any) -> list[str]:
    alone = [f"{len(r.images['sample_id']) - common} of {r.key!r}" for r in results]
    if all(len(r.images["sample_id"]) == common for r in results):
        return []
    return [f"{common} samples were looked at by both runs and are compared; left out are {' and '.join(alone)}"]


def _drift_notes(mined: MiningResult, results: Any, settings: RunSettings) -> list[str]:
    """Whether the boxes have changed since they were mined; can be told where all of them were read again."""
    was, counts = results.report["statistics"], mined.report.counts
    if len(mined.truth.images) != len(results.images["sample_id"]):
        return []
    now_ = {"false_positives": counts.false_positives, "false_negatives": counts.false_negatives}
    if all(was[kind] == count for kind, count in now_.items()):
        return []
    told = ", ".join(f"{was[kind]} {kind.replace('_', ' ')}, now {count}" for kind, count in now_.items())
    return [f"boxes have changed since run {settings.run_key!r} was mined ({told}): mine again under its key"]


def _settings_notes(settings: RunSettings, other: RunSettings) -> list[str]:
    names = ("confidence_threshold", "class_confidence", "iou_threshold", "class_iou", "class_agnostic")
    unlike = [name for name in names if getattr(settings.engine, name) != getattr(other.engine, name)]
    unlike += [name for name in ("gt_field", "classes", "class_map") if getattr(settings, name) != getattr(other, name)]
    if not unlike:
        return []
    return [f"the runs differ in {', '.join(unlike)}: an error may be new or fixed for that alone"]


def _model_notes(dataset: Any, settings: RunSettings, other: RunSettings) -> list[str]:
    """Which models the two runs judged, by name, and by content where names say nothing: most are called best.pt."""
    then, now = (predicting.models_of(dataset, run.pred_field) for run in (other, settings))
    made = [", ".join(Path(known["model"]).name for known in each) or "unknown" for each in (then, now)]
    if not (then or now):
        return []
    if made[0] != made[1]:
        return [f"model: {made[0]} → {made[1]}"]
    before, after = (", ".join(known["sha256"][:12] for known in each) for each in (then, now))
    return [f"model: {made[0]} both times" if before == after else f"model: {made[0]}, sha256 {before} → {after}"]
