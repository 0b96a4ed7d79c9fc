"""What does a click mend? A reviewer who knows the answers, errs a little and pays for every press: sheets or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks import evidence, labels
from benchmarks.evidence import ALL, PROVING, Known
from benchmarks.label_noise import BOX, CLASS
from benchmarks.retraining_sets import SHARED
from hnm_core import MiningSettings, mine
from hnm_core.labels.estimate import estimate_suspicion
from hnm_core.labels.mistakes import Mistakes, mistake_rows
from hnm_core.labels.next_reviews import next_reviews
from hnm_core.labels.reviews import (
    HARD_NEGATIVE,
    LABEL_ERRORS,
    MISSING_LABEL,
    STATES,
    UNREVIEWED,
    WRONG_BOX,
    WRONG_LABEL,
)
from hnm_core.labels.sheets import label_error_of, next_sheet
from hnm_core.settings import SheetSettings
from hnm_core.taxonomy import TRUE_POSITIVE
from hnm_core.training.view_cache import cache_folder
from hnm_core.weighting.images import Images

CLICKS, SEEDS, ERRS = (50, 100, 150), 5, 0.02
"""After how many clicks it is counted; runs with other random numbers; how often the reviewer errs on an object."""

BY_CHANGE, FEW = "single looks, by change of the weights", 2_000
"""A way to review that is tried among so many mistakes at most."""

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "review-clicks.png"

Rows = NDArray[np.int64]
Codes = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Pile:
    """Mistakes to review, and what is true of them.

    Attributes:
        name: for the table.
        mistakes: ``k`` of them.
        images: that they are in.
        settings: they were mined with.
        answer: ``(k,)`` int8, the review state that is right.
        evidence: per kind ``(k,)``.
    """

    name: str
    mistakes: Mistakes
    images: Images
    settings: MiningSettings
    answer: Codes
    evidence: Mapping[str, NDArray[np.float64]]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Return which show an object whose label is missing."""
        return self.answer == MISSING_LABEL


@dataclass
class Desk:
    """One reviewer at work.

    Attributes:
        pile: what is reviewed.
        evidence: evidence on each mistake that is used.
        rng: of the reviewer's errors and of random orders.
        state: ``(k,)`` answers so far; below 0, that it does not fit.
        seen: ``(k,)`` bool, exceptions of sheets: they wait for a single look.
    """

    pile: Pile
    evidence: Mapping[str, NDArray[np.float64]]
    rng: np.random.Generator
    state: Codes = field(init=False)
    seen: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        """Begin without an answer."""
        self.state = np.zeros(len(self.pile.answer), dtype=np.int8)
        self.seen = np.zeros(len(self.pile.answer), dtype=bool)

    @property
    def open(self) -> Rows:
        """What may be shown."""
        mistakes = self.pile.mistakes
        free = mistakes.mined & (mistakes.code != TRUE_POSITIVE) & (self.state <= UNREVIEWED) & ~self.seen
        return np.flatnonzero(free)

    @property
    def mended(self) -> tuple[int, int, int]:
        """Return how many label errors are found, how many missing labels are among them, and how many are none."""
        said = np.isin(self.state, LABEL_ERRORS)
        right = said & (self.state == self.pile.answer)
        return int(right.sum()), int((right & self.pile.missing).sum()), int((said & ~right).sum())


def table(sets: Path = SHARED) -> list[str]:
    """Label errors found per click, what share of all that is, and how many were wrong; medians over seeds."""
    piles = [digits_pile(cache_folder() / "benchmarks" / "digits-review")]
    absent = []
    try:
        piles.append(photographs_pile(evidence.proving(sets)))
    except FileNotFoundError:
        absent.append(f"| {PROVING.name} | left out: its photographs are not here{' | –' * (2 * len(CLICKS) + 3)} |")
    heads = [f"{n} clicks: {what}" for n in CLICKS for what in ("found a click", "of all")]
    heads += [f"{CLICKS[0]} clicks: missing labels a click", f"{CLICKS[-1]} clicks: of all missing labels"]
    lines = [f"| set | review | {' | '.join(heads)} | wrong among them |", f"|---|---|{'---|' * len(heads)}---|"]
    curves = {pile.name: {name: run(pile, name) for name in _ways(pile)} for pile in piles}
    draw(curves).savefig(PICTURE, dpi=110)
    return [*lines, *(_line(pile, name, curves[pile.name][name]) for pile in piles for name in _ways(pile)), *absent]


def _ways(pile: Pile) -> list[str]:
    """Return the ways that are tried: the single look that is asked of all mistakes takes hours among many."""
    return [name for name in WAYS if name != BY_CHANGE or len(pile.answer) <= FEW]


