"""One estimator for review after review gives, to the last bit, what is estimated anew after each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hnm_core import MiningSettings
from hnm_core.labels.estimate import Estimator, estimate_labels
from hnm_core.labels.mistakes import Mistakes
from hnm_core.labels.next_reviews import choose_reviews, next_reviews
from hnm_core.labels.reviews import HARD_NEGATIVE, IGNORE, LABEL_ERRORS, STATES, UNREVIEWED
from hnm_core.taxonomy import BACKGROUND, LOCALIZATION, MISSED, TRUE_POSITIVE
from hnm_core.weighting.images import Images

K, IMAGES = 160, 25


def mistakes_of(rng: np.random.Generator, *, lucky: bool, twins: bool) -> Mistakes:
    """Mistakes with many ties in their difficulty, in a random order of images."""
    codes = [BACKGROUND, LOCALIZATION, MISSED, *([TRUE_POSITIVE] if lucky else [])]
    code = rng.choice(codes, K)
    of_truth = (code == MISSED) | ((code == LOCALIZATION) & (rng.random(K) < 0.3))
    score = np.where(of_truth, np.nan, rng.choice([0.5, 0.6, 0.7, 0.9], K))
    mined = (rng.random(K) < 0.7) | (code == TRUE_POSITIVE)
    columns = rng.integers(0, IMAGES, K), code, rng.integers(0, 4, K), score, rng.choice([0.0, 0.2, 0.5, 0.9], K)
    return Mistakes(*columns, of_truth, mined, rng.integers(0, K // 2, K) if twins else None)


def evidence_of(rng: np.random.Generator, kinds: tuple[str, ...]) -> dict[str, Any] | None:
    return {kind: np.where(rng.random(K) < 0.2, np.nan, rng.normal(0, 2, K)) for kind in kinds} or None


def bits(estimate: Any) -> list[Any]:
    found, strata = estimate.suspicions, estimate.suspicions.strata
    arrays = (
        *(estimate.image_scores, estimate.weights, estimate.repeats, estimate.hard_images),
        *(found.value, found.answers, found.stratum, found.offset, found.low, found.high),
        *(strata.pending, strata.confirmed, strata.cleared, strata.review_count, strata.wrong, strata.share),
        *(strata.pairs, strata.mean, *strata.levels.n),
    )
    plain = estimate.expected_label_errors, estimate.expected_interval, estimate.notes, found.evidence, found.reviewed
    return [*(each.tobytes() for each in arrays), repr(plain), repr(strata.by_error())]


@pytest.mark.parametrize("kinds", [(), ("second_model",), ("views", "steady")], ids=str)
@pytest.mark.parametrize("twins", [False, True], ids=["alone", "twins"])
@pytest.mark.parametrize("seed", range(4))
def test_review_after_review_is_as_if_estimated_anew(seed: int, twins: bool, kinds: tuple[str, ...]) -> None:
    """Answers, exceptions of sheets, what is ignored, and what is taken back, one after the other or many at once."""
    rng = np.random.default_rng(seed)
    mistakes, evidence = mistakes_of(rng, lucky=bool(seed % 2), twins=twins), evidence_of(rng, kinds)
    images = Images([f"{i:03}" for i in rng.permutation(IMAGES)], rng.random(IMAGES) < 0.2)
    settings = MiningSettings(use_suspicion=seed != 3, effective_sample_floor=0.9 if seed == 2 else 0.5)
    estimator, answers, seen = Estimator(mistakes, images, settings, evidence), np.zeros(K, dtype=np.int8), set()
    for step in range(12):
        some = rng.choice(K, rng.choice([1, 24]), replace=False)
        given = int(rng.integers(-len(STATES) + 1, len(STATES)))
        answers[some] = 0 if step % 5 == 4 else given
        anew = bits(estimate_labels(mistakes, answers.copy(), images, settings, evidence=evidence))
        assert bits(estimator.outlook(answers)) == anew, f"step {step}, answer {given}"
        shown = choose_reviews(estimator, answers, 5, skip=some[:2]).tolist()
        assert shown == next_reviews(mistakes, answers, images, settings, 5, skip=some[:2], evidence=evidence).tolist()
        seen.add(repr(anew))
    assert len(seen) > 8, "the answers changed something"


@pytest.mark.parametrize("seed", range(6))
def test_strata_count_what_a_look_at_every_mistake_counts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mistakes = mistakes_of(rng, lucky=True, twins=True)
    assert mistakes.twins is not None
    images, settings = Images([f"{i:03}" for i in range(IMAGES)], np.zeros(IMAGES, bool)), MiningSettings()
    answers = np.where(rng.random(K) < 0.4, rng.integers(-6, 7, K), 0).astype(np.int8)
    found = Estimator(mistakes, images, settings).outlook(answers).suspicions
    for at in range(len(found.strata)):
        rows = [row for row in range(K) if found.stratum[row] == at]
        mined = [row for row in rows if mistakes.mined[row]]
        pending = [row for row in mined if answers[row] <= UNREVIEWED]
        assert found.strata.pending[at] == len(pending)
        assert found.strata.confirmed[at] == sum(answers[row] in LABEL_ERRORS for row in mined)
        assert found.strata.cleared[at] == sum(answers[row] == HARD_NEGATIVE for row in mined)
        assert found.strata.review_count[at] == sum(answers[row] > 0 and answers[row] != IGNORE for row in rows)
        assert found.strata.wrong[at] == sum(answers[row] in LABEL_ERRORS for row in rows)
        waiting = [r for r in range(K) if found.stratum[r] >= 0 and mistakes.mined[r] and answers[r] <= UNREVIEWED]
        twin = mistakes.twins
        assert found.strata.pairs[at] == sum(twin[row] == twin[o] for row in pending for o in waiting if o != row)
    for row in range(K):
        if answers[row] == HARD_NEGATIVE:
            assert found.value[row] == 0
        elif answers[row] in LABEL_ERRORS:
            assert found.value[row] == 1
        else:
            assert found.value[row] == (found.strata.mean[found.stratum[row]] if found.stratum[row] >= 0 else 0)


def test_what_was_estimated_before_stays_as_it_was() -> None:
    """A panel shows the numbers before any review beside those of now, and goes on to write into its answers."""
    rng = np.random.default_rng(0)
    mistakes, answers = mistakes_of(rng, lucky=False, twins=False), np.zeros(K, dtype=np.int8)
    images = Images([f"{i:03}" for i in range(IMAGES)], np.zeros(IMAGES, bool))
    estimator = Estimator(mistakes, images, MiningSettings(), evidence_of(rng, ("second_model",)))
    before = estimator.outlook(answers)
    kept = bits(before)
    answers[:30] = HARD_NEGATIVE
    after = estimator.outlook(answers)
    assert bits(before) == kept != bits(after)
    with pytest.raises(ValueError, match="read-only"):
        after.suspicions.stratum[0] = 0


def test_states_that_do_not_fit_are_refused() -> None:
    mistakes = mistakes_of(np.random.default_rng(0), lucky=False, twins=False)
    images = Images([f"{i:03}" for i in range(IMAGES)], np.zeros(IMAGES, bool))
    estimator = Estimator(mistakes, images, MiningSettings())
    with pytest.raises(ValueError, match=r"review states are numbers from 0 to 6 .*, got -7 to 0"):
        estimator.outlook(np.array([-7, *[0] * (K - 1)], dtype=np.int8))
    with pytest.raises(ValueError, match=f"1 review states are given for {K} mistakes"):
        estimator.outlook(["ignore"])
