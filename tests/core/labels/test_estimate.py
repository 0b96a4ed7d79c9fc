"""Suspicion, scores and weights after people spoke: with the tables and without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hnm_core import MiningResult, MiningSettings, mine
from hnm_core.labels.estimate import (
    Estimator,
    estimate_labels,
    estimate_suspicion,
    image_scores_of,
    with_estimate,
)
from hnm_core.labels.mistakes import Mistakes
from hnm_core.labels.reviews import LABEL_ERRORS, ONE_SIDED, SIDES, STATES, Reviews, state_codes
from hnm_core.labels.stats import expit, logit
from hnm_core.taxonomy import BACKGROUND, MISSED, ROW_NAMES
from hnm_core.weighting.images import Images
from tests.scenes import FAR, HERE, everything_at_once, high, random_scene, scene

ALL = MiningSettings(hard_negative_ratio=1)


def _state_of(side: str, rng: np.random.Generator) -> str:
    """Any state that this side can have: the label of a truth is not missing."""
    state = str(rng.choice(STATES))
    return state if ONE_SIDED.get(state, (side,))[0] == side else "wrong_label"


def entries_for(result: MiningResult, rng: np.random.Generator, share: float = 0.4) -> list[dict[str, Any]]:
    """Something said of that share of all rows, mistakes or not."""
    out = []
    for side, table in zip(SIDES, (result.predictions, result.truth), strict=True):
        for row in np.flatnonzero(rng.random(len(table)) < share):
            box = {"image": table.images[table.image[row]], "class": table.classes[table.label[row]]}
            out.append({**box, "side": side, "bbox": table.xyxy[row].tolist(), "state": _state_of(side, rng)})
    return out


@pytest.mark.parametrize("strategy", ["confidence_based", "iou_based"])
@pytest.mark.parametrize("seed", range(6))
def test_what_the_app_makes_of_the_columns_is_what_mining_makes_of_the_tables(seed: int, strategy: str) -> None:
    tables = random_scene(seed, images=30)
    settings = MiningSettings(hard_negative_ratio=1, strategy=strategy, repeat_threshold=0.2 * (seed % 2))
    entries = entries_for(mine(*tables, settings), np.random.default_rng(seed))
    result = mine(*tables, settings, reviews=Reviews.of(entries))
    stored = result.mistakes
    plain = {
        name: getattr(stored, name).tolist() for name in ("image", "code", "label", "difficulty", "of_truth", "mined")
    }
    score = [None if np.isnan(s) else s for s in stored.score.tolist()]
    again = estimate_labels(
        Mistakes(**plain, score=score),
        result.estimate.suspicions.state,
        Images.of(tables[1]),
        settings,
        settled=result.settled,
    )
    assert again.weights.tolist() == result.weights.tolist()
    assert again.repeats.tolist() == result.repeats.tolist()
    assert again.hard_images.tolist() == result.hard_images.tolist()
    assert again.image_scores.tolist() == result.image_scores.tolist()
    assert again.weighting == result.report.weighting
    assert again.expected_label_errors == result.report.expected_label_errors
    assert again.suspicions.review_count == result.report.review_count > 0
    both = np.concatenate([result.prediction_suspicion, result.truth_suspicion])
    wrong_type = again.suspicions.stratum >= 0
    assert sorted(both[~np.isnan(both)]) == pytest.approx(sorted(again.suspicion[wrong_type]))


def test_the_answer_stands_at_its_row_and_moves_its_like() -> None:
    tables = scene(
        [("a", "cat", 0.9, FAR), ("b", "cat", 0.9, FAR), ("c", "cat", 0.9, FAR), ("d", "cat", 0.9, HERE)],
        [("d", "cat", HERE)],
    )
    review = {"image": "a", "side": "prediction", "class": "cat", "bbox": FAR, "state": "hard_negative"}
    result = mine(*tables, ALL, reviews=Reviews.of([review]))
    assert result.prediction_state.tolist() == ["hard_negative", "unreviewed", "unreviewed", ""]
    of_type = 2 * 0.8 / 3
    shrunk = 2 * (2 * of_type / 3) / 3
    assert result.prediction_suspicion.tolist() == pytest.approx([0, shrunk, shrunk, np.nan], nan_ok=True)
    assert result.image_scores.tolist() == pytest.approx([4 / 7 * 0.9, *[4 / 7 * 0.9 * (1 - shrunk)] * 2, 0])
    assert result.report.as_dict()["mining"]["review_count"] == 1
    assert "about 0 (0 to 2) are expected to be label errors, estimated from 1 review" in " ".join(
        str(result.report).split()
    )


@pytest.mark.parametrize("state", ["missing_label", "wrong_label"])
def test_a_label_error_weighs_nothing(state: str) -> None:
    tables = scene([("a", "cat", 0.9, FAR)])
    review = {"image": "a", "side": "prediction", "class": "cat", "bbox": FAR, "state": state}
    result = mine(*tables, ALL, reviews=Reviews.of([review]))
    assert (result.prediction_suspicion.tolist(), result.weights.tolist()) == ([1.0], [1.0])
    assert result.prediction_hard.tolist() == [True]
    unbelieving = MiningSettings(hard_negative_ratio=1, use_suspicion=False)
    assert mine(*tables, unbelieving, reviews=Reviews.of([review])).image_scores.tolist() == pytest.approx(
        [4 / 7 * 0.9]
    )


def test_what_is_ignored_is_out_but_counted_and_the_next_takes_its_place() -> None:
    tables = scene([("a", "cat", 0.9, FAR), ("b", "cat", 0.8, FAR)])
    cap_of_one = MiningSettings(hard_negative_ratio=0.5)
    review = {"image": "a", "side": "prediction", "class": "cat", "bbox": FAR, "state": "ignore"}
    assert mine(*tables, cap_of_one).prediction_hard.tolist() == [True, False]
    result = mine(*tables, cap_of_one, reviews=Reviews.of([review]))
    assert result.prediction_hard.tolist() == [False, True]
    assert np.isnan(result.prediction_difficulty[0])
    assert result.prediction_state.tolist() == ["ignore", "unreviewed"]
    assert result.image_scores[0] == 0
    assert result.report.counts.false_positives == 2
    assert result.report.review_count == 0  # it says nothing about the label
    assert result.report.reviewed == {"ignore": 1}
    assert result.prediction_suspicion.tolist() == pytest.approx([0.8, 0.8])


def test_an_answer_about_a_box_that_is_right_by_now_is_only_learned_from() -> None:
    tables = scene([("a", "cat", 0.9, HERE)], [("a", "cat", HERE)])
    review = {"image": "a", "side": "prediction", "class": "cat", "bbox": HERE, "state": "missing_label"}
    result = mine(*tables, ALL, reviews=Reviews.of([review]))
    assert result.prediction_state.tolist() == [""]
    assert np.isnan(result.prediction_suspicion).all()
    assert result.report.expected_label_errors == 0
    assert (result.report.review_count, result.report.reviewed) == (1, {"missing_label": 1})


def test_a_review_of_an_object_that_the_cap_cut_moves_the_others() -> None:
    tables = scene([("a", "cat", 0.9, FAR), ("b", "cat", 0.85, FAR)])
    review = {"image": "b", "side": "prediction", "class": "cat", "bbox": FAR, "state": "missing_label"}
    result = mine(*tables, MiningSettings(hard_negative_ratio=0.5), reviews=Reviews.of([review]))
    assert result.prediction_hard.tolist() == [True, False]
    assert result.prediction_suspicion[0] > 0.9
    assert result.prediction_state.tolist() == ["unreviewed", "missing_label"]
    assert result.report.expected_label_errors == pytest.approx(result.prediction_suspicion[0])


def test_a_lucky_hit_can_be_judged_too() -> None:
    tables = scene([("a", "cat", 0.9, high(5.5))], [("a", "cat", HERE)])
    settings = MiningSettings(strategy="iou_based", hard_negative_ratio=1)
    review = {"image": "a", "side": "prediction", "class": "cat", "bbox": high(5.5)}
    wrong, out = (
        mine(*tables, settings, reviews=Reviews.of([{**review, "state": s}])) for s in ("wrong_label", "ignore")
    )
    assert (wrong.image_scores.tolist(), wrong.prediction_hard.tolist()) == ([0], [True])
    assert np.isnan(wrong.prediction_suspicion[0])  # it is no mistake
    assert out.prediction_hard.tolist() == [False]
    assert mine(*tables, settings).image_scores[0] > 0


def test_reviews_of_nothing_change_nothing() -> None:
    tables = everything_at_once()
    before, after = mine(*tables, ALL), mine(*tables, ALL, reviews=Reviews.of([]))
    assert after.weights.tolist() == before.weights.tolist()
    assert after.report.as_dict()["notes"] == before.report.as_dict()["notes"]
    assert set(after.truth_state.tolist()) == {"", "unreviewed"}
    assert (after.truth_state == "unreviewed").tolist() == after.truth_hard.tolist()


def test_intervals_hold_the_mean_and_are_the_answer_where_there_is_one() -> None:
    tables = random_scene(3, images=30)
    result = mine(*tables, ALL, reviews=Reviews.of(entries_for(mine(*tables, ALL), np.random.default_rng(0))))
    of = result.estimate.suspicions
    assert ((of.low <= of.value) & (of.value <= of.high)).all()
    judged = ~np.isin(of.state, [STATES.index(name) for name in ("unreviewed", "ignore")])
    assert judged.any()
    assert (of.low[judged] == of.high[judged]).all()
    assert (of.low[~judged & (of.stratum >= 0)] < of.high[~judged & (of.stratum >= 0)]).all()
    assert of.reviewed["hard_negative"] == (of.state == 1).sum()
    low, high_end = result.estimate.expected_interval
    assert low < result.estimate.expected_label_errors < high_end


def test_columns_and_states_must_fit() -> None:
    with pytest.raises(ValueError, match=r"columns of mistakes differ in length: .*'code': 2"):
        Mistakes([0], [6, 6], [0], [0.9], [0.9], [False], [True])
    one = Mistakes([0], [6], [0], [0.9], [0.9], [False], [True])
    images = Images(["a"], np.zeros(1, dtype=bool))
    with pytest.raises(ValueError, match="2 review states are given for 1 mistakes: give one for each"):
        estimate_labels(one, ["", ""], images, ALL)
    with pytest.raises(ValueError, match="repeat_threshold needs truth_image and truth_label"):
        estimate_labels(one, None, images, MiningSettings(repeat_threshold=0.5))
    assert estimate_labels(one, None, images, ALL).weighting.class_exposure == {}


def test_nothing_at_all_can_be_judged() -> None:
    nothing = Mistakes([], [], [], [], [], [], [])
    done = estimate_labels(nothing, [], Images([], np.zeros(0, dtype=bool)), ALL)
    assert (len(done.weights), done.expected_label_errors, done.suspicions.strata.by_error()) == (0, 0, {})


def some_mistakes(n: int = 12) -> Mistakes:
    """Of two types and three classes, some of truths, the last of them a lucky hit, the one before not mined."""
    numbers = np.arange(n)
    code = np.where(numbers % 3 == 2, MISSED, BACKGROUND)
    code[-1] = ROW_NAMES.index("true_positive")
    of_truth = code == MISSED
    score = np.where(of_truth, np.nan, 0.5 + numbers / (2 * n))
    return Mistakes(numbers % 5, code, numbers % 3, score, numbers / n, of_truth, numbers != n - 2)


def some_states(n: int = 12) -> np.ndarray:
    codes = np.zeros(n, dtype=np.int8)
    codes[[0, 1, 2, 4]] = [STATES.index(name) for name in ("missing_label", "hard_negative", "wrong_label", "ignore")]
    return codes


def test_evidence_reaches_the_weights() -> None:
    mistakes, images = some_mistakes(), Images(list("abcde"), np.zeros(5, bool))
    evidence = {"appearance": np.linspace(-2, 2, 12)}
    found = estimate_labels(mistakes, some_states(), images, ALL, evidence=evidence)
    alone = estimate_suspicion(mistakes, some_states(), evidence)
    plain = estimate_labels(mistakes, some_states(), images, ALL)
    assert found.suspicion.tolist() == alone.value.tolist() != plain.suspicion.tolist()
    assert found.suspicions.evidence == alone.evidence
    assert found.weights.tolist() != plain.weights.tolist()
    assert Estimator(mistakes, images, ALL).weights(alone).tolist() == found.weights.tolist()
    expected, *interval = alone.strata.expected()
    assert (found.expected_label_errors, list(found.expected_interval)) == (expected, interval)
    rows, pooled = image_scores_of(mistakes, alone, images, ALL)
    assert sorted(rows.tolist()) == [0, 1, 2, 3, 5, 6, 7, 8, 9, 11], "mined, and not taken out"
    assert found.image_scores.tolist() == pooled.scores.tolist()
    trusting = image_scores_of(mistakes, alone, images, MiningSettings(use_suspicion=False))[1]
    assert (trusting.scores >= pooled.scores).all()
    assert trusting.scores.tolist() != pooled.scores.tolist()


def test_the_report_gets_the_numbers_of_the_estimate() -> None:
    mistakes, images = some_mistakes(), Images(list("abcde"), np.zeros(5, bool))
    report = mine(*random_scene(1), ALL).report
    evidence = {"appearance": np.linspace(-2, 2, 12)}
    found = estimate_labels(mistakes, some_states(), images, ALL, evidence=evidence)
    filled = with_estimate(report, found)
    assert filled.expected_label_errors == found.expected_label_errors
    assert filled.expected_interval == found.expected_interval
    assert (filled.review_count, filled.reviewed) == (3, found.suspicions.reviewed)
    assert filled.reviewed == {"hard_negative": 1, "missing_label": 1, "wrong_label": 1, "ignore": 1}
    assert filled.evidence == found.suspicions.evidence
    assert filled.counts == report.counts
    nobody = with_estimate(report, estimate_labels(mistakes, None, images, ALL))
    assert nobody.expected_interval is None, "an interval would say that somebody looked"
    assert (nobody.review_count, nobody.evidence) == (0, {})


@pytest.mark.parametrize("row", [3, 5, 6])
@pytest.mark.parametrize("wrong", [True, False])
def test_the_next_review_gives_what_estimating_again_gives(row: int, wrong: bool) -> None:
    mistakes, states = some_mistakes(), some_states()
    before = estimate_suspicion(mistakes, states)
    value, state = before.value.copy(), before.state.copy()
    after = before.after(row, wrong)
    states[row] = STATES.index("missing_label" if wrong else "hard_negative")
    again = estimate_suspicion(mistakes, states)
    assert after.value == pytest.approx(again.value)
    assert after.state.tolist() == again.state.tolist()
    assert (before.value.tolist(), before.state.tolist()) == (value.tolist(), state.tolist())
    assert after.strata is before.strata
    assert again.review_count == before.review_count + 1


def test_the_ends_of_the_interval_move_with_the_evidence_and_reviews_have_none() -> None:
    evidence = {"appearance": np.linspace(-2, 2, 12)}
    for given in (None, evidence):
        found = estimate_suspicion(some_mistakes(), some_states(), given)
        done = [0, 1, 2, 11]
        assert found.low[done].tolist() == found.high[done].tolist() == found.value[done].tolist() == [1, 0, 1, 0]
        left = np.setdiff1d(np.arange(12), done)
        assert (found.low[left] < found.value[left]).all()
        assert (found.value[left] < found.high[left]).all()
        for ends, of_stratum in ((found.low, found.strata.low), (found.high, found.strata.high)):
            moved = expit(logit(of_stratum[found.stratum[left]]) + found.offset[left])
            assert ends[left] == pytest.approx(moved)
        assert (found.stratum[-1], found.offset[-1]) == (-1, 0)
        assert found.offset[:-1].any() == (given is not None)


def test_strata_count_what_was_said_of_mined_objects_and_learn_from_all() -> None:
    states = some_states()
    states[10] = STATES.index("missing_label")  # not mined
    found = estimate_suspicion(some_mistakes(), states)
    strata, mined = found.strata, np.arange(12) < 10
    of_type = found.stratum >= 0
    for s in range(len(strata)):
        rows = of_type & (found.stratum == s)
        assert strata.pending[s] == (rows & mined & (states == 0)).sum()
        assert strata.confirmed[s] == (rows & mined & np.isin(states, LABEL_ERRORS)).sum()
        assert strata.cleared[s] == (rows & mined & (states == STATES.index("hard_negative"))).sum()
        assert strata.wrong[s] == (rows & np.isin(states, LABEL_ERRORS)).sum()
        assert strata.review_count[s] == (rows & (states != 0) & (states != STATES.index("ignore"))).sum()
    assert found.review_count == 4
    evidence = {"appearance": np.linspace(-2, 2, 12)}
    moved = estimate_suspicion(some_mistakes(), states, evidence)
    for s in range(len(strata)):
        rows = (moved.stratum == s) & mined & (states == 0)
        assert moved.strata.share[s] == pytest.approx(moved.value[rows].mean() if rows.any() else moved.strata.mean[s])


def test_what_does_not_fit_teaches_about_all_others_and_stays_open() -> None:
    """An exception counts like the opposite answer, everywhere but at its own row."""
    open_row, others = 0, np.arange(1, 12)
    for told in (None, {"views": np.linspace(-2, 2, 12)}):
        for answer, opposite in (("missing_label", "hard_negative"), ("hard_negative", "missing_label")):
            states = state_codes(["", "hard_negative", *[""] * 10])
            before = estimate_suspicion(some_mistakes(), states, told)
            states[open_row] = -STATES.index(answer)
            after = estimate_suspicion(some_mistakes(), states, told)
            states[open_row] = STATES.index(opposite)
            reviewed = estimate_suspicion(some_mistakes(), states, told)
            assert after.value[others].tolist() == reviewed.value[others].tolist()
            assert (after.value[open_row] > before.value[open_row]) == (answer == "hard_negative")
            assert after.state[open_row] == 0 < after.value[open_row] < 1
            assert (after.review_count, after.reviewed) == (before.review_count, before.reviewed)
            assert after.strata.pending.tolist() == before.strata.pending.tolist()
    states[open_row] = -STATES.index("ignore")
    assert estimate_suspicion(some_mistakes(), states, told).value.tolist() == before.value.tolist(), "it tells nothing"


def test_states_fit_the_mistakes() -> None:
    with pytest.raises(ValueError, match=r"^3 review states are given for 12 mistakes: give one for each$"):
        estimate_suspicion(some_mistakes(), ["", "", ""])