def digits_pile(folder: Path) -> Pile:
    """Return the mistakes on the demo's digits: a label is missing or none is wrong."""
    case = labels.digits(folder, 1500, seed=1)
    answer = np.where(case.wrong, MISSING_LABEL, HARD_NEGATIVE).astype(np.int8)
    told = {"appearance": case.at_mistakes(labels.by_appearance(case))}
    result = case.result
    return Pile(case.name, result.mistakes, Images.of(result.truth), result.settings, answer, told)


def photographs_pile(known: Known) -> Pile:
    """Return the false positives of every error type against labels with drawn-in errors.

    What is right is known from the true label that a false positive matches: it is missing, or has another class or
    another box. One that matches none, or a label that is right, is the model's.
    """
    assert known.labels is not None
    result, noisy = known.result, known.labels
    rows = mistake_rows(result.errors, (result.prediction_hard, result.truth_hard))[0]
    matched = mine(result.predictions, noisy.truth, ALL).matches.matched[rows]
    of_kind = np.full(len(noisy.truth) + 1, MISSING_LABEL, dtype=np.int8)
    of_kind[-1] = HARD_NEGATIVE  # of what matches nothing
    kept = noisy.of >= 0
    said = {CLASS: WRONG_LABEL, BOX: WRONG_BOX}
    of_kind[noisy.of[kept]] = [said.get(int(kind), HARD_NEGATIVE) for kind in noisy.kind[kept]]
    some = np.arange(len(rows))
    told = {kind: column[some] for kind, column in known.evidence.items() if kind in known.told.kinds}
    name = f"{known.name}, {len(noisy.truth.images)} images, false positives from {ALL.confidence_threshold:g}"
    return Pile(name, result.mistakes.take(some), Images.of(result.truth), result.settings, of_kind[matched], told)


def run(pile: Pile, name: str) -> NDArray[np.int64]:
    """Review in one of :data:`WAYS` with every seed, ``(seeds, clicks + 1, 3)``: :attr:`Desk.mended` by clicks spent.

    What a last click begins does not count.
    """
    way, shows = WAYS[name]
    found = np.zeros((SEEDS, CLICKS[-1] + 1, 3), dtype=np.int64)
    for seed in range(SEEDS):
        desk, spent = Desk(pile, pile.evidence if shows else {}, np.random.default_rng(seed)), 0
        for clicks in way(desk):
            spent += clicks
            if spent > CLICKS[-1]:
                break
            found[seed, spent:] = desk.mended
    return found


def _line(pile: Pile, name: str, found: NDArray[np.int64]) -> str:
    mined = pile.mistakes.mined
    everything, missing = int((np.isin(pile.answer, LABEL_ERRORS) & mined).sum()), int((pile.missing & mined).sum())
    cells = []
    for clicks in CLICKS:
        cells += [_a_click(found[:, clicks, 0], clicks), f"{median(found[:, clicks, 0]) / everything:.0%}"]
    cells += [_a_click(found[:, CLICKS[0], 1], CLICKS[0]), f"{median(found[:, -1, 1]) / missing:.0%}"]
    wrong = median(bad / max(good + bad, 1) for good, _, bad in found[:, -1])
    return f"| {pile.name}, {everything} label errors | {name} | {' | '.join(cells)} | {wrong:.1%} |"


def _a_click(found: NDArray[np.int64], clicks: int) -> str:
    return f"{median(found) / clicks:.1f} ({found.min() / clicks:.1f} to {found.max() / clicks:.1f})"


def draw(curves: Mapping[str, Mapping[str, NDArray[np.int64]]]) -> Figure:
    """Draw what is mended against the clicks spent, a diagram a set: medians, with the lowest and the highest run."""
    figure = Figure(figsize=(5.2 * len(curves), 4.6), layout="constrained")
    clicks = np.arange(CLICKS[-1] + 1)
    for axes, (name, of_set) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        for way, found in of_set.items():
            color, dashes = LOOKS[way]
            mended = found[:, :, 0]
            axes.plot(clicks, np.median(mended, axis=0), color=color, linestyle=dashes, linewidth=1.6, label=way)
            axes.fill_between(clicks, mended.min(axis=0), mended.max(axis=0), color=color, alpha=0.15, linewidth=0)
        axes.set(title=name, xlabel="clicks", xlim=(0, CLICKS[-1]))
        axes.set_ylim(bottom=0)
        axes.title.set_fontsize("medium")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("label errors mended")
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False, fontsize="small")
    return figure


