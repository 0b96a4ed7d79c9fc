"""Is it the model or the label? What tells them apart, and how many reviews it takes to get the weights right."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import labels
from benchmarks.labels import Case
from hnm_core.labels.estimate import Suspicion, estimate_labels, image_scores_of
from hnm_core.labels.next_reviews import next_reviews
from hnm_core.labels.reviews import HARD_NEGATIVE, MISSING_LABEL
from hnm_core.taxonomy import BACKGROUND
from hnm_core.weighting.effect import extra_weight
from hnm_core.weighting.images import Images

REVIEWS, MOST, SEEDS, CLOSE = 20, 300, 3, 0.05
EVIDENCE = {
    "appearance: edges of the crop": labels.by_appearance,
    "appearance: the detector's backbone": labels.by_backbone,
    "agreement: the same weights at another image size": labels.by_second_size,
    "agreement: out of fold": labels.by_out_of_fold,
}
"""Log-likelihood ratios, which the engine can add to the prior; None where one can't be had."""

TOGETHER = "appearance: edges of the crop", "agreement: out of fold"
"""The two that add most to each other."""

ORDERS = {
    "the detector's score": labels.by_score,
    "ObjectLab, overlooked": labels.by_objectlab,
    "mistakenness, possibly missing": labels.by_mistakenness,
}
"""Numbers that are higher where a label is likelier missing."""


def table() -> list[str]:
    """Two Markdown tables: evidence before any review, and review with and without the evidence that is built in."""
    with tempfile.TemporaryDirectory() as folder:
        cases = list(_cases(Path(folder)))
        absent = [] if len(cases) == 4 else ["", "Not measured, for the data is not here: blood cells, cards."]
        return [*_evidence(cases), "", *_review(cases), *absent]


def _cases(folder: Path) -> Iterator[Case]:
    yield labels.digits(folder / "demo", 500, seed=0)
    yield labels.digits(folder / "more", 1500, seed=1)
    for name, label in (("bccd", "blood cells"), ("cards", "cards")):
        try:
            yield labels.photographs(name, label)
        except FileNotFoundError:
            return


