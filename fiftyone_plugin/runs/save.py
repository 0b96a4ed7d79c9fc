"""Write a mining result into the dataset as a run: its journal, its record, its results and its fields.

Everything that bad data can make fail is computed before an existing run of the same key is removed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray

from hnm_core import Detections, MiningResult
from hnm_core.live.proposals import summary_of
from hnm_core.reporting.overview import overview
from hnm_core.taxonomy import ROW_NAMES

from ..runs import lifecycle
from ..settings import RunSettings
from ..store import access, blocks, checks, schema, tags, views, writeback
from ..store.access import ObjectId
from ..store.box_tables import Tables, ids_of
from ..store.digests import digests_of
from ..store.journal import RUN, TAGS
from ..store.lock import Lease, LeaseLost, lease
from ..store.tags import Tagged
from ..store.updates import Job
from . import evidence_columns, memory, near_columns, records, settled_columns
from . import results as stored_results
from .config import MiningRunConfig
from .memory import Memory
from .results import MiningRunResults

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

    from hnm_core.evidence.label_suspects import LabelSuspects
    from hnm_core.evidence.near_crops import NearCrops


def record(
    samples: SampleCollection,
    tables: Tables,
    result: MiningResult,
    settings: RunSettings,
    suspects: LabelSuspects | None = None,
    near: NearCrops | None = None,
    *,
    gaps: Sequence[access.UpdateOne] = (),
    overwrite: bool = False,
    held: Lease | None = None,
    known: Memory | None = None,
) -> int:
    """Write a run into the dataset, and return the number of samples written.

    Args:
        samples: the dataset or view that was mined.
        tables: the tables that were mined.
        result: the result of mining them.
        settings: the settings of the run.
        suspects: how suspicious each label is, in each way.
        near: what looks like the mined mistakes.
        gaps: what writes the boxes of the run's own field, of a run without ground truth.
        overwrite: replace an existing run of this key completely.
        held: the lease of the run, if the caller has it.
        known: what the run remembers that is replaced: only samples on which anything differs are written.

    Raises:
        ValueError: if the key is taken, or somebody else is writing this run.
        RuntimeError: if writing fails while the existing run of this key is being replaced. As after a kill, the run
            is then refused by everything but deleting it, and mining again under its key.
    """
    dataset, key = access.root(samples), settings.run_key
    with lease(dataset, f"{RUN}{key}", operator="mine_hard_negatives", held=held) as held:
        lifecycle.check_new(dataset, settings, overwrite=overwrite, stored=True)
        before = next((record for record in records.listed(dataset) if record.key == key), None)
        config = MiningRunConfig.of(settings)
        config.slices = views.slices_of(samples)
        results = _results(samples, tables, result, settings, config)
        results.label_suspects = evidence_columns.suspects_of(suspects, tables.truth)
        near_columns.add(results, near, tables, _rows_of(result))
        config.rates, config.overview = _overview(result, tables.warnings, settings)
        wanted = writeback.to_tag(tables, result, settings)
        stamps = tables.read.stamps[tables.sample] if before is None or known else None  # clearing would hide edits
        job = Job(tables, result, settings, stamps, replaces=known is not None)
        written = digests_of(job)
        try:
            return _write(held, samples, tables, job, written, result, settings, before, results, wanted, known, gaps)
        except LeaseLost:  # what there is now belongs to somebody else
            raise
        except BaseException as error:
            if before is None:  # a keyboard interrupt must leave a clean dataset, too
                with suppress(Exception):  # the journal says what is left, and deleting or mining again removes it
                    lifecycle.delete(dataset, key, held=held)
                raise
            if not isinstance(error, Exception) or not _is_begun(held, key):
                raise
            raise RuntimeError(
                f"run {key!r} is neither what it was nor new: it was being replaced when writing failed "
                f"({type(error).__name__}: {error}); mine again under its key with overwrite, or delete it"
            ) from error


def _is_begun(held: Lease, key: str) -> bool:
    """Return whether a run that is replaced is no longer what it was; yes, if that cannot be known."""
    try:
        return held.journal(f"{RUN}{key}").state == "replacing"
    except Exception:  # the lease is lost, or the database does not answer
        return True


def _write(
    held: Lease,
    samples: SampleCollection,
    tables: Tables,
    job: Job,
    written: NDArray[Any],
    result: MiningResult,
    settings: RunSettings,
    before: records.Record | None,
    results: MiningRunResults,
    wanted: Tagged,
    known: Memory | None,
    gaps: Sequence[access.UpdateOne],
) -> int:
    """Write everything, after the journal, the record last; of a run that is replaced, first remove what has to go."""
    dataset, key, name = access.root(samples), settings.run_key, f"{RUN}{settings.run_key}"
    run_id, file_id, list_id = ObjectId(), ObjectId(), ObjectId()
    fields = list(writeback.fields_of(key, settings))
    new = {"fields": fields, "lists": [list_id], "runs": [run_id], "files": [file_id]}
    if before is None:
        held.begin(name, "writing", new)
    else:
        lifecycle.begin(held, dataset, before, "replacing", new)
        note = held.journal(name)
        if known is None:
            lists = tuple(each for each in note.lists if each != list_id)
            lifecycle.clear(held, dataset, replace(note, fields=tuple(before.fields), lists=lists), again=fields)
        else:  # without a stamp, so that an edit made meanwhile is seen
            blocks.erase(held, dataset, [path for path in before.fields if path not in fields], stamp=False)
            blocks.erase_in(held, dataset, known.gone(tables), fields)
    images = np.ones(len(job.sample_ids), dtype=bool) if known is None else known.unwritten(tables, written)
    config = results.config
    lifecycle.register(held, samples, key, config, run_id)  # FiftyOne lists it before it holds any tag
    if gaps:
        schema.declare(held, dataset, {settings.gt_field: (fo.Detections, checks.MISSED)})
        blocks.write(held, dataset, gaps)
    with lease(dataset, TAGS, operator="tag", wait=lifecycle.WAIT_FOR_TAGS, held=held):
        old = [each for each in held.journal(name).lists if each != list_id and known is not None]
        others, there = records.tagged_by_others(dataset, key), _tagged_now(dataset, tables, wanted, images, before)
        ours = tags.choose(dataset, wanted, others | tags.held(dataset, old), there)
        tags.keep(dataset, list_id, ours)
    results.tagged_samples, results.tagged_labels = tags.tagged_of(ours)
    stored_results.put(results, file_id)
    if known is not None:
        images |= _untagged(tables, result, settings, set(ours) - there)
    writeback.save(held, dataset, job, settings, ours, images)
    if known is not None:
        lifecycle.untag(held, dataset, held.journal(name), old, stamp=False)
    stamps = np.where(images, job.written, tables.read.stamps[tables.sample])
    memory.keep(Memory.of(tables, result.matches, settings, written, stamps), run_id)
    config.finished = True
    lifecycle.update(held, run_id, config, results=file_id)
    note = held.journal(name)
    lifecycle.drop(dataset, [each for each in note.runs if each != run_id], [f for f in note.files if f != file_id])
    tags.drop(dataset, [each for each in note.lists if each != list_id])
    held.finish(name, new)
    access.refresh(dataset)
    return int(images.sum())


def _tagged_now(
    dataset: fo.Dataset, tables: Tables, wanted: Tagged, images: NDArray[np.bool_], before: records.Record | None
) -> set[tuple[str, ObjectId]]:
    """Return what has the tag now: looked up in the images to write; in the others everything is as the run left it."""
    fields = set() if before is None or images.all() else {before.settings.pred_field, before.settings.gt_field}
    if not {field for field, _ in wanted.labels} <= fields:
        return tags.tagged_now(dataset, wanted)
    looked = [tables.sample_ids[i] for i in np.flatnonzero(images).tolist()]
    boxes = {i for t in (tables.predictions, tables.truth) for i in ids_of(t, images[t.image])}
    samples = set(map(str, looked))
    settled = Tagged(
        [i for i in wanted.samples if i not in samples], [(field, i) for field, i in wanted.labels if i not in boxes]
    )
    return tags.tagged_now(dataset, wanted, looked) | set(tags.held_of(settled))


def _untagged(
    tables: Tables, result: MiningResult, settings: RunSettings, missing: set[tuple[str, ObjectId]]
) -> NDArray[np.bool_]:
    """Return ``(images,)`` bool, the images in which something has lost its tag, or does not have it yet."""
    found = np.array([(tags.SAMPLE, i) in missing for i in tables.sample_ids], dtype=bool)
    for field, table, hard in (
        (settings.pred_field, tables.predictions, result.prediction_hard),
        (settings.gt_field, tables.truth, result.truth_hard),
    ):
        rows = np.flatnonzero(hard)
        without = [(field, ObjectId(i)) in missing for i in ids_of(table, rows)]
        found[table.image[rows[np.array(without, dtype=bool)]]] = True
    return found


def _overview(result: MiningResult, warnings: Sequence[str], settings: RunSettings) -> tuple[dict[str, float], str]:
    """Return what the panel shows of the run: the rates, and everything as JSON text."""
    shown = overview(result)
    rates = {**shown["report"]["rates"], **shown["report"]["metrics"]}
    if settings.without_truth:  # rates need truths, and so do counts at other thresholds
        rates, shown = {}, {**shown, "weights": [], "thresholds": {}, "ranked_by": settings.ranked_by}
    return rates, json.dumps({**shown, "warnings": list(warnings)}, separators=(",", ":"))


def _results(
    samples: SampleCollection,
    tables: Tables,
    result: MiningResult,
    settings: RunSettings,
    config: MiningRunConfig,
) -> MiningRunResults:
    return MiningRunResults(
        samples,
        config,
        settings.run_key,
        report=result.report.as_dict(),
        summary=summary_of(result, settings.ranked_by) if settings.without_truth else str(result.report),
        weight_notes=list(result.estimate.notes),
        warnings=list(tables.warnings),
        objects=_objects(tables, result),
        images=_images(tables, result),
        classes=list(tables.truth.classes),
        label_suspects={},
        near_crops={},
        settled=settled_columns.stored(result, tables),
        tagged_samples=[],
        tagged_labels=[],
    )


def _images(tables: Tables, result: MiningResult) -> dict[str, list[Any]]:
    """Return the columns that an export needs of every image, beside the fields of the sample."""
    return {
        "sample_id": list(map(str, tables.sample_ids)),
        "repeats": result.repeats.tolist(),
        "hard": result.hard_images.tolist(),
        "background": (np.bincount(tables.truth.image, minlength=len(tables.sample_ids)) == 0).tolist(),
    }


def _objects(tables: Tables, result: MiningResult) -> dict[str, list[Any]]:
    """Return the columns that the panel draws, for every object that counts in the report."""
    rows = _rows_of(result)
    predictions = _columns("prediction", tables.predictions, result, rows[0])
    truths = _columns("truth", tables.truth, result, rows[1])
    return {name: predictions[name] + truths[name] for name in predictions}


def _rows_of(result: MiningResult) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows of both tables count in the report."""
    below, found = ROW_NAMES.index("below_threshold"), [ROW_NAMES.index(n) for n in ("true_positive", "ignored")]
    return result.errors.prediction != below, ~np.isin(result.errors.truth, found)


def _columns(side: str, table: Detections, result: MiningResult, rows: np.ndarray) -> dict[str, list[Any]]:
    def of(name: str) -> Any:
        return getattr(result, f"{side}_{name}")[rows]

    n = int(rows.sum())
    difficulty = of("difficulty").astype(object)
    difficulty[of("difficulty") != of("difficulty")] = None  # NaN is no JSON
    return {
        "label_id": ids_of(table, rows),
        "sample_id": np.array(table.images, dtype=object)[table.image[rows]].tolist(),
        "side": [side] * n,
        "error": np.array(ROW_NAMES, dtype=object)[getattr(result.errors, side)[rows]].tolist(),
        "type": of("type").tolist(),
        "confidence": [None] * n if table.score is None else table.score[rows].tolist(),
        "iou": of("iou").tolist(),
        "difficulty": difficulty.tolist(),
        "label": np.array(table.classes, dtype=object)[table.label[rows]].tolist(),
        "hard": of("hard").tolist(),
        **evidence_columns.stored(result, side, rows),
    }