def by_sheets(desk: Desk, choose: Callable[[Desk], tuple[Rows, int] | None]) -> Iterator[int]:
    """Answer each sheet with what fits most, and yield what it cost; the next one comes by itself."""
    while (chosen := choose(desk)) is not None:
        rows, answer = chosen
        right, errs = desk.pile.answer[rows], desk.rng.random(len(rows)) < ERRS
        fits = (right == answer) != errs
        if fits.sum() * 2 < len(rows):
            answer, fits = HARD_NEGATIVE, (right == HARD_NEGATIVE) != errs
        desk.state[rows] = np.where(fits, answer, -answer)
        desk.seen[rows[~fits]] = True
        yield 1 + int((~fits).sum())


def by_single_looks(desk: Desk, choose: Callable[[Desk], Rows]) -> Iterator[int]:
    """Answer one object at a time, a click each; who errs takes a label error for the model's, or the reverse."""
    while len(rows := choose(desk)):
        right, errs = int(desk.pile.answer[rows[0]]), desk.rng.random() < ERRS
        other = _label_error(desk.pile.mistakes, rows[0]) if right == HARD_NEGATIVE else HARD_NEGATIVE
        desk.state[rows[0]] = other if errs else right
        yield 1


def suspicion(desk: Desk) -> NDArray[np.float64]:
    """What the answers so far say of every mistake."""
    return np.asarray(estimate_suspicion(desk.pile.mistakes, desk.state, desk.evidence).value)


def expected_gain(desk: Desk) -> tuple[Rows, int] | None:
    """The sheet that the plugin hands out."""
    sheet = next_sheet(desk.pile.mistakes, desk.state, suspicion(desk), skip=np.flatnonzero(desk.seen).tolist())
    return None if sheet is None else (sheet.rows, STATES.index(sheet.answer))


def of_one_kind(order: Callable[[Desk], NDArray[np.float64]]) -> Callable[[Desk], tuple[Rows, int] | None]:
    """Sheets of the kind whose first object comes first in this order, in this order."""

    def choose(desk: Desk) -> tuple[Rows, int] | None:
        rows, mistakes = desk.open, desk.pile.mistakes
        if not len(rows):
            return None
        rows = rows[np.argsort(order(desk)[rows], kind="stable")]
        alike = np.ones(len(rows), dtype=bool)
        for column in (mistakes.code, mistakes.label, mistakes.of_truth):
            alike &= column[rows] == column[rows[0]]
        return rows[alike][: SheetSettings().sheet_size], _label_error(mistakes, rows[0])

    return choose


def _label_error(mistakes: Mistakes, row: np.integer) -> int:
    return STATES.index(label_error_of(int(mistakes.code[row]), of_truth=bool(mistakes.of_truth[row])))


def informative(desk: Desk) -> Rows:
    """The single look that the plugin shows."""
    pile, seed = desk.pile, int(desk.rng.integers(2**31))
    return next_reviews(pile.mistakes, desk.state, pile.images, pile.settings, evidence=desk.evidence, seed=seed)


def single(order: Callable[[Desk], NDArray[np.float64]]) -> Callable[[Desk], Rows]:
    """Single looks in this order."""
    return lambda desk: desk.open[np.argsort(order(desk)[desk.open], kind="stable")]


def score(desk: Desk) -> NDArray[np.float64]:
    """The most confident first; truths, which have no confidence, last."""
    return -np.nan_to_num(desk.pile.mistakes.score, nan=-1.0)


def suspected(desk: Desk) -> NDArray[np.float64]:
    """The most suspected first."""
    return -suspicion(desk)


def random(desk: Desk) -> NDArray[np.float64]:
    """No order."""
    return desk.rng.random(len(desk.state))


WAYS: dict[str, tuple[Callable[[Desk], Iterator[int]], bool]] = {
    "sheets, by expected gain a click": (lambda desk: by_sheets(desk, expected_gain), True),
    "the same without evidence": (lambda desk: by_sheets(desk, expected_gain), False),
    "sheets, by score": (lambda desk: by_sheets(desk, of_one_kind(score)), False),
    "sheets, at random": (lambda desk: by_sheets(desk, of_one_kind(random)), False),
    "single looks, most suspected first": (lambda desk: by_single_looks(desk, single(suspected)), True),
    "single looks, by score": (lambda desk: by_single_looks(desk, single(score)), False),
    BY_CHANGE: (lambda desk: by_single_looks(desk, informative), True),
}
"""Every way to review, and whether the evidence speaks."""

COLORS = ("#0072b2", "#56b4e9", "#009e73", "#999999", "#d55e00", "#e69f00", "#cc79a7")
LOOKS = {name: (color, "--" if "single" in name else "-") for name, color in zip(WAYS, COLORS, strict=True)}
