"""The way of a run: read, mine, write. Nothing here knows who asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hnm_core import mine
from hnm_core.reviews import Reviews
from hnm_core.strategies import find_strategy

from . import bridge, evaluating, evidence, predicting, recording, runs, triage, tuning
from .ledger import Ledger
from .settings import RunSettings


def mine_samples(
    samples: Any, params: Mapping[str, Any], progress: Callable[[float, str], None] = lambda share, label: None
) -> dict[str, Any]:
    """Mine a dataset or view; nothing is written unless everything was computed.

    Args:
        samples: a dataset or a view of images.
        params: settings of the run, flat; ``overwrite`` replaces a run of the same key.
        progress: told the share done, and what is being done.

    Returns:
        ``run_key``, the ``report`` as a dict, its ``summary`` as text, and ``warnings`` about the data; JSON-clean.

    Raises:
        ValueError: in one sentence, if something can't be mined as asked.
    """
    params = evaluating.with_evaluation(samples._root_dataset, params)
    settings, overwrite = RunSettings.from_params(params), bool(params.get("overwrite"))
    runs.check_new(samples._root_dataset, settings, overwrite=overwrite)
    find_strategy(settings.engine.strategy)
    evidence.check(samples, settings)
    progress(0.0, "Reading boxes")
    tables = bridge.read_tables(samples, settings)
    settings, notes = tuning.with_chosen_thresholds(samples._root_dataset, settings, tables.truth.classes)
    tables.warnings.extend([*notes, *predicting.model_notes(samples._root_dataset, settings.pred_field)])
    groups = tuning.groups_of(samples, settings, tables.sample_ids)
    progress(0.4, f"Mining {len(tables.predictions)} predictions")
    ledger = Ledger(samples)
    known = {act: stamp for act, (stamp, _) in ledger.changed({}).items()}
    reviews = Reviews.of(ledger.entries())
    result = mine(tables.predictions, tables.truth, settings.engine, groups=groups, reviews=reviews)
    if settings.appearance or settings.second_field:
        progress(0.45, "Looking for missing labels")
        said = evidence.gather(samples, tables, result, settings)
        result = mine(tables.predictions, tables.truth, settings.engine, groups=groups, reviews=reviews, evidence=said)
    progress(0.5, "Writing fields")
    recording.record(samples, tables, result, settings, overwrite=overwrite)
    meanwhile = {entry.image for _, act in ledger.changed(known).values() for entry in act.entries}
    triage.copy_states(samples._root_dataset, meanwhile)  # what was said while this run was not there yet
    progress(1.0, "Done")
    return {
        "run_key": settings.run_key,
        "report": result.report.as_dict(),
        "summary": str(result.report),
        "warnings": tables.warnings,
    }
