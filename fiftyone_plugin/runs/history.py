"""The runs of a dataset as rounds in time: their rates, the previous round, and the settings that differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..store import owners
from . import records
from .config import MiningRunConfig

if TYPE_CHECKING:
    import fiftyone as fo

NOT_COMPARED = frozenset({"run_key", "pred_field", "chosen_confidence"})
"""Settings that :func:`differences` leaves out: they differ between any two rounds, or repeat ``class_confidence``."""


def list_runs(dataset: fo.Dataset) -> list[dict[str, Any]]:
    """Return the mining runs of a dataset, newest first, JSON-clean.

    Returns:
        For each run ``key``, ``time``, ``finished``, ``problem`` (why it can't be used, and what helps), ``writing``
        (whether somebody is writing it now), ``reviews_applied`` (when reviews last changed its weights), ``series``
        (truth field, split and group slices: only rounds of one series can be compared) and ``rates``.
    """
    found = sorted(records.listed(dataset), key=lambda record: str(record.timestamp), reverse=True)
    return [
        {
            "key": record.key,
            "time": str(record.timestamp),
            "finished": not record.problem,
            "problem": record.problem,
            "writing": record.journal is not None and record.journal.begun_by_owner and owners.is_held(record.journal),
            **_facts(record.config),
        }
        for record in found
    ]


def _facts(config: MiningRunConfig | None) -> dict[str, Any]:
    if config is None:
        return {"reviews_applied": "", "series": "", "rates": {}}
    return {
        "reviews_applied": config.reviews_applied,
        "series": " ".join([config.gt_field, config.mine_split, *config.slices]),
        "rates": dict(config.rates),
    }


def previous_run(rounds: Sequence[dict[str, Any]], key: str) -> str | None:
    """Return the key of the previous finished run of the same series, or None.

    Args:
        rounds: the runs of the dataset, as :func:`list_runs` gives them.
        key: the run.
    """
    place = next((number for number, each in enumerate(rounds) if each["key"] == key), len(rounds))
    earlier = (each for each in rounds[place + 1 :] if each["finished"] and each["series"] == rounds[place]["series"])
    return next((each["key"] for each in earlier), None)


def is_being_written(run: dict[str, Any], jobs: Sequence[dict[str, Any]]) -> bool:
    """Return whether a run may still be finished: somebody is writing it, or it runs in the background."""
    if run["finished"]:
        return False
    return run["writing"] or any(job["state"] == "running" and job["run_key"] == run["key"] for job in jobs)


def overview(dataset: fo.Dataset, key: str | None) -> dict[str, Any]:
    """Return what the panel shows of a finished run.

    Returns:
        The values of :func:`hnm_core.reporting.overview.overview`, and ``warnings`` about the data.

    Raises:
        ValueError: if there is no such run, or it was not finished.
    """
    return overview_of(records.opened(dataset, key))


def overview_of(run: records.Record) -> dict[str, Any]:
    """Return the values of :func:`overview` from a run's record."""
    try:
        return dict(json.loads(run.config.overview if run.config else ""))
    except json.JSONDecodeError as error:
        what = f"the overview of run {run.key!r} cannot be read ({type(error).__name__}: {error})"
        raise ValueError(f"{what}: delete it, then mine again") from None


def differences(dataset: fo.Dataset, key: str, other: str) -> list[str]:
    """Return the settings in which two runs differ, such as ``iou_threshold 0.5 → 0.6``, from ``other`` to ``key``."""
    now, then = (records.settings_of(dataset, each).as_dict() for each in (key, other))
    names = [name for name in now if name not in NOT_COMPARED and now[name] != then.get(name)]
    return [f"{name} {then.get(name)} → {now[name]}" for name in names]
