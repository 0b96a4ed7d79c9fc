"""Mine a dataset: read, mine, write, whoever calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hnm_core import mine
from hnm_core.evidence.label_suspects import with_suspects
from hnm_core.io.progress import Progress, part_of, silent
from hnm_core.labels.reviews import Reviews
from hnm_core.strategies import find_strategy

from ..review.ledger import Ledger
from ..review.triage import catch_up
from ..runs import lifecycle, memory, records, save
from ..settings import RunSettings, switch_of
from ..store import access, box_tables, doubts, model_record
from ..store.journal import RUN
from ..store.lock import Lease, lease, on_release
from . import evaluations, evidence, thresholds

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

on_release(catch_up)  # a new run shows what was reviewed while it was being mined


def mine_samples(
    samples: SampleCollection,
    params: Mapping[str, Any],
    progress: Progress = silent,
    *,
    held: Lease | None = None,
) -> dict[str, Any]:
    """Mine a dataset or view; nothing is written before everything is computed.

    A run that is replaced reads, matches and writes only what changed since; the result is that of mining from scratch.
    What is reviewed meanwhile is copied into the run when its lease is released.

    Args:
        samples: a dataset or a view of images.
        params: settings of the run, flat; ``overwrite`` replaces a run of the same key.
        progress: called with the share done, in [0, 1], and a label.
        held: the lease of the run, if the caller has it.

    Returns:
        ``run_key``, the ``report`` as a dict, its ``summary`` as text, ``warnings`` about the data, and the number of
        samples that were ``written``; JSON-clean.

    Raises:
        ValueError: if something cannot be mined with these settings, in one sentence.
    """
    dataset = access.root(samples)
    params = evaluations.with_evaluation(dataset, params)
    settings, overwrite = RunSettings.from_params(params), switch_of(params, "overwrite")
    if settings.without_truth:
        raise ValueError("ranked_by is for runs without ground truth: use mine_without_truth, or leave it out")
    with lease(dataset, f"{RUN}{settings.run_key}", operator="mine_hard_negatives", held=held) as held:
        lifecycle.check_new(dataset, settings, overwrite=overwrite)
        find_strategy(settings.engine.strategy)
        evidence.check(samples, settings)
        progress(0.0, "Reading boxes")
        before = next((each for each in records.listed(dataset) if each.key == settings.run_key), None)
        known = memory.recall(samples, before, settings)
        tables = box_tables.read_tables(samples, settings, known.read if known else None)
        settings, notes = thresholds.with_chosen_thresholds(dataset, settings, tables.truth.classes)
        tables.warnings.extend([*notes, *model_record.model_notes(dataset, settings.pred_field)])
        tables.warnings.extend(doubts.doubts_of(tables, settings))
        second = evidence.second_predictions(samples, tables, settings)
        groups = thresholds.groups_of(samples, settings, tables.sample_ids)
        progress(0.4, f"Mining {len(tables.predictions)} predictions")
        result = mine(
            tables.predictions,
            tables.truth,
            settings.engine,
            groups=groups,
            max_per_group=settings.max_per_group,
            reviews=Reviews.of(Ledger(samples).entries()),
            matches=known.match(tables, settings) if known else None,
            second_predictions=second,
        )
        told = evidence.Told()
        if settings.appearance or settings.views or second is not None:
            progress(0.45, "Looking for label errors")
            told = evidence.gather(samples, tables, result, settings, part_of(progress, 0.45, 0.5))
            result = result.with_evidence(told.mistakes, told.near.twin_of if told.near else None)
            result = with_suspects(result, told.labels) if told.labels else result
        progress(0.5, "Writing fields")
        written = save.record(
            samples,
            tables,
            result,
            settings,
            told.labels,
            told.near,
            overwrite=overwrite,
            held=held,
            known=known,
        )
    progress(1.0, "Done")
    return {
        "run_key": settings.run_key,
        "report": result.report.as_dict(),
        "summary": str(result.report),
        "warnings": tables.warnings,
        "written": written,
    }
