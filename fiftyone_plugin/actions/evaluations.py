"""Our rates, computed from what FiftyOne's own evaluation has matched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import fiftyone as fo

from hnm_core import MiningReport, MiningSettings
from hnm_core.report import Counts

from ..store import access, blocks, schema
from ..store.journal import FIELD
from ..store.lock import lease

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

KEPT = ("pred_field", "gt_field", "iou_threshold", "class_agnostic")
"""Parameters of mining that come from an evaluation."""

THRESHOLD = MiningSettings().confidence_threshold


def keys(dataset: fo.Dataset) -> list[str]:
    """Return the keys of the evaluations of detections, which mining can start from."""
    return [key for key in dataset.list_evaluations(type="detection") if _config(dataset, key).pred_field]


def with_evaluation(dataset: fo.Dataset, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of mining, with fields and IoU threshold of the evaluation ``eval_key`` if it is given.

    Raises:
        ValueError: if there is no such evaluation.
    """
    key = params.get("eval_key")
    if not key:
        return dict(params)
    known = keys(dataset)
    if key not in known:
        cure = f"evaluations of detections are {', '.join(map(repr, known))}" if known else "there is none"
        raise ValueError(f"dataset {dataset.name!r} has no evaluation {key!r} of detections: {cure}")
    config = _config(dataset, key)
    taken = (config.pred_field, config.gt_field, config.iou, not getattr(config, "classwise", True))
    return {**params, **dict(zip(KEPT, taken, strict=True))}


def _config(dataset: fo.Dataset, key: str) -> Any:
    return dataset.get_evaluation_info(key).config


def rate(name: str, samples: SampleCollection, results: Any, confidence_threshold: float = THRESHOLD) -> float:
    """Return one of the report's rates, such as ``false_alarm_rate`` or ``fppi``.

    Args:
        name: as in ``MiningReport.as_dict()["rates"]``.
        samples: the samples that were evaluated.
        results: the results of ``evaluate_detections``.
        confidence_threshold: in ``[0, 1]``; FiftyOne counts every prediction, we count those of at least this one.
    """
    check_threshold(confidence_threshold)
    columns = zip(results.ytrue, results.ypred, results.confs, strict=True)
    confident = [
        true == predicted
        for true, predicted, score in columns
        if predicted != results.missing and score is not None and score >= confidence_threshold
    ]
    right = sum(confident)
    counts = Counts(
        total_predictions=sum(predicted != results.missing for predicted in results.ypred),
        counted_predictions=len(confident),
        true_positives=right,
        false_positives=len(confident) - right,
    )
    return float(MiningReport(images=len(samples), counts=counts).as_dict()["rates"][name])


def write_false_alarms(
    samples: SampleCollection, results: Any, field: str, confidence_threshold: float = THRESHOLD
) -> None:
    """Write the number of confident false positives of every sample into a field."""
    boxes = f"{results.config.pred_field}.detections"
    found = zip(*samples.values([f"{boxes}.{results.key}", f"{boxes}.confidence"]), strict=True)
    counts = [
        sum(
            what == "fp" and score is not None and score >= confidence_threshold
            for what, score in zip(words or (), scores or (), strict=True)
        )
        for words, scores in found
    ]
    dataset, name = access.root(samples), f"{FIELD}{field}"
    with lease(dataset, name, operator="write_false_alarms") as held:
        schema.declare(held, dataset, {field: (fo.IntField, "False positives in this image")})
        blocks.set_column(held, dataset, field, dict(zip(samples.values("id"), counts, strict=True)))
    access.refresh(dataset)


def check_threshold(confidence_threshold: float) -> None:
    """Refuse a value that is no confidence.

    Raises:
        ValueError: naming it.
    """
    if not 0 <= confidence_threshold <= 1:
        raise ValueError(f"confidence_threshold must lie in [0, 1], got {confidence_threshold}")
