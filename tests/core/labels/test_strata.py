"""Shares of label errors per stratum, shrunk level by level."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hnm_core.labels.prior import PRIOR
from hnm_core.labels.stats import expit, logit
from hnm_core.labels.strata import BANDS, PSEUDO_COUNTS, Levels, Strata, number_strata
from hnm_core.taxonomy import BACKGROUND, CLASSIFICATION, MISSED


def strata(*rows: tuple[int, int, int, int, int], band: Any = 0) -> Strata:
    """From rows of (code, label, pending, looks, wrong)."""
    code, label, pending, looks, wrong = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    answer = np.concatenate([np.arange(n) < k for n, k in zip(looks, wrong, strict=True)]) if len(rows) else wrong > 0
    levels = Levels.of(code, label, np.repeat(np.arange(len(rows)), looks), answer)
    bands = np.broadcast_to(band, len(rows))
    return Strata(code, label, bands, pending, wrong, looks - wrong, looks, wrong, levels, levels.own, 0 * looks)


def test_before_anybody_looked_it_is_the_prior() -> None:
    untouched = strata((BACKGROUND, 0, 5, 0, 0), (MISSED, 1, 3, 0, 0))
    assert untouched.mean.tolist() == pytest.approx([PRIOR["background"], PRIOR["missed"]])
    assert untouched.expected()[0] == pytest.approx(5 * 0.8 + 3 * 0.2)
    assert strata().expected() == (0, 0, 0)
    assert strata().by_error() == {}


def test_a_look_moves_its_stratum_most_then_its_class_then_its_type_and_no_other() -> None:
    looked_at, untouched = (BACKGROUND, 0, 1, 4, 0), (BACKGROUND, 0, 1, 0, 0)
    other_class, other_type = (BACKGROUND, 1, 1, 0, 0), (CLASSIFICATION, 0, 1, 0, 0)
    table = strata(looked_at, untouched, other_class, other_type, band=[0, 1, 0, 0])
    of_type = 2 * 0.8 / 6
    of_class = 2 * of_type / 6
    assert table.mean.tolist() == pytest.approx([2 * of_class / 6, of_class, of_type, 0.2])
    assert PSEUDO_COUNTS == 2


def test_twenty_looks_at_one_stratum_move_its_error_type() -> None:
    table = strata((BACKGROUND, 0, 80, 20, 20), (BACKGROUND, 1, 80, 0, 0))
    assert table.mean.min() > 0.97
    assert (table.high - table.low)[0] < 0.1
    assert (table.high - table.low)[1] > (table.high - table.low)[0]  # nobody looked at that class


def test_intervals_hold_what_they_say_in_a_world_made_as_the_levels_say() -> None:
    """The share of a class is drawn around its type's, that of a stratum around its class's: 90 % lie inside."""
    rng = np.random.default_rng(1)
    inside, total_inside, runs = 0, 0, 400

    def near(mean: float) -> float:
        return float(np.clip(rng.beta(PSEUDO_COUNTS * mean + 1e-9, PSEUDO_COUNTS * (1 - mean) + 1e-9), 1e-6, 1 - 1e-6))

    for _ in range(runs):
        of_type = near(0.8)
        classes = [near(of_type) for _ in range(3)]
        shares = np.array([near(c) for c in classes for _ in range(2)])
        looks = np.array([8, 0, 3, 3, 0, 0])
        wrong = rng.binomial(looks, shares)
        pending = np.full(6, 50)
        rows = zip([BACKGROUND] * 6, np.repeat([0, 1, 2], 2), pending, looks, wrong, strict=True)
        table = strata(*rows)
        inside += int(((table.low <= shares) & (shares <= table.high)).sum())
        _, low, high = table.expected()
        total_inside += low <= rng.binomial(pending, shares).sum() + wrong.sum() <= high
    assert 0.82 < inside / (6 * runs) < 0.97
    assert 0.75 < total_inside / runs < 0.97


def test_what_a_person_judged_is_certain() -> None:
    table = strata((BACKGROUND, 0, 0, 10, 7))
    assert table.expected() == (7, 7, 7)
    assert table.by_error() == {
        "background": {"objects": 10, "review_count": 10, "wrong": 7, "mean": 0.7, "low": 0.7, "high": 0.7}
    }


def test_bands_are_of_predictions_and_hold_their_lower_edge() -> None:
    score = np.array([0.5, BANDS[0], BANDS[1], 1.0, np.nan])
    code, of_truth = np.array([6, 6, 6, 6, 8], dtype=np.int8), np.array([False] * 4 + [True])
    number, (kind, label, band) = number_strata(code, np.array([3, 3, 3, 3, 1]), score, of_truth)
    assert band[number].tolist() == [0, 1, 2, 2, -1]
    assert (kind[number].tolist(), label[number].tolist()) == (code.tolist(), [3, 3, 3, 3, 1])
    assert len(number_strata(code[:0], np.zeros(0, int), score[:0], of_truth[:0])[0]) == 0


MANY = [
    (BACKGROUND, 0, 5, 4, 3),
    (BACKGROUND, 0, 3, 0, 0),
    (BACKGROUND, 1, 7, 2, 0),
    (CLASSIFICATION, 0, 2, 6, 1),
    (CLASSIFICATION, 2, 0, 3, 3),
]


def after(at: int, wrong: bool) -> Strata:
    rows = [list(row) for row in MANY]
    rows[at][3:] = [rows[at][3] + 1, rows[at][4] + wrong]
    return strata(*map(tuple, rows))  # type: ignore[arg-type]


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("wrong", [True, False])
def test_the_shares_after_one_more_review_are_those_of_counting_again(at: int, wrong: bool) -> None:
    assert strata(*MANY).levels.after(at, wrong) == pytest.approx(after(at, wrong).mean)


@pytest.mark.parametrize(("own", "above", "wrong", "end"), [(0.99, 0.1, True, 1.0), (0.01, 0.9, False, 0.0)])
def test_a_share_stays_a_share_where_evidence_moved_it_far_from_those_above(
    own: float, above: float, wrong: bool, end: float
) -> None:
    none, one = np.zeros(1), np.zeros(1, dtype=np.int64)
    levels = Levels(np.array([own]), np.array([above]), np.array([above]), (none, none, none), one, one)
    assert levels.after(0, wrong).tolist() == [end]


def test_the_influence_is_what_the_next_review_changes_on_average() -> None:
    table, mass = strata(*MANY), np.array([2.0, 1.0, 0.5, 3.0, 1.5])
    found = table.levels.influence(mass)
    for at in range(5):
        wanted = 0.0
        for wrong, chance in ((True, table.mean[at]), (False, 1 - table.mean[at])):
            wanted += chance * (mass * abs(after(at, wrong).mean - table.mean)).sum()
        assert found[at] == pytest.approx(wanted)


def test_the_variance_of_a_sum_is_that_of_every_pair() -> None:
    """Strata of one class share the class's deviation, classes of one type the type's."""
    table = strata(*MANY)
    levels, objects = table.levels, np.array([5, 3, 7, 2, 1])
    classes, types = [(row[0], row[1]) for row in MANY], [row[0] for row in MANY]
    follow = [PSEUDO_COUNTS / (n + PSEUDO_COUNTS) for n in levels.n]
    own, of_class, of_type = (
        share * (1 - share) / (n + PSEUDO_COUNTS + 1)
        for share, n in zip((levels.own, levels.of_class, levels.of_type), levels.n, strict=True)
    )
    share = np.array([0.1, 0.4, 0.5, 0.9, 0.7])
    wanted = float((objects * share * (1 - share)).sum())
    for i in range(5):
        for j in range(5):
            pair = objects[i] * objects[j]
            wanted += pair * own[i] * (i == j)
            wanted += pair * follow[0][i] * follow[0][j] * of_class[i] * (classes[i] == classes[j])
            chain = follow[0][i] * follow[1][i] * follow[0][j] * follow[1][j]
            wanted += pair * chain * of_type[i] * (types[i] == types[j])
    assert levels.variance_of_sum(objects, share) == pytest.approx(wanted)


def test_every_error_type_is_counted_by_itself() -> None:
    table = strata(*MANY)
    found = table.by_error()
    assert list(found) == ["background", "classification"] or list(found) == ["classification", "background"]
    for name, code in (("background", BACKGROUND), ("classification", CLASSIFICATION)):
        some = table.code == code
        objects = int(table.objects[some].sum())
        mean, low, high = table.expected(some)
        assert found[name]["objects"] == objects
        assert found[name]["review_count"] == sum(row[3] for row in MANY if row[0] == code)
        assert found[name]["wrong"] == sum(row[4] for row in MANY if row[0] == code)
        assert [found[name][end] for end in ("mean", "low", "high")] == [mean / objects, low / objects, high / objects]
        assert table.confirmed[some].sum() < low < mean < high < objects
    whole = table.expected()
    assert whole[0] == pytest.approx(sum(table.expected(table.code == code)[0] for code in set(table.code.tolist())))
    shares = replace(table, share=np.full(5, 0.5)).expected()
    assert shares[0] == pytest.approx(table.confirmed.sum() + 0.5 * table.pending.sum())


def test_strata_are_numbered_by_type_class_and_band() -> None:
    code = np.array([CLASSIFICATION, BACKGROUND, BACKGROUND, BACKGROUND, CLASSIFICATION, BACKGROUND], dtype=np.int8)
    label, score = np.array([2, 0, 2, 0, 2, 1]), np.array([0.7, 0.9, 0.1, 0.65, 0.7, 0.1])
    number, keys = number_strata(code, label, score, np.array([False, False, False, False, False, True]))
    rows = list(zip(code.tolist(), label.tolist(), [1, 2, 0, 1, 1, -1], strict=True))
    assert [tuple(int(key[n]) for key in keys) for n in number] == rows
    assert [tuple(int(key[n]) for key in keys) for n in range(len(keys[0]))] == sorted(set(rows))


def test_evidence_moves_the_reviews_and_the_share_at_none_is_what_balances_them() -> None:
    """It solves Σ (review − expit(logit share + offset)) + 2 · (above − share) = 0, level by level."""
    rng = np.random.default_rng(5)
    code, label = np.array([BACKGROUND, BACKGROUND, CLASSIFICATION]), np.array([0, 1, 0])
    stratum, offset = rng.integers(0, 3, 40), rng.normal(size=40)
    wrong = rng.random(40) < 0.5
    levels = Levels.of(code, label, stratum, wrong, offset)
    above = np.array([PRIOR["background"], PRIOR["background"], PRIOR["classification"]])
    types = np.array([0, 0, 1])
    for share, up, groups in ((levels.of_type, above, types), (levels.own, levels.of_class, np.arange(3))):
        for each in range(3):
            rows = groups[stratum] == groups[each]
            seen = expit(logit(np.array([share[each]])) + offset[rows])
            assert (wrong[rows] - seen).sum() + PSEUDO_COUNTS * (up[each] - share[each]) == pytest.approx(0, abs=1e-6)
    assert levels.n[0].tolist() == np.bincount(stratum, minlength=3).tolist()
    assert levels.n[2].tolist() == [levels.n[0][:2].sum()] * 2 + [levels.n[0][2]]
