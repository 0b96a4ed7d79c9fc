"""The headline of a report: its main numbers in words, each with its change since the round before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..report import percent
from ..report.lines import how_many

__all__ = ["Fact", "headline"]


class Fact(NamedTuple):
    """A number of a report as text, with its ``change`` since the previous round and whether that is ``better``."""

    name: str
    value: str
    remark: str = ""
    change: str = ""
    better: bool | None = None


def headline(report: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> list[Fact]:
    """Return the numbers to show above the charts: rates first, then counts and weights.

    Args:
        report: what :meth:`~hnm_core.report.MiningReport.as_dict` returns.
        before: the same of the previous round, to show the change of the rates.

    Returns:
        One fact per number; facts on weights only if there are weights. A ratio with denominator 0 is ``–`` and has
        no change.

    Example:
        >>> from hnm_core.report import Counts, MiningReport
        >>> report = MiningReport(images=2, counts=Counts(9, 6, 4, 2, 0, hard_negatives=2), candidates=3)
        >>> headline(report.as_dict())[5]
        Fact(name='Hard negatives', value='2', remark='1 left out', change='', better=None)
    """
    found, mining, weights = report["statistics"], report["mining"], report["weights"]
    right, wrong, missed = (found[f"{name}s"] for name in ("true_positive", "false_positive", "false_negative"))
    basis = _basis(mining)

    def change(group: str, rate: str, scale: float, unit: str, *, lower: bool) -> tuple[str, bool | None]:
        if not before or not all(_counted(rate, each) for each in (report, before)):  # 0 of 0 is not an improvement
            return "", None
        return _change(report[group][rate], before[group][rate], scale, unit, lower=lower)

    facts = [
        Fact(
            *("False-alarm rate", percent(wrong, mining["counted_predictions"]), "of the confident"),
            *change("rates", "false_alarm_rate", 100, " pts", lower=True),
        ),
        Fact(
            *("False positives", f"{wrong:,}", f"{report['rates']['fppi']:.2f} per image"),
            *change("rates", "fppi", 1, "", lower=True),
        ),
        Fact(
            *("False negatives", f"{missed:,}", f"{percent(missed, right + missed)} of {right + missed:,} truths"),
            *change("rates", "miss_rate", 100, " pts", lower=True),
        ),
        Fact("Precision", percent(right, right + wrong), "", *change("metrics", "precision", 100, " pts", lower=False)),
        Fact("Recall", percent(right, right + missed), "", *change("metrics", "recall", 100, " pts", lower=False)),
        Fact("Hard negatives", f"{found['hard_negatives']:,}", f"{mining['left_out']:,} left out"),
        Fact("Label errors", f"≈ {mining['expected_label_errors']:,.0f}", basis),
        Fact("True positives", f"{right:,}"),
        Fact("Predictions", f"{found['total_predictions']:,}", f"{mining['counted_predictions']:,} confident"),
    ]
    if weights:
        facts += [
            Fact("Hard images", f"{weights['hard_images']:,}", f"of {mining['images']:,}"),
            Fact("Mean weight", f"{weights['mean_weight']:.3f}"),
            Fact("Effective sample", percent(weights["effective_sample_size"], 1), "of the images"),
        ]
    return facts


def _counted(rate: str, report: Mapping[str, Any]) -> int:
    """Return the denominator of a rate."""
    found, mining = report["statistics"], report["mining"]
    if rate == "fppi":
        return int(mining["images"])
    if rate in ("recall", "miss_rate"):
        return int(found["true_positives"] + found["false_negatives"])
    return int(mining["counted_predictions"])


def _basis(mining: Mapping[str, Any]) -> str:
    """Say what the number of label errors is based on; before any review it is a prior."""
    count, interval = mining["review_count"], mining.get("expected_label_errors_interval")
    if not count:
        return "a prior: not reviewed yet" if mining["suspicion_used"] else "a prior, not used for weights"
    between = f"{interval[0]:,.0f} to {interval[1]:,.0f}, " if interval else ""
    unused = "" if mining["suspicion_used"] else ", not used for weights"
    return f"{between}from {how_many(count, 'review')}{unused}"


def _change(now: float, before: float, scale: float, unit: str, *, lower: bool) -> tuple[str, bool | None]:
    """Format a difference with arrow and word, so that it is readable without colour; and say whether it is better."""
    difference = round(scale * (now - before), 1 if scale > 1 else 2)
    if not difference:
        return "as before", None
    better = (difference < 0) == lower
    digits = f"{abs(difference):.1f}" if scale > 1 else f"{abs(difference):.2f}"
    return f"{'▼' if difference < 0 else '▲'} {digits}{unit} {'better' if better else 'worse'}", better
