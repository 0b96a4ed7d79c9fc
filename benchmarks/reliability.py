"""Is suspicion a probability? Of the mistakes suspected at .8, how many labels are wrong: a reliability diagram."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks import labels
from benchmarks.labels import Case
from benchmarks.suspicion import REVIEWS, estimate_after, reviewed_states

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "reliability.png"
BINS = 10
STAGES = {
    "the prior alone": (False, 0, "#999999"),
    "with appearance": (True, 0, "#0072b2"),
    f"with appearance, after {REVIEWS} reviews": (True, REVIEWS, "#d55e00"),
}
"""What is drawn: whether appearance speaks, after how many reviews, in which colour."""

Points = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]]


def table() -> list[str]:
    """Calibration error of every stage and set, and the picture."""
    with tempfile.TemporaryDirectory() as folder:
        cases = [labels.digits(Path(folder), 500, seed=0)]
        for name, label in (("bccd", "blood cells"), ("cards", "cards")):
            try:
                cases.append(labels.photographs(name, label))
            except FileNotFoundError:
                continue
        drawn = {case.name: _points(case) for case in cases}
    draw(drawn).savefig(PICTURE, dpi=110)
    lines = [f"| expected calibration error | {' | '.join(drawn)} |", f"|---|{'---|' * len(drawn)}"]
    for stage in STAGES:
        cells = (f"{calibration_error(*points[stage]):.3f}" for points in drawn.values())
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    return lines


def binned(
    suspicion: NDArray[np.float64], wrong: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean suspicion, share of wrong labels and count of every bin that holds mistakes."""
    place = np.minimum((suspicion * BINS).astype(int), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    some = count > 0
    estimated, true = (np.bincount(place, values, minlength=BINS)[some] / count[some] for values in (suspicion, wrong))
    return estimated, true, count[some]


def calibration_error(estimated: NDArray[np.float64], true: NDArray[np.float64], count: NDArray[np.int64]) -> float:
    """Mean distance of what is estimated from what is true, each bin by its mistakes (Naeini et al., AAAI 2015)."""
    return float(np.average(np.abs(estimated - true), weights=count))


def draw(drawn: Mapping[str, Points]) -> Figure:
    """Draw a diagram a set: on the diagonal, suspicion is the share of wrong labels; dots grow with the mistakes."""
    figure = Figure(figsize=(3.6 * len(drawn), 4.2), layout="constrained")
    for axes, (name, points) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
        for stage, (estimated, true, count) in points.items():
            color = STAGES[stage][2]
            axes.scatter(
                estimated, true, s=8 + 200 * count / count.sum(), color=color, alpha=0.8, label=stage, linewidth=0
            )
        axes.set(title=name, xlabel="suspicion", xlim=(-0.05, 1.05), ylim=(-0.05, 1.05))
        axes.title.set_fontsize("medium")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("share of wrong labels")
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(STAGES), frameon=False, fontsize="small")
    return figure


def _points(case: Case) -> Points:
    """Return every stage's bins, over the mined mistakes that nobody has reviewed."""
    seen = {"appearance": case.at_mistakes(labels.by_appearance(case))}
    found = {}
    for stage, (appearance, reviews, _) in STAGES.items():
        evidence = seen if appearance else {}
        state = reviewed_states(case, reviews, evidence)
        rows = case.result.mistakes.mined & (state == 0)
        found[stage] = binned(np.asarray(estimate_after(case, state, evidence).suspicion)[rows], case.wrong[rows])
    return found
