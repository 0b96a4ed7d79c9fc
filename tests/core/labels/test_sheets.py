"""Which objects are judged together next, against the plain definition tried over every kind and length."""

from __future__ import annotations

import numpy as np
import pytest

from hnm_core.labels.mistakes import Mistakes
from hnm_core.labels.reviews import LABEL_ERRORS, STATES
from hnm_core.labels.sheets import label_error_of, next_sheet
from hnm_core.settings import SheetSettings
from hnm_core.settings.sheets import LARGEST_ANSWER
from hnm_core.taxonomy import BACKGROUND, CLASSIFICATION, LOCALIZATION, MISSED, TRUE_POSITIVE
from tests.core.labels.test_next_reviews import world


def a_world(seed: int, objects: int = 120) -> tuple[Mistakes, np.ndarray, np.ndarray]:
    mistakes, _ = world(seed, objects, 40)
    rng = np.random.default_rng(seed + 99)
    return mistakes, rng.choice(len(STATES), objects, p=[0.7, *[0.05] * 6]), rng.random(objects)


def by_hand(mistakes: Mistakes, state: np.ndarray, p: np.ndarray, asked: SheetSettings, skip: set[int]) -> float:
    """The largest gain per click over all kinds, answers and lengths, from the sentences of the definition."""
    best = 0.0
    columns = zip(mistakes.code.tolist(), mistakes.label.tolist(), mistakes.of_truth.tolist(), strict=True)
    kinds: dict[tuple[int, int, bool], list[int]] = {}
    for row, kind in enumerate(columns):
        if mistakes.mined[row] and state[row] == 0 and row not in skip and kind[0] != TRUE_POSITIVE:
            kinds.setdefault(kind, []).append(row)
    for rows in kinds.values():
        for wrong in (True, False) if asked.sheet_gain == "weights" else (True,):
            fits = p if wrong else 1 - p
            place = np.abs(p - 0.5) if asked.sheet_order == "uncertain" else -fits
            for length in range(1, min(asked.sheet_size, len(rows)) + 1):
                shown = sorted(rows, key=place.tolist().__getitem__)[:length]
                gains = p if asked.sheet_gain == "labels" else p * (1 - p) * mistakes.difficulty
                best = max(best, gains[shown].sum() / (1 + (1 - fits[shown]).sum()))
    return best


@pytest.mark.parametrize("gain", ["labels", "weights"])
@pytest.mark.parametrize("order", ["suspected", "uncertain"])
@pytest.mark.parametrize("seed", range(6))
def test_no_other_sheet_promises_more_per_click(seed: int, order: str, gain: str) -> None:
    mistakes, state, p = a_world(seed)
    asked, skip = SheetSettings(sheet_size=5, sheet_order=order, sheet_gain=gain), {1, 2, 3}
    sheet = next_sheet(mistakes, state, p, asked, skip=skip)
    assert sheet is not None
    assert sheet.gain / sheet.clicks == pytest.approx(by_hand(mistakes, state, p, asked, skip), abs=1e-9)
    fits = p[sheet.rows] if STATES.index(sheet.answer) in LABEL_ERRORS else 1 - p[sheet.rows]
    assert (sheet.fitting, sheet.clicks) == pytest.approx((fits.sum(), 1 + (1 - fits).sum()))


def test_a_sheet_mixes_no_kinds_and_shows_nothing_twice() -> None:
    mistakes, state, p = a_world(3)
    seen: set[int] = set()
    while (sheet := next_sheet(mistakes, state, p, SheetSettings(sheet_size=7), skip=seen)) is not None:
        kinds = {(mistakes.code[row], mistakes.label[row], mistakes.of_truth[row]) for row in sheet.rows.tolist()}
        assert kinds == {(sheet.code, sheet.label, sheet.of_truth)}
        assert 0 < len(sheet.rows) <= 7
        assert not seen & set(sheet.rows.tolist())
        seen |= set(sheet.rows.tolist())
    assert seen == set(np.flatnonzero(mistakes.mined & (state == 0) & (mistakes.code != TRUE_POSITIVE)).tolist())


def test_a_sheet_ends_where_one_more_would_cost_more_than_it_brings() -> None:
    p = np.array([0.95, 0.95, 0.1, 0.95, 0.02])
    alarms = Mistakes(range(5), [BACKGROUND] * 5, [0] * 5, [0.9] * 5, [0.9] * 5, [False] * 5, [True] * 5)
    sheet = next_sheet(alarms, np.zeros(5), p)
    assert sheet is not None
    assert sheet.rows.tolist() == [0, 1, 3]


def test_for_the_weights_what_is_certainly_the_models_fault_is_worth_less_than_what_is_open() -> None:
    p = np.array([0.02] * 3 + [0.3] * 3)
    columns = [BACKGROUND] * 6, [0] * 3 + [1] * 3, [0.9] * 6, [0.9] * 6, [False] * 6, [True] * 6
    sheet = next_sheet(Mistakes(range(6), *columns), np.zeros(6), p, SheetSettings(sheet_gain="weights"))
    assert sheet is not None
    assert (sheet.label, sheet.answer) == (1, "hard_negative")