def _evidence(cases: list[Case]) -> list[str]:
    """Before any review: how well label errors stand above the detector's, and how far off the probabilities are."""
    ranked = [case for case in cases if case.unseen]  # elsewhere an error type is all one or the other
    heads = [f"{case.name}: AUROC{of}" for case in ranked for of in ("", " among background errors")]
    heads += [f"{case.name}: Brier" for case in cases]
    lines = [f"| before any review | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    columns = [_evidence_of(case) for case in cases]
    for parts in ((), *((name,) for name in EVIDENCE), TOGETHER):
        estimated = [_before(case, [of[part] for part in parts]) for case, of in zip(cases, columns, strict=True)]
        lines.append(_line("; ".join(parts) or "the prior alone", cases, ranked, estimated, True))
    for name, order in ORDERS.items():  # none of them speaks of misses, which are never label errors here
        estimated = [np.nan_to_num(case.at_mistakes(order(case)), nan=-2.0) for case in ranked]
        lines.append(_line(name, cases, ranked, [*estimated, *([None] * (len(cases) - len(ranked)))], False))
    return lines


def _evidence_of(case: Case) -> dict[str, np.ndarray | None]:
    """Return every evidence at the mistakes."""
    found = {name: of(case) for name, of in EVIDENCE.items()}
    return {name: None if column is None else case.at_mistakes(column) for name, column in found.items()}


def _before(case: Case, evidence: list[np.ndarray | None]) -> np.ndarray | None:
    """``(k,)`` suspicion of every mistake before any review; None where one evidence can't be had."""
    given = {str(i): column for i, column in enumerate(evidence) if column is not None}
    if len(given) < len(evidence):
        return None
    return np.asarray(estimate_after(case, np.zeros(len(case.wrong), dtype=np.int8), given).suspicion)


def _line(name: str, cases: list[Case], ranked: list[Case], estimated: list[Any], probable: bool) -> str:
    """Return a row: AUROC of the sets that have both kinds, and Brier of all if it is a probability."""
    cells = [cell for case, of in zip(ranked, estimated, strict=False) for cell in _ranks(case, of)]
    for case, of in zip(cases, estimated, strict=True):
        cells.append(f"{_brier(case, of):.3f}" if probable and of is not None else "–")
    return f"| {name} | {' | '.join(cells)} |"


def _ranks(case: Case, estimated: np.ndarray) -> list[str]:
    mistakes = case.result.mistakes
    rows = mistakes.mined, mistakes.mined & (mistakes.code == BACKGROUND)
    return [auroc(estimated[some], case.wrong[some]) for some in rows]


def _brier(case: Case, suspicion: np.ndarray) -> float:
    """Mean squared difference from what is true, over the mined mistakes."""
    return float(((suspicion - case.wrong)[case.result.mistakes.mined] ** 2).mean())


def auroc(score: np.ndarray, positive: np.ndarray) -> str:
    """Return the area under the ROC curve: how often a positive stands above a negative, ties a half."""
    if positive.all() or not positive.any():
        return "–"
    ups, downs = score[positive][:, None], score[~positive]
    return f"{((ups > downs).mean() + (ups == downs).mean() / 2):.3f}"


def _review(cases: list[Case]) -> list[str]:
    """Return the table of what reviews change, with reviews from the known truth; medians over seeds."""
    heads = [
        *(f"before → after {REVIEWS} reviews", "label errors among the mined", "Brier", "weight spent on label errors"),
        *("weight of genuine errors kept", f"reviews until the weights are right within {CLOSE:.0%}"),
    ]
    lines = [f"| {' | '.join(heads)} |", "|---|---|---|---|---|---|"]
    for case in cases:
        for name, evidence in (("", {}), (", with appearance", {"appearance": labels.by_appearance})):
            columns = {key: case.at_mistakes(of(case)) for key, of in evidence.items()}
            runs = [_run(case, columns, seed) for seed in range(SEEDS)]
            cells = [f"{case.name}{name}", f"{case.wrong[case.result.mistakes.mined].mean():.0%}"]
            for key, style in (("brier", ".3f"), ("spent", ".1%"), ("kept", ".0%")):
                before, after = (median(run[key][i] for run in runs) for i in (0, 1))
                cells.append("–" if np.isnan(after) else f"{before:{style}} → {after:{style}}")
            reviews = median(run["review_count"] for run in runs)
            cells.append(f"{reviews:.0f}" if reviews < MOST else f"more than {MOST}")
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _run(case: Case, evidence: dict[str, Any], seed: int) -> dict[str, Any]:
    mistakes, images, settings = case.result.mistakes, Images.of(case.result.truth), case.result.settings
    answer = np.where(case.wrong, MISSING_LABEL, HARD_NEGATIVE).astype(np.int8)
    right = estimate_after(case, answer, {})
    unsuspecting = _extra(case, replace(right.suspicions, value=np.zeros(len(mistakes))))
    state = np.zeros(len(mistakes), dtype=np.int8)
    found: dict[str, Any] = {"brier": [], "spent": [], "kept": [], "review_count": MOST}
    for number in range(MOST):
        estimate = estimate_after(case, state, evidence)
        off = np.abs(estimate.weights - right.weights).sum() / (right.weights - 1.0).sum()
        if number in (0, REVIEWS):
            extra = _extra(case, estimate.suspicions)
            found["brier"].append(_brier(case, estimate.suspicion))
            for key, rows in (("spent", case.wrong), ("kept", ~case.wrong)):
                owed = unsuspecting[rows].sum()
                found[key].append(extra[rows].sum() / owed if owed > 0.01 * unsuspecting.sum() else np.nan)
        if off <= CLOSE and found["review_count"] == MOST:
            found["review_count"] = number
        rows = next_reviews(mistakes, state, images, settings, seed=1000 * seed + number, evidence=evidence)
        if not len(rows) or (number >= REVIEWS and found["review_count"] < MOST):
            break
        state[rows[0]] = answer[rows[0]]
    return found


def reviewed_states(case: Case, reviews: int, evidence: dict[str, Any], seed: int = 0) -> np.ndarray:
    """``(k,)`` state of every mistake after so many reviews with the known truth."""
    mistakes, images, settings = case.result.mistakes, Images.of(case.result.truth), case.result.settings
    answer = np.where(case.wrong, MISSING_LABEL, HARD_NEGATIVE).astype(np.int8)
    state = np.zeros(len(mistakes), dtype=np.int8)
    for number in range(reviews):
        rows = next_reviews(mistakes, state, images, settings, seed=1000 * seed + number, evidence=evidence)
        if len(rows):
            state[rows[0]] = answer[rows[0]]
    return state


def estimate_after(case: Case, state: np.ndarray, evidence: dict[str, Any]) -> Any:
    """Return what mining estimates from these reviews."""
    return estimate_labels(
        case.result.mistakes, state, Images.of(case.result.truth), case.result.settings, evidence=evidence
    )


def _extra(case: Case, suspicions: Suspicion) -> np.ndarray:
    """Return the extra weight that each mistake causes."""
    mistakes, images, settings = case.result.mistakes, Images.of(case.result.truth), case.result.settings
    rows, pooled = image_scores_of(mistakes, suspicions, images, settings)
    out = np.zeros(len(mistakes))
    out[rows] = extra_weight(pooled, images.weigh(pooled, settings))
    return out
