"""What does a click mend? A reviewer who knows the answers, errs a little and pays for every press: sheets or not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import labels
from benchmarks.labels import Case
from hnm_core.labels.estimate import estimate_suspicion
from hnm_core.labels.next_reviews import next_reviews
from hnm_core.labels.reviews import HARD_NEGATIVE, LABEL_ERRORS, MISSING_LABEL, STATES, UNREVIEWED
from hnm_core.labels.sheets import next_sheet
from hnm_core.settings import SheetSettings
from hnm_core.taxonomy import TRUE_POSITIVE
from hnm_core.weighting.images import Images

CLICKS, SEEDS, ERRS = (50, 100, 150), 5, 0.02
"""After how many clicks it is counted; runs with other random numbers; how often the reviewer errs on an object."""

Rows = NDArray[np.int64]


@dataclass
class Desk:
    """One reviewer at work.

    Attributes:
        case: the mining.
        evidence: evidence on each mistake.
        rng: of the reviewer's errors and of random orders.
        state: ``(k,)`` answers so far.
        seen: ``(k,)`` bool, exceptions of sheets: they wait for a single look.
    """

    case: Case
    evidence: dict[str, Any]
    rng: np.random.Generator
    state: NDArray[np.int8]
    seen: NDArray[np.bool_]

    @property
    def open(self) -> Rows:
        """What may be shown."""
        mistakes = self.case.result.mistakes
        free = mistakes.mined & (mistakes.code != TRUE_POSITIVE) & (self.state == UNREVIEWED) & ~self.seen
        return np.flatnonzero(free)


def table() -> list[str]:
    """Label errors found per click, what share of all that is, and how many answers were wrong; medians over seeds."""
    with tempfile.TemporaryDirectory() as folder:
        cases = [labels.digits(Path(folder), 1500, seed=1)]
        heads = [f"{n} clicks: {what}" for n in CLICKS for what in ("found a click", "of all")]
        lines = [f"| set | review | {' | '.join(heads)} | wrong among them |", f"|---|---|{'---|' * len(heads)}---|"]
        for case in cases:
            appearance = {"appearance": case.at_mistakes(labels.by_appearance(case))}
            for name, (way, shows) in WAYS.items():
                lines.append(_line(case, name, way, appearance if shows else {}))
    return lines


def _line(case: Case, name: str, way: Callable[[Desk], Iterator[int]], evidence: dict[str, Any]) -> str:
    runs = [reviewed(case, way, evidence, seed) for seed in range(SEEDS)]
    everything = int((case.wrong & case.result.mistakes.mined).sum())
    cells = []
    for place, clicks in enumerate(CLICKS):
        found = [right for right, _ in (run[place] for run in runs)]
        low, high = min(found) / clicks, max(found) / clicks
        cells += [f"{median(found) / clicks:.1f} ({low:.1f} to {high:.1f})", f"{median(found) / everything:.0%}"]
    wrong = median(bad / max(good + bad, 1) for good, bad in (run[-1] for run in runs))
    return f"| {case.name}, {everything} label errors | {name} | {' | '.join(cells)} | {wrong:.1%} |"


def reviewed(
    case: Case, way: Callable[[Desk], Iterator[int]], evidence: dict[str, Any], seed: int
) -> list[tuple[int, int]]:
    """Label errors found and wrongly found after each number of :data:`CLICKS`; what a last click begins counts not."""
    k = len(case.wrong)
    desk = Desk(case, evidence, np.random.default_rng(seed), np.zeros(k, dtype=np.int8), np.zeros(k, dtype=bool))
    found, spent, before = [(0, 0)] * len(CLICKS), 0, (0, 0)
    for clicks in way(desk):
        spent += clicks
        for place, most in enumerate(CLICKS):
            if spent > most and found[place] == (0, 0):
                found[place] = before
        said = np.isin(desk.state, LABEL_ERRORS)
        before = int((said & case.wrong).sum()), int((said & ~case.wrong).sum())
        if spent > CLICKS[-1]:
            break
    return [each if each != (0, 0) else before for each in found]


def by_sheets(desk: Desk, choose: Callable[[Desk], tuple[Rows, int] | None]) -> Iterator[int]:
    """Answer each sheet with what fits most, and yield what it cost; the next one comes by itself."""
    while (chosen := choose(desk)) is not None:
        rows, answer = chosen
        wrong = desk.case.wrong[rows] != (desk.rng.random(len(rows)) < ERRS)
        if wrong.sum() * 2 < len(rows):
            answer = HARD_NEGATIVE
        apart = wrong if answer == HARD_NEGATIVE else ~wrong
        desk.state[rows[~apart]] = answer
        desk.seen[rows[apart]] = True
        yield 1 + int(apart.sum())


def by_single_looks(desk: Desk, choose: Callable[[Desk], Rows]) -> Iterator[int]:
    """Answer one object at a time, a click each."""
    while len(rows := choose(desk)):
        wrong = desk.case.wrong[rows[0]] != (desk.rng.random() < ERRS)
        desk.state[rows[0]] = MISSING_LABEL if wrong else HARD_NEGATIVE
        yield 1


def suspicion(desk: Desk) -> NDArray[np.float64]:
    """What the answers so far say of every mistake."""
    return np.asarray(estimate_suspicion(desk.case.result.mistakes, desk.state, desk.evidence).value)


def expected_gain(desk: Desk) -> tuple[Rows, int] | None:
    """The sheet that the plugin hands out."""
    sheet = next_sheet(desk.case.result.mistakes, desk.state, suspicion(desk), skip=np.flatnonzero(desk.seen).tolist())
    return None if sheet is None else (sheet.rows, STATES.index(sheet.answer))


def of_one_kind(order: Callable[[Desk], NDArray[np.float64]]) -> Callable[[Desk], tuple[Rows, int] | None]:
    """Sheets of the kind whose first object comes first in this order, in this order."""

    def choose(desk: Desk) -> tuple[Rows, int] | None:
        rows, mistakes = desk.open, desk.case.result.mistakes
        if not len(rows):
            return None
        rows = rows[np.argsort(order(desk)[rows], kind="stable")]
        alike = (mistakes.code[rows] == mistakes.code[rows[0]]) & (mistakes.label[rows] == mistakes.label[rows[0]])
        return rows[alike][: SheetSettings().sheet_size], MISSING_LABEL

    return choose


def informative(desk: Desk) -> Rows:
    """The single look that the plugin shows."""
    mistakes, images = desk.case.result.mistakes, Images.of(desk.case.result.truth)
    given = {"evidence": desk.evidence, "seed": int(desk.rng.integers(2**31))}
    return next_reviews(mistakes, desk.state, images, desk.case.result.settings, **given)


def single(order: Callable[[Desk], NDArray[np.float64]]) -> Callable[[Desk], Rows]:
    """Single looks in this order."""
    return lambda desk: desk.open[np.argsort(order(desk)[desk.open], kind="stable")]


def score(desk: Desk) -> NDArray[np.float64]:
    """The most confident first; truths, which have no confidence, last."""
    return -np.nan_to_num(desk.case.result.mistakes.score, nan=-1.0)


def suspected(desk: Desk) -> NDArray[np.float64]:
    """The most suspected first."""
    return -suspicion(desk)


def random(desk: Desk) -> NDArray[np.float64]:
    """No order."""
    return desk.rng.random(len(desk.state))


WAYS: dict[str, tuple[Callable[[Desk], Iterator[int]], bool]] = {
    "sheets, by expected gain a click": (lambda desk: by_sheets(desk, expected_gain), True),
    "the same without appearance": (lambda desk: by_sheets(desk, expected_gain), False),
    "sheets, by score": (lambda desk: by_sheets(desk, of_one_kind(score)), False),
    "sheets, at random": (lambda desk: by_sheets(desk, of_one_kind(random)), False),
    "single looks, most suspected first": (lambda desk: by_single_looks(desk, single(suspected)), True),
    "single looks, by score": (lambda desk: by_single_looks(desk, single(score)), False),
    "single looks, by change of the weights": (lambda desk: by_single_looks(desk, informative), True),
}
"""Every way to review, and whether appearance speaks."""
