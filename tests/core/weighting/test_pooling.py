"""From the mistakes of an image to its score: 4 : 2 : 1 over the three hardest."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import pool_images
from hnm_core.weighting.pooling import Pools, object_shares
from tests.scenes import patient

difficulties = st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]), max_size=6)


def pool_one(difficulty: list[float]) -> float:
    return float(pool_images(np.zeros(len(difficulty), dtype=int), np.array(difficulty), 1)[0])


@pytest.mark.parametrize(
    ("difficulty", "score"),
    [
        ([], 0),
        ([0.7], 0.4),  # 4 · .7 / 7
        ([0.7, 0.7], 0.6),
        ([0.35, 0.7], 0.5),  # (4 · .7 + 2 · .35) / 7
        ([0.1, 0.2, 0.4], 3 / 10),  # (1.6 + .4 + .1) / 7
        ([1, 1, 1], 1),
        ([1, 1, 1, 1, 1], 1),  # a crowd does not win by number
        ([0, 0], 0),
    ],
)
def test_score_of_an_image(difficulty: list[float], score: float) -> None:
    assert pool_one(difficulty) == pytest.approx(score)


def test_images_without_objects_are_not_forgotten() -> None:
    assert pool_images(np.array([1, 3]), np.array([0.7, 0.35]), 5).tolist() == pytest.approx([0, 0.4, 0, 0.2, 0])
    assert pool_images(np.array([], dtype=int), np.array([]), 2).tolist() == [0, 0]
    assert pool_images(np.array([], dtype=int), np.array([]), 0).tolist() == []


def test_shares_add_up_to_the_score_and_stand_at_their_objects() -> None:
    image, difficulty = np.array([0, 1, 0, 0, 0]), np.array([0.1, 0.7, 0.7, 0.05, 0.35])
    assert object_shares(image, difficulty).tolist() == pytest.approx([0.1 / 7, 0.4, 0.4, 0, 0.1])


@patient
@given(difficulty=difficulties, fixed=st.integers(0, 5), by=st.sampled_from([0.1, 0.5, 1.0]))
def test_fixing_a_mistake_never_makes_an_image_harder(difficulty: list[float], fixed: int, by: float) -> None:
    before = pool_one(difficulty)
    assert 0 <= before <= 1
    if fixed < len(difficulty):
        milder = [max(0.0, d - by) if i == fixed else d for i, d in enumerate(difficulty)]
        assert pool_one(milder) <= before
        assert pool_one([d for i, d in enumerate(difficulty) if i != fixed]) <= before


@patient
@given(difficulty=difficulties, order=st.randoms(use_true_random=False))
def test_the_order_of_objects_does_not_matter_to_the_last_bit(difficulty: list[float], order: Random) -> None:
    """Else two images with the same mistakes would not be tied, and their weights would differ by a rank."""
    shuffled = list(difficulty)
    order.shuffle(shuffled)
    assert pool_one(shuffled) == pool_one(difficulty)


@pytest.mark.parametrize("seed", range(8))
def test_parts_and_scores_are_those_of_a_look_at_every_image(seed: int) -> None:
    """To the last bit: three hardest of an image, the earliest of equals first, misses counted apart."""
    rng = np.random.default_rng(seed)
    k, images = 80, 30
    image, difficulty = rng.integers(0, images, k), rng.choice([0.0, 0.1, 0.35, 0.7, np.nan, 5e-324], k)
    alarm = rng.random(k) < 0.6
    missed = ~alarm & (rng.random(k) < 0.8)
    pools = Pools(image, alarm, missed, images)
    pooled, scores = pools.pool(difficulty), pools.score(difficulty)
    parts, alarm_parts = np.zeros((2, k))
    for some, into in ((np.ones(k, dtype=bool), parts), (alarm, alarm_parts)):
        for number in range(images):
            rows = [row for row in np.flatnonzero(some & (image == number)).tolist() if difficulty[row] > 0]
            for row, share in zip(sorted(rows, key=lambda row: -difficulty[row]), (4 / 7, 2 / 7, 1 / 7), strict=False):
                into[row] = share * difficulty[row]
    assert pooled.parts.tolist() == parts.tolist()
    assert pooled.alarm_parts.tolist() == alarm_parts.tolist()
    for found in (pooled, scores):
        wanted = ((found.scores, parts), (found.alarm_scores, alarm_parts), (found.missed_scores, parts * missed))
        for of_images, of_objects in wanted:
            added = [sum(sorted(of_objects[image == number].tolist(), reverse=True)) for number in range(images)]
            assert of_images.tolist() == added
