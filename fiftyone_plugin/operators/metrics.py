"""Metrics for FiftyOne's own evaluation: how often the detector cries wolf.

``dataset.evaluate_detections(..., custom_metrics=["@hnm/hard-negative-mining/false_alarm_rate"])`` computes them, and
FiftyOne's Model Evaluation panel shows them. They are called *confident*, since FiftyOne's own counts, of every
prediction, stand beside them.
"""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import evaluating
from ..icons import icons


class _Rate(foo.EvaluationMetric):
    """A rate at a confidence threshold, named as in our report."""

    name: str
    label: str
    description: str

    @property
    def config(self) -> foo.EvaluationMetricConfig:
        """How FiftyOne lists this metric: with evaluations, not with operators."""
        return foo.EvaluationMetricConfig(
            name=self.name,
            label=self.label,
            description=self.description,
            eval_types=["detection"],
            lower_is_better=True,
            **icons("metric"),
            unlisted=True,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        """The threshold, in the form of an evaluation."""
        inputs = types.Object()
        what = "Predictions with at least this confidence count as the detector's word"
        threshold = evaluating.THRESHOLD
        inputs.float(
            "confidence_threshold", label="Confidence threshold", min=0, max=1, default=threshold, description=what
        )
        return types.Property(inputs)

    def compute(self, samples: Any, results: Any, confidence_threshold: float = evaluating.THRESHOLD) -> float:
        """The rate over all samples."""
        return evaluating.rate(self.name, samples, results, confidence_threshold)


class FalseAlarmRate(_Rate):
    """False positives over confident predictions."""

    name, label = "false_alarm_rate", "False-alarm rate, confident"
    description = "Share of the confident predictions that are false"


class FalsePositivesPerImage(_Rate):
    """Confident false positives per image; every sample gets its own number, as ``EVAL_KEY_fppi``."""

    name, label = "fppi", "False positives per image, confident"
    description = "Confident predictions that are false, per image"

    def compute(self, samples: Any, results: Any, confidence_threshold: float = evaluating.THRESHOLD) -> float:
        """The rate over all samples, and the count of each."""
        if results.key is not None:
            field = f"{results.key}_{self.name}"
            evaluating.write_false_alarms(samples, results, field, confidence_threshold)
        return super().compute(samples, results, confidence_threshold)

    def get_fields(self, samples: Any, config: Any, eval_key: str) -> list[str]:
        """What FiftyOne renames and deletes with the evaluation."""
        return [f"{eval_key}_{self.name}"]
