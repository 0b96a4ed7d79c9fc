"""Is it the model or the label? What tells them apart, and how many looks it takes to get the weights right."""

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
from hnm_core.accounting import extra_weight
from hnm_core.imageset import Images
from hnm_core.judging import Suspicion, judge, scores_of
from hnm_core.looks import next_looks
from hnm_core.reviews import HARD_NEGATIVE, MISSING_LABEL
from hnm_core.taxonomy import BACKGROUND

LOOKS, MOST, SEEDS, CLOSE = 20, 300, 3, 0.05
EVIDENCE = {
    "appearance: edges of the crop": labels.by_looks,
    "appearance: the detector's backbone": labels.by_backbone,
    "agreement: the same weights at another image size": labels.by_second_look,
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
    heard = [_heard(case) for case in cases]
    for parts in ((), *((name,) for name in EVIDENCE), TOGETHER):
        said = [_before(case, [of[part] for part in parts]) for case, of in zip(cases, heard, strict=True)]
        lines.append(_line("; ".join(parts) or "the prior alone", cases, ranked, said, True))
    for name, order in ORDERS.items():  # none of them speaks of misses, which are never label errors here
        said = [np.nan_to_num(case.at_mistakes(order(case)), nan=-2.0) for case in ranked]
        lines.append(_line(name, cases, ranked, [*said, *([None] * (len(cases) - len(ranked)))], False))
    return lines


def _heard(case: Case) -> dict[str, np.ndarray | None]:
    """Every evidence at the mistakes."""
    found = {name: of(case) for name, of in EVIDENCE.items()}
    return {name: None if column is None else case.at_mistakes(column) for name, column in found.items()}


def _before(case: Case, evidence: list[np.ndarray | None]) -> np.ndarray | None:
    """``(k,)`` suspicion of every mistake before any review; None where one evidence can't be had."""
    given = {str(i): column for i, column in enumerate(evidence) if column is not None}
    if len(given) < len(evidence):
        return None
    return np.asarray(judged_by(case, np.zeros(len(case.wrong), dtype=np.int8), given).suspicion)


def _line(name: str, cases: list[Case], ranked: list[Case], said: list[Any], probable: bool) -> str:
    """A row: AUROC of the sets that have both kinds, and Brier of all if it is a probability."""
    cells = [cell for case, of in zip(ranked, said, strict=False) for cell in _ranks(case, of)]
    for case, of in zip(cases, said, strict=True):
        cells.append(f"{_brier(case, of):.3f}" if probable and of is not None else "–")
    return f"| {name} | {' | '.join(cells)} |"


def _ranks(case: Case, said: np.ndarray) -> list[str]:
    mistakes = case.result.mistakes
    rows = mistakes.mined, mistakes.mined & (mistakes.code == BACKGROUND)
    return [auroc(said[some], case.wrong[some]) for some in rows]


def _brier(case: Case, suspicion: np.ndarray) -> float:
    """Mean squared difference from what is true, over the mined mistakes."""
    return float(((suspicion - case.wrong)[case.result.mistakes.mined] ** 2).mean())


def auroc(score: np.ndarray, positive: np.ndarray) -> str:
    """The area under the ROC curve: how often a positive stands above a negative, ties a half."""
    if positive.all() or not positive.any():
        return "–"
    ups, downs = score[positive][:, None], score[~positive]
    return f"{((ups > downs).mean() + (ups == downs).mean() / 2):.3f}"


def _review(cases: list[Case]) -> list[str]:
    """What review does, answered by who knows; medians over seeds."""
    heads = [
        *(f"before → after {LOOKS} looks", "label errors among the mined", "Brier", "weight spent on label errors"),
        *("weight of genuine errors kept", f"looks until the weights are right within {CLOSE:.0%}"),
    ]
    lines = [f"| {' | '.join(heads)} |", "|---|---|---|---|---|---|"]
    for case in cases:
        for name, evidence in (("", {}), (", with appearance", {"appearance": labels.by_looks})):
            columns = {key: case.at_mistakes(of(case)) for key, of in evidence.items()}
            runs = [_run(case, columns, seed) for seed in range(SEEDS)]
            cells = [f"{case.name}{name}", f"{case.wrong[case.result.mistakes.mined].mean():.0%}"]
            for key, style in (("brier", ".3f"), ("spent", ".1%"), ("kept", ".0%")):
                before, after = (median(run[key][i] for run in runs) for i in (0, 1))
                cells.append("–" if np.isnan(after) else f"{before:{style}} → {after:{style}}")
            looks = median(run["looks"] for run in runs)
            cells.append(f"{looks:.0f}" if looks < MOST else f"more than {MOST}")
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _run(case: Case, evidence: dict[str, Any], seed: int) -> dict[str, Any]:
    mistakes, images, settings = case.result.mistakes, Images.of(case.result.truth), case.result.settings
    answer = np.where(case.wrong, MISSING_LABEL, HARD_NEGATIVE).astype(np.int8)
    right = judged_by(case, answer, {})
    credulous = _extra(case, replace(right.suspicions, value=np.zeros(len(mistakes))))
    state = np.zeros(len(mistakes), dtype=np.int8)
    found: dict[str, Any] = {"brier": [], "spent": [], "kept": [], "looks": MOST}
    for look in range(MOST):
        judged = judged_by(case, state, evidence)
        off = np.abs(judged.weights - right.weights).sum() / (right.weights - 1.0).sum()
        if look in (0, LOOKS):
            extra = _extra(case, judged.suspicions)
            found["brier"].append(_brier(case, judged.suspicion))
            for key, rows in (("spent", case.wrong), ("kept", ~case.wrong)):
                owed = credulous[rows].sum()
                found[key].append(extra[rows].sum() / owed if owed > 0.01 * credulous.sum() else np.nan)
        if off <= CLOSE and found["looks"] == MOST:
            found["looks"] = look
        rows = next_looks(mistakes, state, images, settings, seed=1000 * seed + look, evidence=evidence)
        if not len(rows) or (look >= LOOKS and found["looks"] < MOST):
            break
        state[rows[0]] = answer[rows[0]]
    return found


def answered(case: Case, looks: int, evidence: dict[str, Any], seed: int = 0) -> np.ndarray:
    """``(k,)`` state of every mistake after so many looks, answered by who knows."""
    mistakes, images, settings = case.result.mistakes, Images.of(case.result.truth), case.result.settings
    answer = np.where(case.wrong, MISSING_LABEL, HARD_NEGATIVE).astype(np.int8)
    state = np.zeros(len(mistakes), dtype=np.int8)
    for look in range(looks):
        rows = next_looks(mistakes, state, images, settings, seed=1000 * seed + look, evidence=evidence)
        if len(rows):
            state[rows[0]] = answer[rows[0]]
    return state


def judged_by(case: Case, state: np.ndarray, evidence: dict[str, Any]) -> Any:
    """What mining makes of these answers."""
    return judge(case.result.mistakes, state, Images.of(case.result.truth), case.result.settings, evidence=evidence)


def _extra(case: Case, suspicions: Suspicion) -> np.ndarray:
    """The extra weight that is owed to each mistake."""
    mistakes, images, settings = case.result.mistakes, Images.of(case.result.truth), case.result.settings
    rows, shares, scores = scores_of(mistakes, suspicions, images, settings)
    out = np.zeros(len(mistakes))
    out[rows] = extra_weight(mistakes.image[rows], shares, images.weigh(scores, settings).weights)
    return out
