"""Where a review stands: what the answers moved, in numbers and in a chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import fiftyone.operators.types as types

from hnm_core.report import percent
from hnm_core.weights import effective_sample_size

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


class Standing(NamedTuple):
    """What the answers so far say of a run.

    Attributes:
        looks: answers that count.
        expected: label errors expected among the mined objects.
        low: lower end of their interval.
        high: upper end.
        extra: mean extra weight of an image.
        effective: effective sample size over the number of images.
    """

    looks: int
    expected: float
    low: float
    high: float
    extra: float
    effective: float

    @classmethod
    def of(cls, judged: Any) -> Standing:
        """The numbers of a judgement."""
        extra = float(judged.weights.mean() - 1.0) if len(judged.weights) else 0.0
        low, high = map(float, judged.expected_interval)
        expected, effective = float(judged.expected_label_errors), effective_sample_size(judged.weights)
        return cls(judged.suspicions.looks, expected, low, high, extra, effective)


def numbers(panel: types.Object, before: Standing, now: Standing, state: Mapping[str, Any]) -> None:
    """What the answers have moved: before anybody looked → now."""
    facts = (
        ("Looks", f"{now.looks:,}", f"{state['left']:,} of {state['mined']:,} mined objects left"),
        (
            "Expected label errors",
            f"{before.expected:.0f} → {now.expected:.0f}",
            f"90 % interval {now.low:.0f} to {now.high:.0f}, before {before.low:.0f} to {before.high:.0f}",
        ),
        ("Certainty", _certainty(before, now), _said_certain(before, now)),
        ("Mean extra weight", f"{before.extra:.3f} → {now.extra:.3f}", "of an image, by its hard negatives"),
        ("Effective sample", f"{percent(before.effective, 1)} → {percent(now.effective, 1)}", "of the images"),
    )
    grid = panel.grid("review_numbers", orientation="horizontal", gap=1, componentsProps=columns(112))
    for number, (name, value, remark) in enumerate(facts):
        grid.md(
            f"{name}\n\n**{value}**\n\n*{remark}*", name=f"moved_{number}", componentsProps={"container": {"sx": FACT}}
        )
    panel.plot(TREND, layout=_trend_layout(now.looks), config=QUIET, height="200px")
    lines = ["| error | looks | label errors | share now (90 %) |", "|---|---|---|---|"]
    for name, looks, wrong, mean, low, high in state["errors"]:
        share = f"{100 * mean:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"
        lines.append(f"| {name} | {looks:.0f} | {wrong:.0f} | {share} |")
    panel.md("\n".join(lines), name="review_errors", componentsProps=NOTES)


def _trend_layout(looks: int) -> dict[str, Any]:
    """Whole looks along the axis, from none."""
    x = {"title": {"text": "looks", "font": {"size": 11}, "standoff": 6}, "zeroline": False}
    return {**TREND_LAYOUT, "xaxis": {**x, "range": [-0.2, max(looks, 4) + 0.2], "tickformat": "d"}}


def _certainty(before: Standing, now: Standing) -> str:
    """Half the width of the interval, before anybody looked and now."""
    return f"±{(before.high - before.low) / 2:.0f} → ±{(now.high - now.low) / 2:.0f}"


def _said_certain(before: Standing, now: Standing) -> str:
    """What the looks bought, in words."""
    width, was = now.high - now.low, before.high - before.low
    if not now.looks or not was:
        return "label errors; nobody has looked yet" if not now.looks else "label errors"
    looks = "1 look" if now.looks == 1 else f"{now.looks} looks"
    return f"{looks} made the interval {100 * (1 - width / was):.0f} % narrower"


def chart(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Expected label errors after every look, and the band of their interval."""
    points = [Standing(*point) for point in (state["before"], *state["trend"])]
    points += points[-1:] * (state["drawn"] - len(points))  # the App merges lists: a shorter one would keep its old end
    looks = [point.looks for point in points]
    band = {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "showlegend": False, "line": {"width": 0}}
    return [
        {**band, "x": looks, "y": [point.high for point in points]},
        {**band, "x": looks, "y": [point.low for point in points], "fill": "tonexty", "fillcolor": BAND},
        {
            "type": "scatter",
            "mode": "lines+markers",
            "showlegend": False,
            "x": looks,
            "y": [point.expected for point in points],
            "line": {"color": LINE},
            "marker": {"size": 5},
            "hovertemplate": "after %{x} looks: %{y:.0f}<extra></extra>",
        },
    ]
