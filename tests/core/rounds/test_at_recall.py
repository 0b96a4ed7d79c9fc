from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from hnm_core import mine
from hnm_core.rounds import Outcome, fppi_at_recall
from hnm_core.rounds.at_recall import resampled_images
from tests.scenes import patient, random_scene, scenes


@pytest.fixture
def outcome():
    """Ten images with a truth each: five found at .9, false positives at .95 and .3, the other truths found at .2."""
    score = np.array([0.95, 0.9, 0.9, 0.9, 0.9, 0.9, 0.3, 0.2, 0.2, 0.2, 0.2, 0.2])
    right = np.array([False, True, True, True, True, True, False, True, True, True, True, True])
    image = np.array([0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9])
    return Outcome(score, right, image, np.ones(10, dtype=np.int64))


def test_false_positives_are_counted_where_a_recall_is_reached(outcome):
    assert (outcome.recall(0.5), outcome.confident_false_positives(0.5), outcome.most) == (0.5, 1, 1.0)
    assert outcome.fppi(0.5) == pytest.approx(0.1)
    assert outcome.fppi(0.6) == pytest.approx(0.2)
    twice = np.full(10, 2)
    assert outcome.fppi(0.6, twice) == pytest.approx(0.2)
    without = np.array([0, 1, 1, 1, 1, 1, 1, 1, 1, 1])  # the image with the sure alarm is not drawn
    assert outcome.fppi(0.4, without) == 0.0


def test_where_a_recall_is_never_reached_all_count():
    never = Outcome(np.array([0.9, 0.8]), np.zeros(2, bool), np.zeros(2, np.int64), np.ones(1, np.int64))
    assert (never.most, never.false_positives(0.5), never.false_positives(0.0)) == (0.0, 2, 0)


@settings(patient, max_examples=30)
@given(scenes())
def test_an_image_drawn_twice_is_an_image_that_is_there_twice(tables):
    result = mine(*tables)
    one = Outcome.of(result.predictions, result.truth, result.matches)
    times = np.arange(len(result.truth.images)) % 3
    order = np.argsort(-np.repeat(one.score, times[one.image]), kind="stable")
    many = Outcome(
        np.repeat(one.score, times[one.image])[order],
        np.repeat(one.right, times[one.image])[order],
        np.repeat(one.image, times[one.image])[order],
        one.truths * times,
    )
    for recall in (0.1, 0.5, 1.0):
        assert one.false_positives(recall, times) == many.false_positives(recall)
    counts = [one.false_positives(recall) for recall in (0.0, 0.3, 0.6, 1.0)]
    assert all(a <= b for a, b in pairwise(counts))


def test_resamples_are_looked_for_among_the_surest_first_and_come_to_the_same():
    result = mine(*random_scene(1, images=40, levels=50))
    outcome = Outcome.of(result.predictions, result.truth, result.matches)
    for recall in (0.05, outcome.most / 2, outcome.most):
        every = [outcome.false_positives(recall, times) for times in resampled_images(40, 60)]
        assert outcome.drawn_false_positives(recall, 60).tolist() == every
    assert {int(times.sum()) for times in resampled_images(40, 3)} == {40}


def test_classes_can_be_counted_alone():
    result = mine(*random_scene(1, images=20))
    tables = result.predictions, result.truth, result.matches
    parts = [Outcome.of(*tables, np.arange(2) == label) for label in range(2)]
    whole = Outcome.of(*tables)
    assert sum(part.confident_false_positives(0.0) for part in parts) == whole.confident_false_positives(0.0) > 0
    assert (parts[0].truths + parts[1].truths).tolist() == whole.truths.tolist()
    assert fppi_at_recall(result, 0.0) == 0.0
