"""Sample weights, step by step as the definitions number them, on numbers one can reckon in the head."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import MiningSettings
from hnm_core.weighting.weights import class_repeat_factors, effective_sample_size, round_to_repeats, weigh_images
from tests.scenes import HERE, patient, scene


def free(**chosen: float) -> MiningSettings:
    """Settings whose background cap and floor never bite, so that a step is seen alone."""
    return MiningSettings(**{"background_share": 1.0, "effective_sample_floor": 0.0, **chosen})  # type: ignore[arg-type]


def with_zeros(*scores: float, images: int = 10) -> np.ndarray:
    return np.array([*scores, *[0.0] * (images - len(scores))])


# Step 1: who is hard


@pytest.mark.parametrize(
    ("scores", "share", "hard"),
    [
        (with_zeros(0.1, 0.2, 0.3, 0.4, 0.5), 0.3, [2, 3, 4]),  # ⌈.3 · 10⌉
        (with_zeros(0.1, 0.2, 0.3, 0.4, 0.5), 0.21, [2, 3, 4]),  # ⌈2.1⌉: rounded up
        (with_zeros(0.1), 0.3, [0]),  # nothing else is above 0
        (with_zeros(), 0.3, []),
        (with_zeros(0.5, 0.5, 0.5, 0.5), 0.3, [0, 1, 2]),  # of equal scores at the edge the earlier
        (with_zeros(0.5, 0.5), 0.0, []),
        (np.full(10, 0.5), 1.0, list(range(10))),
        (np.full(25, 0.5), 0.28, list(range(7))),  # .28 · 25 is 7.000000000000001, and no eighth image
    ],
)
def test_hard_are_the_first_images_above_zero(scores: np.ndarray, share: float, hard: list[int]) -> None:
    assert np.flatnonzero(weigh_images(scores, free(hard_image_share=share)).hard).tolist() == hard


# Step 2: weights by rank


@pytest.mark.parametrize(
    ("scores", "max_weight", "weights"),
    [
        ((0.9, 0.5, 0.1), 2.0, [2, 5 / 3, 4 / 3]),  # q = 1, 2/3, 1/3
        ((0.9, 0.5, 0.5), 2.0, [2, 1.5, 1.5]),  # both have rank 2.5
        ((0.5, 0.5, 0.5), 2.0, [5 / 3] * 3),  # all have rank 2
        ((0.9, 0.5, 0.1), 4.0, [4, 3, 2]),
        ((0.9, 0.5, 0.1), 1.0, [1, 1, 1]),
        ((0.01,), 2.0, [2]),  # alone: how hard does not matter, only who is harder
        ((), 2.0, []),
    ],
)
def test_weight_falls_by_rank_from_the_maximum(
    scores: tuple[float, ...], max_weight: float, weights: list[float]
) -> None:
    done = weigh_images(with_zeros(*scores), free(max_weight=max_weight))
    assert done.weights.tolist() == pytest.approx([*weights, *[1.0] * (10 - len(weights))])
    assert done.notes == ()


# Step 2: misses cause at most their share of the extra weight


def test_false_positives_take_the_places_of_hard_images_first() -> None:
    """Ten images, three places: one with a false positive, however mild, goes before the two hardest misses."""
    scores, alarms = with_zeros(0.9, 0.8, 0.7, 0.1), with_zeros(0.0, 0.0, 0.0, 0.1)
    done = weigh_images(scores, free(miss_share=1.0), alarm_scores=alarms, missed_scores=scores - alarms)
    assert np.flatnonzero(done.hard).tolist() == [0, 1, 3]


def test_the_share_of_misses_is_limited_by_hand() -> None:
    """Images with f = .4, .2, 0 and s = .4, .6, .9, of which misses make 0, .4, .9; w_max = 2.

    a = 1, 1/2, 0; b = 1/3, 2/3, 1: A = 3/2, B = 2, M = 2/3 · 2/3 + 1 = 13/9. At m = ½: λ = .75 / (13/9 - 1 + .75).
    """
    alarms, scores = with_zeros(0.4, 0.2, 0.0), with_zeros(0.4, 0.6, 0.9)
    missed = with_zeros(0.0, 0.4, 0.9)
    done = weigh_images(scores, free(), alarm_scores=alarms, missed_scores=missed)
    balance = 0.75 / (13 / 9 - 1 + 0.75)
    assert done.balance == pytest.approx(balance)
    expected = [1 + (1 - balance) * a + balance * b for a, b in ((1, 1 / 3), (0.5, 2 / 3), (0, 1))]
    assert done.weights[:3].tolist() == pytest.approx(expected)
    extra = done.weights[:3] - 1
    assert balance * (2 / 3 * 2 / 3 + 1) / extra.sum() == pytest.approx(0.5)  # just the share that is allowed
    assert done.notes == (
        "misses would cause 72% of the extra weight: limited to 50% (miss_share), before the other limits",
    )


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_misses_never_cause_more_than_their_share(share: float) -> None:
    rng = np.random.default_rng(0)
    alarms = rng.uniform(0, 1, 200) * (rng.random(200) < 0.4)
    missed = rng.uniform(0, 1, 200) * (rng.random(200) < 0.6)
    scores = (alarms + missed) / 2
    done = weigh_images(scores, free(miss_share=share), alarm_scores=alarms, missed_scores=missed / 2)
    owed = np.divide(missed / 2, scores, out=np.zeros(200), where=scores > 0)
    caused = (done.score_extra * owed).sum() / (done.weights - 1).sum()
    assert caused <= share + 1e-9
    assert (share < 0.5) == (done.balance < 1)
    if share == 0:
        assert not (done.weights > 1)[alarms == 0].any()


def test_without_any_false_positive_misses_may_cause_all_and_it_is_said() -> None:
    scores = with_zeros(0.9, 0.5)
    done = weigh_images(scores, free(miss_share=0.2), missed_scores=scores)
    assert done.weights[:2].tolist() == [2.0, 1.5]
    assert done.notes == ("no false positive was mined: all extra weight is caused by misses, whatever miss_share is",)


# Step 3: class repeat factors


def test_repeat_factors_are_those_of_lvis() -> None:
    """Two of four images hold a cat, one a dog: f = .5, .25; at t = .5 a dog is worth √2, a cat 1."""
    _, truth = scene(
        truth=[("a", "cat", HERE), ("a", "cat", HERE), ("b", "cat", HERE), ("b", "dog", HERE)],
        images="abcd",
        classes=["cat", "dog", "bird"],
    )
    assert class_repeat_factors(truth.image, truth.label, 4, len(truth.classes), 0.5).tolist() == pytest.approx(
        [1, np.sqrt(2), 1, 1]
    )
    assert class_repeat_factors(truth.image, truth.label, 4, len(truth.classes), 0.0).tolist() == [1, 1, 1, 1]


def test_weights_times_class_factors_over_the_smallest_product() -> None:
    done = weigh_images(with_zeros(0.9, images=4), free(), class_factors=np.array([2.0, 3.0, 2.0, 2.0]))
    assert done.weights.tolist() == [2.0, 1.5, 1.0, 1.0]  # 4, 3, 2, 2, each / 2
    done = weigh_images(with_zeros(0.9, images=4), free(), class_factors=np.array([1.0, 3.0, 2.0, 2.0]))
    assert done.weights.tolist() == [
        1.0,
        1.5,
        1.0,
        1.0,
    ]  # 2, 3, 2, 2, each / 2: the smallest factor is not the smallest
    done = weigh_images(np.zeros(0), free(), class_factors=np.zeros(0))
    assert done.weights.tolist() == []


# Step 4: images without truth


def test_extra_weight_of_background_is_scaled_down_to_its_share() -> None:
    """Ten images, the three hard ones without truth: 1 + (1, 2/3, 1/3), extra 2 of 12. A tenth is 10/9 of 100/9."""
    background = np.array([True] * 4 + [False] * 6)
    done = weigh_images(with_zeros(0.9, 0.5, 0.1), free(background_share=0.1), background=background)
    assert done.weights[:4].tolist() == pytest.approx([1 + 5 / 9, 1 + 10 / 27, 1 + 5 / 27, 1])
    assert (done.weights[:4] - 1).sum() / done.weights.sum() == pytest.approx(0.1)
    assert done.notes == ("extra weight of images without truth scaled by 0.56: at most 10% of all weight",)


@pytest.mark.parametrize(
    ("share", "background"),
    [
        (1.0, [True] * 10),  # all the weight there is
        (0.2, [True] * 3 + [False] * 7),  # 2 of 12 is less than a fifth
        (0.1, [False] * 3 + [True] * 7),  # no extra weight on background
    ],
)
def test_background_that_keeps_its_share_is_left_alone(share: float, background: list[bool]) -> None:
    done = weigh_images(with_zeros(0.9, 0.5, 0.1), free(background_share=share), background=np.array(background))
    assert done.weights[:3].tolist() == pytest.approx([2, 5 / 3, 4 / 3])
    assert done.notes == ()


def test_a_background_share_of_zero_leaves_background_at_one() -> None:
    done = weigh_images(with_zeros(0.9, 0.5), free(background_share=0.0), background=np.array([True] + [False] * 9))
    assert done.weights.tolist() == [1.0, 1.5, *[1.0] * 8]


# Step 5: the floor of the effective sample size


def test_effective_sample_size() -> None:
    assert effective_sample_size(np.ones(7)) == 1.0
    assert effective_sample_size(np.array([1.0, 0.0, 0.0, 0.0])) == 0.25  # one of four counts
    assert effective_sample_size(np.array([2.0, 1.0])) == 0.9  # 9 / (2 · 5)
    assert effective_sample_size(np.zeros(0)) == 1.0


def test_weights_are_flattened_until_the_floor_holds() -> None:
    """100 images, 30 from 1.3 up to 10: the largest power that keeps 90 %."""
    scores = with_zeros(*np.linspace(0.1, 1, 30), images=100)
    steep = weigh_images(scores, free(max_weight=10))
    assert effective_sample_size(steep.weights) < 0.6
    kept = weigh_images(scores, free(max_weight=10, effective_sample_floor=0.9))
    sizes = [effective_sample_size(w) for w in (kept.weights, kept.repeats)]
    assert min(sizes) >= 0.9
    assert max(sizes) < 0.93  # not flatter than needed; repeats are whole, so that it is not .9 to the digit
    power = np.log(kept.weights[29]) / np.log(10)
    assert kept.weights == pytest.approx(steep.weights**power)
    assert kept.notes == (f"weights raised to the power {power:.2f}: effective sample size kept at 90% of the images",)


def test_a_floor_of_one_leaves_nothing_to_weigh() -> None:
    done = weigh_images(with_zeros(0.9, 0.5), free(effective_sample_floor=1.0))
    assert done.weights.tolist() == pytest.approx([1.0] * 10, abs=1e-4)  # sums are rounded to 2⁻³²
    assert done.repeats.tolist() == [1] * 10


def test_the_defaults_hardly_ever_need_the_floor() -> None:
    done = weigh_images(with_zeros(*np.linspace(0.1, 1, 300), images=1000), MiningSettings())
    assert done.notes == ()
    assert effective_sample_size(done.weights) == pytest.approx(0.945, abs=0.005)


# Step 6: repeats

some_weights = st.lists(st.floats(1, 5), max_size=40).map(np.array)


@patient
@given(weights=some_weights, seed=st.integers(0, 2**31 - 1))
def test_repeats_are_neighbours_of_the_weights_and_keep_their_sum(weights: np.ndarray, seed: int) -> None:
    repeats = round_to_repeats(weights, seed)
    assert repeats.dtype == np.int64
    assert (repeats >= np.floor(weights)).all()
    assert (repeats <= np.ceil(weights)).all()
    assert abs(repeats.sum() - weights.sum()) <= 0.5 + 1e-9
    assert (repeats >= 1).all()


def test_whole_weights_are_their_own_repeats() -> None:
    assert round_to_repeats(np.array([1.0, 3.0, 2.0])).tolist() == [1, 3, 2]
    assert round_to_repeats(np.zeros(0)).tolist() == []


@pytest.mark.parametrize(
    "weights",
    [
        [1.5, 1.5, 1.5, 1.5],
        [1.1] * 10,
        [1.0, 1.25, 1.5, 1.75, 1.5],  # the sum is whole
        [1.9, 2.3, 1.0, 3.5, 1.3],
    ],
)
def test_repeats_have_the_weights_as_expectation(weights: list[float]) -> None:
    mean = np.mean([round_to_repeats(np.array(weights), seed) for seed in range(4000)], axis=0)
    assert mean.tolist() == pytest.approx(weights, abs=0.04)  # five standard errors of a half


def test_the_place_of_an_image_does_not_decide_its_repeats() -> None:
    """The sum 4.5 must be rounded, to 4: each of the three has one chance in three, not the middle one always."""
    mean = np.mean([round_to_repeats(np.array([1.5] * 3), seed) for seed in range(4000)], axis=0)
    assert mean.tolist() == pytest.approx([4 / 3] * 3, abs=0.04)


def test_a_seed_is_a_promise() -> None:
    weights = np.linspace(1, 2, 50)
    assert round_to_repeats(weights, 7).tolist() == round_to_repeats(weights, 7).tolist()
    assert round_to_repeats(weights, 7).tolist() != round_to_repeats(weights, 8).tolist()


# All steps


@patient
@given(
    scores=st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), max_size=30).map(np.array),
    background=st.lists(st.booleans(), min_size=30, max_size=30),
    max_weight=st.sampled_from([1.0, 2.0, 100.0]),
    floor=st.sampled_from([0.0, 0.9, 1.0]),
)
def test_every_image_is_still_drawn(
    scores: np.ndarray, background: list[bool], max_weight: float, floor: float
) -> None:
    chosen = MiningSettings(max_weight=max_weight, effective_sample_floor=floor)
    done = weigh_images(scores, chosen, background=np.array(background[: len(scores)], dtype=bool))
    assert (done.weights >= 1).all()
    assert (done.weights <= max_weight).all()
    assert (done.repeats >= 1).all()
    assert abs(done.repeats.sum() - done.weights.sum()) <= 0.5 + 1e-9
    assert effective_sample_size(done.weights) >= floor
    assert effective_sample_size(done.repeats) >= floor
    order = np.argsort(-scores, kind="stable")
    assert (np.diff(done.weights[order][np.array(background[: len(scores)], dtype=bool)[order]]) <= 1e-12).all()
