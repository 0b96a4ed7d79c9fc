"""Our rates of what FiftyOne's own evaluation has matched, so that both speak of the same false alarms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fiftyone as fo

from hnm_core import MiningReport, MiningSettings
from hnm_core.report import Counts

KEPT = ("pred_field", "gt_field", "iou_threshold", "class_agnostic")
"""What mining takes over from an evaluation."""

THRESHOLD = MiningSettings().confidence_threshold


def keys(dataset: Any) -> list[str]:
    """The keys of the evaluations of detections, which can be mined as well."""
    return [key for key in dataset.list_evaluations(type="detection") if _config(dataset, key).pred_field]


def with_evaluation(dataset: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of mining with fields and IoU threshold as the evaluation had them that ``eval_key`` names, if any.

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


def _config(dataset: Any, key: str) -> Any:
    return dataset.get_evaluation_info(key).config


def rate(name: str, samples: Any, results: Any, confidence_threshold: float = THRESHOLD) -> float:
    """One of the report's rates, such as ``false_alarm_rate`` or ``fppi``.

    Args:
        name: as in ``MiningReport.as_dict()["rates"]``.
        samples: the samples that were evaluated.
        results: the results of ``evaluate_detections``.
        confidence_threshold: in ``[0, 1]``; FiftyOne counts every prediction, false alarms are confident ones.
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
        confident_predictions=len(confident),
        true_positives=right,
        false_positives=len(confident) - right,
    )
    return float(MiningReport(images=len(samples), counts=counts).as_dict()["rates"][name])


def write_false_alarms(samples: Any, results: Any, field: str, confidence_threshold: float = THRESHOLD) -> None:
    """Give every sample the number of its false alarms, so that the grid can be sorted by it."""
    boxes = f"{results.config.pred_field}.detections"
    found = zip(*samples.values([f"{boxes}.{results.key}", f"{boxes}.confidence"]), strict=True)
    counts = [
        sum(
            what == "fp" and score is not None and score >= confidence_threshold
            for what, score in zip(words or (), scores or (), strict=True)
        )
        for words, scores in found
    ]
    dataset = samples._root_dataset
    if dataset.get_field(field) is None:
        dataset.add_sample_field(field, fo.IntField, description="False alarms in this image")
    samples.set_values(field, counts)


def check_threshold(confidence_threshold: float) -> None:
    """Refuse what is no confidence.

    Raises:
        ValueError: naming it.
    """
    if not 0 <= confidence_threshold <= 1:
        raise ValueError(f"confidence_threshold must lie in [0, 1], got {confidence_threshold}")
