"""The progress of a review: what the reviews have changed, in numbers and in a chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import fiftyone.operators.types as types

from hnm_core.report import percent
from hnm_core.report.lines import how_many
from hnm_core.weighting.weights import effective_sample_size

from .layout import FACT, NOTES, QUIET, columns

TREND = "review_trend"
"""Name of the chart, which is sent once and not with every event."""

LINE, BAND = "#D55E00", "rgba(213, 94, 0, 0.2)"
TREND_LAYOUT = {
    "title": {"text": "Expected label errors, with their 90 % interval", "font": {"size": 13}, "x": 0.02, "y": 0.97},
    "font": {"size": 11},
    "margin": {"t": 34, "l": 48, "r": 12, "b": 40},
    "yaxis": {"rangemode": "tozero", "zeroline": False},
}


class ReviewNumbers(NamedTuple):
    """The numbers of an estimate.

    Attributes:
        review_count: number of reviews that count.
        expected: expected number of label errors among the mined objects.
        low: lower end of its interval.
        high: upper end of its interval.
        extra: mean extra weight of an image.
        effective: effective sample size over the number of images.
    """

    review_count: int
    expected: float
    low: float
    high: float
    extra: float
    effective: float

    @classmethod
    def of(cls, estimate: Any) -> ReviewNumbers:
        """Return the numbers of an estimate."""
        extra = float(estimate.weights.mean() - 1.0) if len(estimate.weights) else 0.0
        low, high = map(float, estimate.expected_interval)
        expected, effective = float(estimate.expected_label_errors), effective_sample_size(estimate.weights)
        return cls(estimate.suspicions.review_count, expected, low, high, extra, effective)


def numbers(panel: types.Object, before: ReviewNumbers, now: ReviewNumbers, state: Mapping[str, Any]) -> None:
    """Add the numbers before any review and now."""
    found, spent = state["spent"]
    facts = (
        (
            "Reviews",
            f"{now.review_count:,}",
            f"{state['unreviewed']:,} of {how_many(state['mined'], 'mined object')} left",
        ),
        (
            "Expected label errors",
            f"{before.expected:.0f} → {now.expected:.0f}",
            f"90 % interval {now.low:.0f} to {now.high:.0f}, before {before.low:.0f} to {before.high:.0f}",
        ),
        ("Clicks", f"{spent:,}", f"{how_many(found, 'label error')} found, {found / max(spent, 1):.1f} a click"),
        ("Certainty", _certainty(before, now), _certainty_remark(before, now)),
        ("Mean extra weight", f"{before.extra:.3f} → {now.extra:.3f}", "per image, from its hard negatives"),
        ("Effective sample size", f"{percent(before.effective, 1)} → {percent(now.effective, 1)}", "of the images"),
    )
    grid = panel.grid("review_numbers", orientation="horizontal", gap=1, componentsProps=columns(112))
    for number, (name, value, remark) in enumerate(facts):
        grid.md(
            f"{name}\n\n**{value}**\n\n*{remark}*", name=f"moved_{number}", componentsProps={"container": {"sx": FACT}}
        )
    panel.plot(TREND, layout=_trend_layout(now.review_count), config=QUIET, height="200px")
    lines = ["| error | reviews | label errors | share now (90 %) |", "|---|---|---|---|"]
    for name, reviews, wrong, mean, low, high in state["errors"]:
        share = f"{100 * mean:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"
        lines.append(f"| {name} | {reviews:.0f} | {wrong:.0f} | {share} |")
    panel.md("\n".join(lines), name="review_errors", componentsProps=NOTES)


def _trend_layout(reviews: int) -> dict[str, Any]:
    """Return the layout of the chart, with whole reviews on its axis."""
    x = {"title": {"text": "reviews", "font": {"size": 11}, "standoff": 6}, "zeroline": False}
    return {**TREND_LAYOUT, "xaxis": {**x, "range": [-0.2, max(reviews, 4) + 0.2], "tickformat": "d"}}


def _certainty(before: ReviewNumbers, now: ReviewNumbers) -> str:
    """Return half the width of the interval before any review and now."""
    return f"±{(before.high - before.low) / 2:.0f} → ±{(now.high - now.low) / 2:.0f}"


def _certainty_remark(before: ReviewNumbers, now: ReviewNumbers) -> str:
    """Return how much narrower the reviews made the interval."""
    width, before_width = now.high - now.low, before.high - before.low
    if not now.review_count or not before_width:
        return "label errors; no review yet" if not now.review_count else "label errors"
    return f"{how_many(now.review_count, 'review')} made the interval {100 * (1 - width / before_width):.0f} % narrower"


def chart(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the expected label errors after every review, and their interval as a band."""
    points = [ReviewNumbers(*point) for point in (state["before"], *state["trend"])]
    points += points[-1:] * (state["drawn"] - len(points))  # the App merges lists: a shorter one would keep its old end
    reviews = [point.review_count for point in points]
    band = {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "showlegend": False, "line": {"width": 0}}
    return [
        {**band, "x": reviews, "y": [point.high for point in points]},
        {**band, "x": reviews, "y": [point.low for point in points], "fill": "tonexty", "fillcolor": BAND},
        {
            "type": "scatter",
            "mode": "lines+markers",
            "showlegend": False,
            "x": reviews,
            "y": [point.expected for point in points],
            "line": {"color": LINE},
            "marker": {"size": 5},
            "hovertemplate": "after %{x} reviews: %{y:.0f}<extra></extra>",
        },
    ]
