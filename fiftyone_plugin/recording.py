"""What mining found → a run in the dataset: its record, its results, its fields; all of it, or nothing.

Whatever the data can make fail is worked out before a run of the same key is taken away.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from hnm_core import Detections, MiningResult
from hnm_core.overview import overview
from hnm_core.taxonomy import ROW_NAMES

from . import evidence, runs, views, writeback
from .bridge import Tables, ids_of
from .settings import RunSettings


def record(
    samples: Any, tables: Tables, result: MiningResult, settings: RunSettings, *, overwrite: bool = False
) -> None:
    """Write a run into the dataset: the record first, so that whatever follows can be undone even after a crash.

    Args:
        samples: the dataset or view that was mined.
        tables: what was read.
        result: what was mined.
        settings: what was asked.
        overwrite: replace an existing run of this key, entirely.

    Raises:
        ValueError: if the key is taken.
        RuntimeError: if writing fails once the run of this key is gone.
    """
    dataset, key = samples._root_dataset, settings.run_key
    runs.check_new(dataset, settings, overwrite=overwrite)
    replaced = key in runs.keys(dataset)
    config = runs.MiningRunConfig.of(settings)
    config.slices = views.slices_of(samples)
    results = _results(samples, tables, result, settings, config)
    rates, shown = _overview(result, tables.warnings)

    def write() -> None:
        samples.register_run(key, config)
        try:
            samples.save_run_results(key, results, cache=False)
            writeback.save(dataset, tables, result, settings)
            config.finished, config.rates, config.overview = True, rates, shown
            runs.MiningRun.update_run_config(dataset, key, config)
        except BaseException:  # a keyboard interrupt too must leave a clean dataset
            runs.delete(dataset, key)
            raise

    try:
        if replaced:
            runs.delete(dataset, key)
        write()
    except Exception as error:
        if not replaced:
            raise
        raise RuntimeError(
            f"run {key!r} and its fields are gone: it was being replaced when writing failed "
            f"({type(error).__name__}: {error}); mining again under its key brings them back"
        ) from error


def _overview(result: MiningResult, warnings: Sequence[str]) -> tuple[dict[str, float], str]:
    """What the panel shows of the run, which is kept with its record: the rates, and all as text."""
    shown = overview(result)
    rates = {**shown["report"]["rates"], **shown["report"]["metrics"]}
    return rates, json.dumps({**shown, "warnings": list(warnings)}, separators=(",", ":"))


def _results(
    samples: Any, tables: Tables, result: MiningResult, settings: RunSettings, config: runs.MiningRunConfig
) -> runs.MiningRunResults:
    dataset = samples._root_dataset
    wanted, before = writeback.to_tag(tables, result, settings), writeback.tagged_already(dataset, settings)
    held = runs.tagged_by(dataset, runs.keys(dataset))  # that of a run to be replaced is no more the user's than others
    ours = wanted.without(before.without(held))
    return runs.MiningRunResults(
        samples,
        config,
        settings.run_key,
        report=result.report.as_dict(),
        summary=str(result.report),
        weight_notes=list(result.judgement.notes),
        warnings=list(tables.warnings),
        objects=_objects(tables, result),
        images=_images(tables, result),
        classes=list(tables.truth.classes),
        tagged_samples=ours.samples,
        tagged_labels=ours.labels,
    )


def _images(tables: Tables, result: MiningResult) -> dict[str, list[Any]]:
    """What an export needs of every image, beside the fields of the sample."""
    return {
        "sample_id": list(map(str, tables.sample_ids)),
        "repeats": result.repeats.tolist(),
        "hard": result.hard_images.tolist(),
        "background": (np.bincount(tables.truth.image, minlength=len(tables.sample_ids)) == 0).tolist(),
    }


def _objects(tables: Tables, result: MiningResult) -> dict[str, list[Any]]:
    """The columns that the panel draws, of every object that counts in the report."""
    below, found = ROW_NAMES.index("below_threshold"), [ROW_NAMES.index(n) for n in ("true_positive", "ignored")]
    predictions = _columns("prediction", tables.predictions, result, result.errors.prediction != below)
    truths = _columns("truth", tables.truth, result, ~np.isin(result.errors.truth, found))
    return {name: predictions[name] + truths[name] for name in predictions}


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
        **evidence.stored(result, side, rows),
    }
