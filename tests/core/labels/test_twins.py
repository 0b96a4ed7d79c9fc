"""Twins in the estimate: many objects, one answer, one review; by hand, by property and in a world made of groups."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import MiningSettings, mine
from hnm_core.io.mining_folder import load_mining, save_mining
from hnm_core.labels.estimate import Suspicion, estimate_labels, estimate_suspicion
from hnm_core.labels.mistakes import Mistakes
from hnm_core.labels.reviews import STATES, Reviews
from hnm_core.taxonomy import BACKGROUND, MISSED
from hnm_core.weighting.images import Images
from tests.scenes import FAR, patient, random_scene, scene

HARD, MISSING, IGNORE = (STATES.index(name) for name in ("hard_negative", "missing_label", "ignore"))


def false_positives(n: int, twins: list[int] | None, score: list[float] | None = None) -> Mistakes:
    """As many background errors of one class, in an image each."""
    flags = np.zeros(n, dtype=bool)
    return Mistakes(range(n), [BACKGROUND] * n, [0] * n, score or [0.9] * n, [0.9] * n, flags, ~flags, twins)


def after(twins: list[int] | None, states: list[int], score: list[float] | None = None) -> Suspicion:
    return estimate_suspicion(false_positives(len(states), twins, score), np.array(states))


def test_five_twins_with_one_answer_are_one_review_by_hand() -> None:
    """The prior .8 as two reviews, and one more: (1 + 2 · .8) / 3, for the class (1 + 2 · that) / 3, and so on."""
    found = after([0] * 5 + [5, 6, 7], [MISSING] * 5 + [0] * 3)
    of_type = (1 + 2 * 0.8) / 3
    of_class = (1 + 2 * of_type) / 3
    own = (1 + 2 * of_class) / 3
    levels = found.strata.levels
    assert [share[0] for share in (levels.of_type, levels.of_class, levels.own)] == pytest.approx(
        [of_type, of_class, own]
    )
    assert [each[0] for each in levels.n] == pytest.approx([1, 1, 1])
    one = after(None, [MISSING] + [0] * 3)
    assert found.value[5:] == pytest.approx(one.value[1:])
    assert (found.low[5], found.high[5]) == pytest.approx((one.low[1], one.high[1]))
    expected, low, high = found.strata.expected()
    assert (expected, low, high) == pytest.approx([end + 4 for end in one.strata.expected()]), "four more are certain"
    assert expected == pytest.approx(5 + 3 * own)


def test_each_of_them_has_the_state_and_is_counted() -> None:
    found = after([0] * 5 + [5], [MISSING] * 5 + [0])
    assert found.value[:5].tolist() == [1] * 5
    assert (found.reviewed, found.review_count) == ({"missing_label": 5}, 5)
    assert found.strata.confirmed.sum() == found.strata.wrong.sum() == 5


def test_five_reviews_of_five_things_say_more() -> None:
    together, apart = (after(twins, [MISSING] * 5 + [0] * 3) for twins in ([0] * 5 + [5, 6, 7], None))
    assert apart.value[5] == pytest.approx(0.99534, abs=1e-5)
    assert together.value[5] == pytest.approx(0.94074, abs=1e-5)
    widths = [found.strata.expected()[2] - found.strata.expected()[1] for found in (together, apart)]
    assert widths[0] > 2 * widths[1]


def test_who_disagrees_within_a_group_has_a_part_of_its_one_review() -> None:
    found = after([3] * 5 + [4], [MISSING] * 4 + [HARD] + [0])
    assert found.strata.levels.of_type[0] == pytest.approx((4 / 5 + 2 * 0.8) / 3)


def test_only_answered_twins_share_the_review() -> None:
    found = after([0] * 5, [MISSING, HARD, IGNORE, 0, 0])
    assert found.strata.levels.n[0][0] == 1
    assert found.strata.levels.of_type[0] == pytest.approx((1 / 2 + 2 * 0.8) / 3)


def test_twins_in_two_score_bands_are_half_a_review_in_each() -> None:
    found = after([0] * 4, [MISSING] * 4, [0.55, 0.55, 0.7, 0.7])
    own, of_class, of_type = found.strata.levels.n
    assert own.tolist() == [0.5, 0.5]
    assert of_class.tolist() == of_type.tolist() == [1, 1]


def test_pending_twins_err_together() -> None:
    """All eight or none: 64 times the variance of one, where eight things have 8 times."""
    others = [MISSING, HARD] * 3
    same, apart = (after(twins, [0] * 8 + others) for twins in ([5] * 8 + [8, 9, 10, 11, 12, 13], None))
    assert (same.strata.pairs.tolist(), apart.strata.pairs.tolist()) == ([56], [0])
    assert same.value.tolist() == apart.value.tolist()
    levels, share = same.strata.levels, same.strata.share
    more = levels.variance_of_sum(np.array([8]), share, np.array([56])) - levels.variance_of_sum(np.array([8]), share)
    assert more == pytest.approx(56 * share[0] * (1 - share[0]))
    (mean, low, high), (mean_apart, low_apart, high_apart) = same.strata.expected(), apart.strata.expected()
    assert mean == mean_apart == pytest.approx(3 + 8 * share[0])
    assert low < low_apart < high_apart < high
    answered = after([5] * 8, [MISSING] * 3 + [0] * 5)
    assert answered.strata.pairs.tolist() == [20], "of the five that are left"


def test_the_interval_of_some_strata_has_their_twins_alone() -> None:
    n = 12
    code = np.where(np.arange(n) < 7, BACKGROUND, MISSED)
    of_truth = code == MISSED
    twins = np.repeat([0, 1, 2, 3], [6, 1, 1, 4])
    mistakes = Mistakes(
        range(n), code, [0] * n, np.where(of_truth, np.nan, 0.9), [0.5] * n, of_truth, [True] * n, twins
    )
    state = np.where(np.isin(np.arange(n), (6, 7)), HARD, 0)
    strata = estimate_suspicion(mistakes, state).strata
    lonely = estimate_suspicion(replace(mistakes, twins=None), state).strata
    assert dict(zip(strata.code.tolist(), strata.pairs.tolist(), strict=True)) == {BACKGROUND: 30, MISSED: 12}
    first = strata.code == BACKGROUND
    assert strata.expected(first) == replace(strata, pairs=np.where(first, 30, 0)).expected(first)
    assert strata.expected(first) != lonely.expected(first)


def test_evidence_of_twins_is_weighed_once() -> None:
    values, states = [2.0, -2.0, 1.0, 0.5], [MISSING, HARD, HARD, 0]
    single = estimate_suspicion(false_positives(4, None), np.array(states), {"appearance": values})
    often = [3, 2, 4, 1]
    many = estimate_suspicion(
        false_positives(10, np.repeat(range(4), often).tolist()),
        np.repeat(states, often),
        {"appearance": np.repeat(values, often)},
    )
    assert many.evidence["appearance"] == pytest.approx(single.evidence["appearance"], abs=1e-9)
    assert single.evidence["appearance"] != 1
    assert many.value == pytest.approx(np.repeat(single.value, often), abs=1e-9)


@st.composite
def reviewed(draw: st.DrawFn) -> tuple[Mistakes, np.ndarray, np.ndarray]:
    """Some mistakes of two types and three classes, their states and evidence on them."""
    n = draw(st.integers(1, 25))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    of_truth = rng.random(n) < 0.4
    code, score = np.where(of_truth, MISSED, BACKGROUND), np.where(of_truth, np.nan, rng.uniform(0.5, 1.0, n))
    mistakes = Mistakes(
        rng.integers(0, 5, n), code, rng.integers(0, 3, n), score, rng.random(n), of_truth, rng.random(n) < 0.8
    )
    state = rng.choice([0, HARD, MISSING, IGNORE], n)
    state[of_truth & (state == MISSING)] = STATES.index("bogus_label")
    return mistakes, state, rng.normal(size=n) * draw(st.sampled_from([0.0, 1.0]))


def numbers_of(found: Suspicion) -> list[object]:
    """All that the estimate says, to the bit."""
    columns = found.value, found.low, found.high, found.offset, found.strata.share, *found.strata.levels.n
    return [*(column.tolist() for column in columns), found.strata.expected(), dict(found.evidence)]


@patient
@given(reviewed(), st.integers(0, 10**6))
def test_where_each_is_alone_nothing_changes_to_the_bit(given: tuple, seed: int) -> None:
    mistakes, state, values = given
    alone = np.random.default_rng(seed).permutation(len(mistakes)) - 3
    for evidence in (None, {"appearance": values}, {"views": values}):
        without = estimate_suspicion(mistakes, state, evidence)
        assert numbers_of(estimate_suspicion(replace(mistakes, twins=alone), state, evidence)) == numbers_of(without)


@patient
@given(reviewed(), st.integers(0, 10**6))
def test_however_often_a_thing_is_seen_its_answer_counts_once(given: tuple, seed: int) -> None:
    mistakes, state, values = given
    often = np.random.default_rng(seed).integers(1, 6, len(mistakes))
    rows = np.repeat(np.arange(len(mistakes)), often)
    once = estimate_suspicion(mistakes, state, {"appearance": values})
    many = estimate_suspicion(replace(mistakes.take(rows), twins=rows), state[rows], {"appearance": values[rows]})
    assert many.value == pytest.approx(once.value[rows], abs=1e-6)
    for seen, single in zip(many.strata.levels.n, once.strata.levels.n, strict=True):
        assert seen == pytest.approx(single)
    assert (many.low, many.high) == (pytest.approx(once.low[rows], abs=1e-5), pytest.approx(once.high[rows], abs=1e-5))
    assert many.review_count == (often * ~np.isin(state, (0, IGNORE)) * (once.stratum >= 0)).sum()


def test_intervals_hold_what_they_say_where_things_are_seen_five_times() -> None:
    """Of 30 things, each seen five times, a share between .3 and .9 are label errors; ten of them are answered."""
    rng, runs, inside = np.random.default_rng(3), 300, {True: 0, False: 0}
    thing = np.repeat(np.arange(30), 5)
    for _ in range(runs):
        wrong = rng.random(30) < rng.uniform(0.3, 0.9)
        states = np.where(thing < 10, np.where(wrong[thing], MISSING, HARD), 0)
        for known in inside:
            _, low, high = after(thing.tolist() if known else None, states.tolist()).strata.expected()
            inside[known] += low <= 5 * wrong.sum() <= high
    assert 0.82 < inside[True] / runs < 0.98
    assert inside[False] / runs < 0.7, "as if 50 things had been looked at"


def test_mining_with_twins_is_saved_and_loaded_with_them(tmp_path: Path) -> None:
    names = "abcdefgh"
    tables = scene([(name, "cat", 0.9, FAR) for name in names], [("a", "cat", (0, 0, 10, 10))])
    entries = [
        {"image": name, "side": "prediction", "class": "cat", "bbox": FAR, "state": "missing_label"}
        for name in names[:5]
    ]
    twins = np.array([0] * 5 + [5, 6, 7]), np.array([0])
    settings = MiningSettings(hard_negative_ratio=1)
    result = mine(*tables, settings, reviews=Reviews.of(entries), twins=twins)
    assert result.prediction_suspicion[5] == pytest.approx(0.94074, abs=1e-5)
    assert result.report.review_count == 5
    assert result.report.expected_label_errors == pytest.approx(5 + 3 * 0.94074 + 0.2, abs=1e-4)
    loaded, _ = load_mining(save_mining(tmp_path / "run", result, {"data": "here"}, {}))
    later = mine(*tables, settings, reviews=Reviews.of(entries)).with_evidence({}, twins)
    for other in (loaded, later, later.with_evidence({})):
        assert other.report.as_dict() == result.report.as_dict()
        assert other.prediction_suspicion.tolist() == result.prediction_suspicion.tolist()
        assert numbers_of(estimate_suspicion(other.mistakes, result.estimate.suspicions.state)) == numbers_of(
            result.estimate.suspicions
        )
    with pytest.raises(ValueError, match=r"^twins have 8 and 2 numbers, expected 8 and 1: one number per row$"):
        result.with_evidence({}, (twins[0], np.zeros(2, dtype=np.int64)))


def test_numbers_of_the_two_tables_are_not_mixed_up() -> None:
    tables = random_scene(4, images=20)
    settings = MiningSettings(hard_negative_ratio=1)
    twins = np.zeros(len(tables[0]), dtype=np.int64), np.zeros(len(tables[1]), dtype=np.int64)
    mistakes = mine(*tables, settings, twins=twins).mistakes
    assert mistakes.twins is not None
    assert len({*mistakes.twins[mistakes.of_truth].tolist()}) == 1
    assert len({*mistakes.twins.tolist()}) == 2
    images = Images.of(tables[1])
    assert (
        estimate_labels(mistakes, None, images, settings).weights.tolist() == mine(*tables, settings).weights.tolist()
    ), "nobody has answered"


def test_twins_must_be_as_many_as_the_mistakes() -> None:
    with pytest.raises(ValueError, match=r"columns of mistakes differ in length: .*'twins': 1"):
        false_positives(2, [0])
