"""A dataset's runs as rounds in time: their few numbers, what came before, and how a round was asked differently."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from . import runs

PATIENCE = 600
"""Seconds after which an unfinished run was interrupted: the fields of a hundred thousand images take a tenth of it."""

NOT_ASKED = frozenset({"run_key", "pred_field", "chosen_confidence"})
"""Settings in which two rounds may differ and still be asked the same: every round has its key, and often its field.

What was chosen is in ``class_confidence`` too.
"""


def listed(dataset: Any) -> list[dict[str, Any]]:
    """The mining runs of a dataset, newest first, JSON-clean: ``key, time, finished, weighed, world, rates``.

    ``weighed`` says when reviews were last let count, ``world`` what rounds have in common that can be compared: the
    truth, the split and the group slices.
    """
    infos = [dataset.get_run_info(key) for key in runs.keys(dataset)]
    infos.sort(key=lambda info: info.timestamp, reverse=True)
    return [
        {
            "key": info.key,
            "time": str(info.timestamp),
            "finished": info.config.finished,
            "weighed": getattr(info.config, "weighed", ""),
            "world": " ".join([info.config.gt_field, info.config.mine_split, *getattr(info.config, "slices", ())]),
            "rates": dict(getattr(info.config, "rates", {})),
        }
        for info in infos
    ]


def before(rounds: Sequence[dict[str, Any]], key: str) -> str | None:
    """The key of the finished round before, of the same world; ``rounds`` as :func:`listed` gives them."""
    place = next((number for number, each in enumerate(rounds) if each["key"] == key), len(rounds))
    earlier = (each for each in rounds[place + 1 :] if each["finished"] and each["world"] == rounds[place]["world"])
    return next((each["key"] for each in earlier), None)


def is_being_written(round_: dict[str, Any], jobs: Sequence[dict[str, Any]]) -> bool:
    """Whether a run may still be finished: it was begun just now, or works in the background."""
    if round_["finished"]:
        return False
    begun = datetime.fromisoformat(round_["time"])
    young = (datetime.now(timezone.utc).replace(tzinfo=None) - begun).total_seconds() < PATIENCE
    return young or any(job["state"] == "running" and job["run_key"] == round_["key"] for job in jobs)


def overview(dataset: Any, key: str | None) -> dict[str, Any]:
    """What the panel shows of a finished run: :func:`hnm_core.overview.overview`, and ``warnings`` about the data.

    Raises:
        ValueError: if there is no such run, it was never finished, or it was written without an overview.
    """
    config = dataset.get_run_info(runs.check_key_exists(dataset, key)).config
    runs.check_finished(config, key)
    if not getattr(config, "overview", ""):
        raise ValueError(
            f"run {key!r} was written by version {config.engine_version} of the plugin, without charts: mine again"
        )
    return dict(json.loads(config.overview))


def differences(dataset: Any, key: str, other: str) -> list[str]:
    """In what two runs were asked differently, such as ``iou_threshold 0.5 → 0.6``; from ``other`` to ``key``."""
    now, then = (runs.settings_of(dataset, each).as_dict() for each in (key, other))
    names = [name for name in now if name not in NOT_ASKED and now[name] != then.get(name)]
    return [f"{name} {then.get(name)} → {now[name]}" for name in names]
