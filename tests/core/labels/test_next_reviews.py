"""Which mistakes to show next."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from hnm_core import MiningSettings
from hnm_core.labels.estimate import estimate_labels
from hnm_core.labels.mistakes import Mistakes
from hnm_core.labels.next_reviews import next_reviews
from hnm_core.taxonomy import BACKGROUND, CLASSIFICATION, DUPLICATE, LOCALIZATION, MISSED, TRUE_POSITIVE
from hnm_core.weighting.images import Images

SETTINGS = MiningSettings()


def world(seed: int, objects: int, images: int, classes: int = 3) -> tuple[Mistakes, Images]:
    rng = np.random.default_rng(seed)
    code = rng.choice(
        [BACKGROUND, LOCALIZATION, CLASSIFICATION, DUPLICATE, MISSED], objects, p=[0.4, 0.2, 0.1, 0.1, 0.2]
    )
    score = np.where(code == MISSED, np.nan, rng.uniform(0.5, 1, objects))
    difficulty = np.where(
        code == MISSED, 0.5 * rng.random(objects), np.nan_to_num(score) * rng.uniform(0.5, 1, objects)
    )
    mined = rng.random(objects) < 0.8
    columns = (rng.integers(0, images, objects), code, rng.integers(0, classes, objects), score, difficulty)
    names = [f"{i:06}.jpg" for i in range(images)]
    return Mistakes(*columns, code == MISSED, mined), Images(names, np.zeros(images, dtype=bool))


def alike(*kinds: tuple[int, int]) -> tuple[Mistakes, Images]:
    """So many mined objects of each error type, one an image, besides as many images without any."""
    code = np.concatenate([[code] * n for code, n in kinds])
    k = len(code)
    score = np.where(code == MISSED, np.nan, 0.9)
    rows = Mistakes(range(k), code, [0] * k, score, [0.9] * k, code == MISSED, [True] * k)
    return rows, Images([f"{i:03}" for i in range(3 * k)], np.zeros(3 * k, dtype=bool))


def test_what_moves_many_is_asked_before_what_moves_few() -> None:
    mistakes, images = alike((LOCALIZATION, 40), (MISSED, 40), (DUPLICATE, 2))
    assert DUPLICATE not in mistakes.code[next_reviews(mistakes, None, images, SETTINGS, n=5)]


def test_what_is_known_by_now_is_not_asked_again() -> None:
    mistakes, images = alike((LOCALIZATION, 60), (MISSED, 60))
    state = np.zeros(120, dtype=np.int8)
    state[:50] = 3  # fifty of sixty were label errors
    free = replace(SETTINGS, miss_share=1.0)  # else what misses may cause is limited, and so is what they tell
    assert mistakes.code[next_reviews(mistakes, state, images, free)[0]] == MISSED


def test_only_mined_ones_that_nobody_judged_are_shown_and_each_once() -> None:
    mistakes, images = world(0, 300, 100)
    state = np.random.default_rng(1).integers(0, 5, 300).astype(np.int8)
    asked = np.flatnonzero(mistakes.mined & (state == 0))[:10].tolist()
    shown = next_reviews(mistakes, state, images, SETTINGS, n=1000, skip=asked)
    expected = set(np.flatnonzero(mistakes.mined & (state == 0)).tolist()) - set(asked)
    assert set(shown.tolist()) == expected
    assert len(shown) == len(expected)


def test_the_seed_draws_among_equals_and_the_same_seed_the_same() -> None:
    mistakes, images = alike((BACKGROUND, 40))
    shown = [next_reviews(mistakes, None, images, SETTINGS, n=5, seed=seed).tolist() for seed in (0, 0, 1)]
    assert shown[0] == shown[1] != shown[2]


def test_many_at_once_are_not_all_alike() -> None:
    mistakes, images = alike((BACKGROUND, 40), (LOCALIZATION, 40))
    shown = mistakes.code[next_reviews(mistakes, None, images, SETTINGS, n=20)]
    assert set(shown.tolist()) == {BACKGROUND, LOCALIZATION}


def test_where_nothing_is_left_nothing_is_shown() -> None:
    mistakes, images = alike((BACKGROUND, 2))
    assert next_reviews(mistakes, ["ignore", "missing_label"], images, SETTINGS).tolist() == []
    lucky = Mistakes([0], [TRUE_POSITIVE], [0], [0.9], [0.9], [False], [True])
    assert next_reviews(lucky, None, images, SETTINGS).tolist() == []
    nothing = Mistakes([], [], [], [], [], [], [])
    assert next_reviews(nothing, [], Images([], np.zeros(0, dtype=bool)), SETTINGS).tolist() == []


def distance(mistakes: Mistakes, images: Images, state: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(estimate_labels(mistakes, state, images, SETTINGS).weights - right).sum() / (right - 1).sum())


def test_its_looks_bring_the_weights_nearer_to_the_truth_than_looks_at_random() -> None:
    """Worlds in which each error type of each class has a share of label errors of its own."""
    chosen, random = [], []
    for seed in range(8):
        mistakes, images = world(seed, 600, 150)
        rng = np.random.default_rng(seed)
        share = rng.beta(0.5, 0.5, (9, 3))
        answer = np.where(rng.random(600) < share[mistakes.code, mistakes.label], 3, 1).astype(np.int8)
        right = estimate_labels(mistakes, answer, images, SETTINGS).weights
        state = np.zeros(600, dtype=np.int8)
        for look in range(20):
            row = next_reviews(mistakes, state, images, SETTINGS, seed=look)[0]
            state[row] = answer[row]
        chosen.append(distance(mistakes, images, state, right))
        state = np.zeros(600, dtype=np.int8)
        rows = rng.permutation(np.flatnonzero(mistakes.mined))[:20]
        state[rows] = answer[rows]
        random.append(distance(mistakes, images, state, right))
    assert np.mean(chosen) < np.mean(random)


@pytest.mark.parametrize("classes", [1, 80])
def test_it_is_quick_enough_to_follow_a_click(classes: int) -> None:
    mistakes, images = world(0, 10_000, 10_000, classes)
    taken = []
    for _ in range(3):
        start = time.process_time()
        next_reviews(mistakes, None, images, SETTINGS, n=12)
        taken.append(time.process_time() - start)
    assert min(taken) < 1.0  # of processor time, a tenth of that where nothing else runs
