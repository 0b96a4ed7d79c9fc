"""Metrics for FiftyOne's own evaluation: the rates of false alarms.

``dataset.evaluate_detections(..., custom_metrics=["@hnm/hard-negative-mining/false_alarm_rate"])`` computes them, and
FiftyOne's Model Evaluation panel shows them. Their labels say *confident*, since FiftyOne's own counts beside them are
of every prediction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from ..actions import evaluations
from ..app.icons import icons

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext


class _Rate(foo.EvaluationMetric):
    """A rate at a confidence threshold, with its name in our report."""

    name: str
    label: str
    description: str

    @property
    def config(self) -> foo.EvaluationMetricConfig:
        """Return how FiftyOne lists this metric: with evaluations, not with operators."""
        return foo.EvaluationMetricConfig(
            name=self.name,
            label=self.label,
            description=self.description,
            eval_types=["detection"],
            lower_is_better=True,
            **icons("metric"),
            risk_level="medium",
            unlisted=True,
        )

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form for the threshold, a part of the evaluation's form."""
        inputs = types.Object()
        what = "Only predictions with at least this confidence are counted"
        threshold = evaluations.THRESHOLD
        inputs.float(
            "confidence_threshold", label="Confidence threshold", min=0, max=1, default=threshold, description=what
        )
        return types.Property(inputs)

    def compute(
        self, samples: SampleCollection, results: Any, confidence_threshold: float = evaluations.THRESHOLD
    ) -> float:
        """Return the rate over all samples.

        Args:
            samples: the evaluated samples.
            results: FiftyOne's results of the evaluation.
            confidence_threshold: predictions at or above it count, in ``[0, 1]``.
        """
        return evaluations.rate(self.name, samples, results, confidence_threshold)


class FalseAlarmRate(_Rate):
    """False positives over confident predictions."""

    name, label = "false_alarm_rate", "False-alarm rate, confident"
    description = "Share of confident predictions that are false positives"


class FalsePositivesPerImage(_Rate):
    """Confident false positives per image; every sample gets its own number in ``EVAL_KEY_fppi``."""

    name, label = "fppi", "False positives per image, confident"
    description = "Confident false positives per image"

    def compute(
        self, samples: SampleCollection, results: Any, confidence_threshold: float = evaluations.THRESHOLD
    ) -> float:
        """Return the rate over all samples, and write the number of each.

        Args:
            samples: the evaluated samples.
            results: FiftyOne's results of the evaluation.
            confidence_threshold: predictions at or above it count, in ``[0, 1]``.
        """
        if results.key is not None:
            field = f"{results.key}_{self.name}"
            evaluations.write_false_alarms(samples, results, field, confidence_threshold)
        return super().compute(samples, results, confidence_threshold)

    def get_fields(self, samples: SampleCollection, config: Any, eval_key: str) -> list[str]:
        """Return the fields that FiftyOne renames and deletes with the evaluation."""
        return [f"{eval_key}_{self.name}"]
