"""Suspicion, scores and weights after people spoke: with the tables and without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hnm_core import MiningResult, MiningSettings, mine
from hnm_core.imageset import Images
from hnm_core.judging import judge
from hnm_core.mistakes import Mistakes
from hnm_core.reviews import SIDES, STATES, Reviews
from tests.scenes import FAR, HERE, everything_at_once, high, random_scene, scene

ALL = MiningSettings(hard_negative_ratio=1)


def entries_for(result: MiningResult, rng: np.random.Generator, share: float = 0.4) -> list[dict[str, Any]]:
    """Something said of that share of all rows, mistakes or not."""
    out = []
    for side, table in zip(SIDES, (result.predictions, result.truth), strict=True):
        for row in np.flatnonzero(rng.random(len(table)) < share):
            box = {"image": table.images[table.image[row]], "class": table.classes[table.label[row]]}
            out.append({**box, "side": side, "bbox": table.xyxy[row].tolist(), "state": str(rng.choice(STATES))})
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
    again = judge(Mistakes(**plain, score=score), result.judgement.suspicions.state, Images.of(tables[1]), settings)
    assert again.weights.tolist() == result.weights.tolist()
    assert again.repeats.tolist() == result.repeats.tolist()
    assert again.hard_images.tolist() == result.hard_images.tolist()
    assert again.image_scores.tolist() == result.image_scores.tolist()
    assert again.weighting == result.report.weighting
    assert again.expected_label_errors == result.report.expected_label_errors
    assert again.suspicions.looks == result.report.looks > 0
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
    assert result.report.as_dict()["mining"]["looks"] == 1
    assert "about 0 (0 to 2) are expected to be label errors, by 1 look of people" in " ".join(
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
    assert result.report.looks == 0  # it says nothing about the label
    assert result.report.reviewed == {"ignore": 1}
    assert result.prediction_suspicion.tolist() == pytest.approx([0.8, 0.8])


def test_an_answer_about_a_box_that_is_right_by_now_counts_for_nothing() -> None:
    tables = scene([("a", "cat", 0.9, HERE)], [("a", "cat", HERE)])
    review = {"image": "a", "side": "prediction", "class": "cat", "bbox": HERE, "state": "missing_label"}
    result = mine(*tables, ALL, reviews=Reviews.of([review]))
    assert result.prediction_state.tolist() == [""]
    assert result.report.looks == 0


def test_a_look_at_an_object_that_the_cap_cut_moves_the_others() -> None:
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
    before, after = mine(*tables), mine(*tables, reviews=Reviews.of([]))
    assert after.weights.tolist() == before.weights.tolist()
    assert after.report.as_dict()["notes"] == before.report.as_dict()["notes"]
    assert set(after.truth_state.tolist()) == {"", "unreviewed"}
    assert (after.truth_state == "unreviewed").tolist() == after.truth_hard.tolist()


def test_intervals_hold_the_mean_and_are_the_answer_where_there_is_one() -> None:
    tables = random_scene(3, images=30)
    result = mine(*tables, ALL, reviews=Reviews.of(entries_for(mine(*tables, ALL), np.random.default_rng(0))))
    of = result.judgement.suspicions
    assert ((of.low <= of.value) & (of.value <= of.high)).all()
    judged = np.isin(of.state, [1, 2, 3])
    assert judged.any()
    assert (of.low[judged] == of.high[judged]).all()
    assert (of.low[~judged & (of.stratum >= 0)] < of.high[~judged & (of.stratum >= 0)]).all()
    assert of.reviewed["hard_negative"] == (of.state == 1).sum()
    low, high_end = result.judgement.expected_interval
    assert low < result.judgement.expected_label_errors < high_end


def test_columns_and_states_must_fit() -> None:
    with pytest.raises(ValueError, match=r"columns of mistakes differ in length: .*'code': 2"):
        Mistakes([0], [6, 6], [0], [0.9], [0.9], [False], [True])
    one = Mistakes([0], [6], [0], [0.9], [0.9], [False], [True])
    images = Images(["a"], np.zeros(1, dtype=bool))
    with pytest.raises(ValueError, match="2 review states are given for 1 mistakes: give one for each"):
        judge(one, ["", ""], images, ALL)
    with pytest.raises(ValueError, match="repeat_threshold needs truth_image and truth_label"):
        judge(one, None, images, MiningSettings(repeat_threshold=0.5))
    assert judge(one, None, images, ALL).weighting.class_exposure == {}


def test_nothing_at_all_can_be_judged() -> None:
    nothing = Mistakes([], [], [], [], [], [], [])
    done = judge(nothing, [], Images([], np.zeros(0, dtype=bool)), ALL)
    assert (len(done.weights), done.expected_label_errors, done.suspicions.strata.by_error()) == (0, 0, {})
