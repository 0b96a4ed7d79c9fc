"""Compare an earlier run with a later one: which errors persist, are new, are fixed.

The result is the field ``KEY_change`` of the later run: comparing again replaces it, renaming the run renames it,
deleting the run removes it. Boxes are read and matched again, which is faster than loading the stored results.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fiftyone as fo

from hnm_core import MiningResult, mine
from hnm_core.io.progress import Progress, silent
from hnm_core.rounds import RoundChanges, compare_rounds, find_corrections

from ..runs import claims
from ..settings import RunSettings
from ..store import blocks, box_tables, checks, model_record, schema, views
from ..store.access import ObjectId, UpdateOne
from ..store.journal import RUN
from ..store.lock import Lease, lease
from ..store.updates import now
from . import corrections, records

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

FIELD = "change"
"""``KEY_change`` of an object: ``persistent`` or ``new`` in the later run, ``fixed`` if only the earlier had it."""


def compare(
    dataset: fo.Dataset,
    earlier_run_key: str | None,
    later_run_key: str | None,
    progress: Progress = silent,
    *,
    truth_before: str | None = None,
) -> dict[str, Any]:
    """Follow every error from an earlier run to a later one, and write what became of it.

    Args:
        dataset: the dataset of both runs; they may have read different fields of it.
        earlier_run_key: the earlier run.
        later_run_key: the later run, which gets the field ``KEY_change``.
        progress: called with the share done, in [0, 1], and a label.
        truth_before: field of the labels before they were corrected; None for the truth of the earlier run, or for what
            a corrected copy was made from, if both runs mined that copy.

    Returns:
        ``earlier_run_key``, ``later_run_key``, ``changes`` (counts by kind, error type and class, false positives per
        image at equal recall), ``corrections`` (what corrected labels and the new model changed; None if the labels are
        the same), the ``summary`` as text, and ``warnings``, settings that differ first; JSON-clean.

    Raises:
        ValueError: if there is no such run or field, both runs are one, or they have no sample in common.
    """
    if earlier_run_key == later_run_key:
        raise ValueError(f"earlier_run_key and later_run_key are both {later_run_key!r}: name two runs")
    with (
        lease(dataset, f"{RUN}{later_run_key}", operator="compare_mining_runs") as held,
        records.reading(dataset, earlier_run_key),
    ):
        earlier, earlier_results = records.load(dataset, earlier_run_key)
        later, later_results = records.load(dataset, later_run_key, besides=("comparing",))
        if without := [each.run_key for each in (earlier, later) if each.without_truth]:
            raise ValueError(
                f"run {without[0]!r} was mined without ground truth: its proposals are not known to be errors"
            )
        samples = in_common(dataset, earlier, later)
        if not len(samples):
            what = ", ".join(f"{s.run_key!r} mined {s.mine_split} of {s.pred_field!r}" for s in (earlier, later))
            raise ValueError(f"the runs have no sample in common: {what}; mine both on the same samples")
        progress(0.0, f"Reading {len(samples):,} samples")
        before, after = _mined(samples, earlier), _mined(samples, later)
        progress(0.5, "Comparing")
        changes = compare_rounds(before, after)
        truth = truth_before or _truth_before(dataset, earlier, later)
        checks.check_fields(samples, truth)
        uncorrected = before if truth == earlier.gt_field else _mined(samples, replace(earlier, gt_field=truth))
        gains = find_corrections(uncorrected, after)
        progress(0.6, "Writing what changed")
        _record(held, dataset, earlier, later, changes)
    progress(1.0, "Done")
    return {
        "earlier_run_key": earlier.run_key,
        "later_run_key": later.run_key,
        "changes": changes.as_dict(),
        "corrections": gains.as_dict() if gains else None,
        "summary": f"{changes}\n\n{gains}" if gains else str(changes),
        "warnings": [
            *_settings_notes(earlier, later),
            *_coverage_notes(len(samples), earlier_results, later_results),
            *_edit_notes(before, earlier_results, earlier),
            *_edit_notes(after, later_results, later),
            *_model_notes(dataset, earlier, later),
        ],
    }


def in_common(dataset: fo.Dataset, earlier: RunSettings, later: RunSettings) -> Any:
    """Return the samples that both runs mined, as a view."""
    return views.images_of(dataset).exists(f"{earlier.run_key}_score").exists(f"{later.run_key}_score")


def comparison_of(dataset: fo.Dataset, key: str) -> dict[str, Any] | None:
    """Return the last comparison of a run: ``earlier_run_key`` and ``changes``; None if there was none."""
    config = records.find(dataset, key).config
    stored = config.comparison if config else None
    return json.loads(stored) if stored else None


def _truth_before(dataset: fo.Dataset, earlier: RunSettings, later: RunSettings) -> str:
    """Return the field of the labels before they were corrected: what a copy that both runs mined was made from."""
    if earlier.gt_field != later.gt_field:
        return earlier.gt_field
    base = corrections.base_of(dataset, later.gt_field)
    return base if dataset.get_field(base) is not None else later.gt_field


def _mined(samples: SampleCollection, settings: RunSettings) -> MiningResult:
    """Find the errors of a run again; their difficulty is not needed, so the fastest strategy is used."""
    tables = box_tables.read_tables(samples, settings)
    engine = settings.engine.for_classes(tables.truth.classes)
    plain = replace(engine, strategy="confidence_based")
    return mine(tables.predictions, tables.truth, plain)


def _record(held: Lease, dataset: fo.Dataset, earlier: RunSettings, later: RunSettings, changes: RoundChanges) -> None:
    """Replace the comparison that the later run has."""
    key = later.run_key
    touched = dict.fromkeys((later.pred_field, later.gt_field, earlier.pred_field, earlier.gt_field))
    paths = [f"{field}.detections.{key}_{FIELD}" for field in touched]
    record = records.find(dataset, key)
    claims.claim(held, dataset, record, "comparing", FIELD, paths)
    text = "Change of this error since the earlier run: persistent, new or fixed"
    schema.declare(held, dataset, {path: (fo.StringField, text) for path in paths})
    blocks.write(held, dataset, _updates(key, earlier, later, changes))
    compared = json.dumps({"earlier_run_key": earlier.run_key, "changes": changes.as_dict()})
    claims.finish_claim(held, dataset, record, FIELD, paths, comparison=compared)


def _updates(key: str, earlier: RunSettings, later: RunSettings, changes: RoundChanges) -> list[UpdateOne]:
    """Return one update per sample; boxes are found by id, so that an edit made meanwhile is not overwritten."""
    todo: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    for kind, change, table, rows in sorted(changes.changed(), key=lambda item: item[1] != "fixed"):
        run = earlier if change == "fixed" else later
        field = run.pred_field if kind == "false_positives" else run.gt_field
        images = table.image[rows].tolist()
        for image, box in zip(images, box_tables.ids_of(table, rows), strict=True):
            todo[table.images[image]][field, box] = change  # a box that is in both runs keeps the later run's change
    return [_update(sample_id, of_boxes, f"{key}_{FIELD}") for sample_id, of_boxes in todo.items()]


def _update(sample_id: str, of_boxes: dict[tuple[str, str], str], attribute: str) -> UpdateOne:
    ids: dict[tuple[str, str], list[ObjectId]] = defaultdict(list)
    for (field, box), change in of_boxes.items():
        ids[field, change].append(ObjectId(box))
    names = {f"{change}{n}": (field, change) for n, (field, change) in enumerate(ids)}
    values = {f"{field}.detections.$[{name}].{attribute}": change for name, (field, change) in names.items()}
    filters = [{f"{name}._id": {"$in": ids[which]}} for name, which in names.items()]
    there = {f"{field}.detections": {"$type": "array"} for field, _ in ids}  # a list that was removed stays removed
    return UpdateOne({"_id": ObjectId(sample_id), **there}, {"$set": values | now()}, array_filters=filters)


def _settings_notes(earlier: RunSettings, later: RunSettings) -> list[str]:
    """Name the settings that differ, since an error may be new or fixed for that reason alone."""
    names = (
        "confidence_threshold",
        "class_confidence",
        "iou_threshold",
        "class_iou",
        "class_agnostic",
        "ignored",
        "neutral",
    )
    differ = [name for name in names if getattr(later.engine, name) != getattr(earlier.engine, name)]
    differ += [name for name in ("gt_field", "classes", "class_map") if getattr(later, name) != getattr(earlier, name)]
    if not differ:
        return []
    return [f"the runs differ in {', '.join(differ)}: an error may be new or fixed for that reason alone"]


def _coverage_notes(common: int, *results: Any) -> list[str]:
    alone = [f"{len(r.images['sample_id']) - common} of {r.key!r}" for r in results]
    if all(len(r.images["sample_id"]) == common for r in results):
        return []
    return [f"{common} samples were mined by both runs and are compared; not compared: {' and '.join(alone)}"]


def _edit_notes(mined: MiningResult, results: Any, settings: RunSettings) -> list[str]:
    """Tell whether boxes have changed since they were mined, if all samples of the run were read again."""
    was, counts = results.report["statistics"], mined.report.counts
    if len(mined.truth.images) != len(results.images["sample_id"]):
        return []
    found = {"false_positives": counts.false_positives, "false_negatives": counts.false_negatives}
    if all(was[kind] == count for kind, count in found.items()):
        return []
    counted = ", ".join(f"{was[kind]} {kind.replace('_', ' ')}, now {count}" for kind, count in found.items())
    return [f"boxes have changed since run {settings.run_key!r} was mined ({counted}): mine again under its key"]


def _model_notes(dataset: fo.Dataset, earlier: RunSettings, later: RunSettings) -> list[str]:
    """Name the models of both runs; where the names are equal (most are best.pt), compare their digests."""
    then, now = (model_record.models_of(dataset, run.pred_field) for run in (earlier, later))
    made = [", ".join(Path(known["model"]).name for known in each) or "unknown" for each in (then, now)]
    if not (then or now):
        return []
    if made[0] != made[1]:
        return [f"model: {made[0]} → {made[1]}"]
    before, after = (", ".join(known["sha256"][:12] for known in each) for each in (then, now))
    return [f"model: {made[0]} both times" if before == after else f"model: {made[0]}, sha256 {before} → {after}"]