@pytest.mark.parametrize(
    ("code", "of_truth", "state"),
    [
        (BACKGROUND, False, "missing_label"),
        (LOCALIZATION, False, "wrong_box"),
        (CLASSIFICATION, False, "wrong_label"),
        (LOCALIZATION, True, "wrong_box"),
        (CLASSIFICATION, True, "wrong_label"),
        (MISSED, True, "bogus_label"),
    ],
)
def test_what_is_wrong_with_the_label_follows_from_the_error(code: int, of_truth: bool, state: str) -> None:
    assert label_error_of(code, of_truth=of_truth) == state


def test_nothing_left_is_no_sheet() -> None:
    mistakes, state, p = a_world(0)
    assert next_sheet(mistakes, np.full_like(state, 2), p) is None
    none = Mistakes([], [], [], [], [], [], [])
    assert next_sheet(none, np.zeros(0), np.zeros(0)) is None


def test_settings_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="sheet_order must be one of"):
        SheetSettings(sheet_order="size")
    with pytest.raises(ValueError, match="sheet_size"):
        SheetSettings(sheet_size=0)


def alarms(p: list[float], label: list[int] | None = None) -> tuple[Mistakes, np.ndarray, np.ndarray]:
    n = len(p)
    columns = [BACKGROUND] * n, label or [0] * n, [0.9] * n, [0.9] * n, [False] * n, [True] * n
    return Mistakes(range(n), *columns), np.zeros(n), np.array(p)


def test_twins_are_one_picture_that_gains_for_all_of_them_and_costs_one_exception() -> None:
    sheet = next_sheet(*alarms([0.9, 0.6, 0.7, 0.8, 0.5]), twin_of=np.array([0, 1, 1, 1, 4]))
    assert sheet is not None
    # by hand: .9 + (.6 + .7 + .8) label errors for 1 + .1 + .3 clicks; with the last one 3.5 for 1.9, less a click.
    # Nine of the first picture fit per exception, three times .7 / .3 of the second.
    assert (sheet.rows.tolist(), sheet.seen.tolist()) == ([0, 1], [1, 3])
    assert (sheet.fitting, sheet.gain, sheet.clicks) == pytest.approx((3.0, 3.0, 1.4))


def test_what_was_seen_often_comes_before_what_is_suspected_a_little_more() -> None:
    world = alarms([0.82, 0.8, 0.8, 0.8, 0.8])
    sheet = next_sheet(*world, SheetSettings(sheet_size=2), twin_of=np.array([0, 1, 2, 2, 4]))
    assert sheet is not None
    assert (sheet.rows.tolist(), sheet.seen.tolist()) == ([2, 0], [2, 1])


def test_where_the_picture_is_answered_the_next_twin_is_shown() -> None:
    mistakes, state, p = alarms([0.9, 0.9, 0.9])
    state[0] = STATES.index("missing_label")
    sheet = next_sheet(mistakes, state, p, twin_of=np.array([0, 0, 0]))
    assert sheet is not None
    assert (sheet.rows.tolist(), sheet.seen.tolist()) == ([1], [2])


def test_who_skips_one_skips_its_twins() -> None:
    sheet = next_sheet(*alarms([0.9] * 4), skip={1}, twin_of=np.array([0, 0, 2, 3]))
    assert sheet is not None
    assert sheet.rows.tolist() == [2, 3]


def test_one_answer_settles_no_more_than_the_ledger_takes() -> None:
    n = LARGEST_ANSWER // 1000 + 2
    world = alarms([0.9] * (1000 * n))
    sheet = next_sheet(*world, twin_of=np.repeat(np.arange(n) * 1000, 1000))
    assert sheet is not None
    assert sheet.seen.tolist() == [1000] * (LARGEST_ANSWER // 1000)


@pytest.mark.parametrize("gain", ["labels", "weights"])
@pytest.mark.parametrize("seed", range(4))
def test_with_twins_too_no_other_sheet_promises_more_per_click(seed: int, gain: str) -> None:
    mistakes, state, p = a_world(seed)
    rng, asked = np.random.default_rng(seed), SheetSettings(sheet_size=4, sheet_gain=gain)
    kind = mistakes.code * 100 + mistakes.label * 2 + mistakes.of_truth
    twin_of = np.arange(len(p))
    for each in np.unique(kind):
        rows = np.flatnonzero(kind == each)
        _, first, group = np.unique(rng.integers(0, len(rows), len(rows)), return_index=True, return_inverse=True)
        twin_of[rows] = rows[first[group]]
    sheet = next_sheet(mistakes, state, p, asked, twin_of=twin_of)
    assert sheet is not None
    free = mistakes.mined & (state == 0) & (mistakes.code != TRUE_POSITIVE)
    best = 0.0
    for each in np.unique(kind[free]):
        for wrong in (True, False) if gain == "weights" else (True,):
            groups = [np.flatnonzero(free & (twin_of == g)) for g in np.unique(twin_of[free & (kind == each)])]
            fits = [(p[g] if wrong else 1 - p[g]).mean() for g in groups]
            worth = [(p[g] if gain == "labels" else p[g] * (1 - p[g]) * mistakes.difficulty[g]).sum() for g in groups]
            order = sorted(range(len(groups)), key=lambda g: -len(groups[g]) * fits[g] / (1 - fits[g]))
            for length in range(1, min(4, len(groups)) + 1):
                some = order[:length]
                best = max(best, sum(worth[g] for g in some) / (1 + sum(1 - fits[g] for g in some)))
    assert sheet.gain / sheet.clicks == pytest.approx(best, abs=1e-9)
    assert sheet.seen.tolist() == [(twin_of[free] == twin_of[row]).sum() for row in sheet.rows.tolist()]
