"""Describe the effect of the weights: extra weight by error type, class exposure, effective sample size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..report import Weighting, ratio
from ..taxonomy import ROW_NAMES
from .exact import as_floats, exact_sum, exact_units
from .images import Images
from .pooling import PooledScores
from .weights import SampleWeights, effective_sample_size

__all__ = ["describe_weighting", "effect_sums", "extra_weight", "mean_weight", "weighting_of"]


def describe_weighting(
    images: Images, pooled: PooledScores, code: NDArray[np.int8], weighed: SampleWeights
) -> Weighting:
    """Return the effect of the weights on a training.

    Args:
        images: the images; class exposure is computed if their classes are known.
        pooled: the scores that the weights were computed from.
        code: ``(k,)`` name of each object in ``pooled``, as index in :data:`~hnm_core.taxonomy.ROW_NAMES`.
        weighed: the weights of all images.
    """
    return weighting_of(effect_sums(images, pooled, code, weighed), images, weighed)


def effect_sums(
    images: Images, pooled: PooledScores, code: NDArray[np.int8], weighed: SampleWeights
) -> tuple[NDArray[np.object_], NDArray[np.object_], NDArray[np.int64]]:
    """Return exact sums over objects, which add up over parts of the images; arguments as above.

    Returns:
        The extra weight by name of the object, misses last; per class its boxes in the drawn images, and without
        weights. Both of the latter are empty if the classes are not known.
    """
    # False negatives have one name, whatever their type: a miss of a badly placed box is no false positive.
    names = np.where(pooled.missed, len(ROW_NAMES), code)
    by_name = exact_units(names, extra_weight(pooled, weighed), len(ROW_NAMES) + 1)
    if images.truth_image is None or images.truth_label is None:
        return by_name, np.zeros(0, dtype=object), np.zeros(0, dtype=np.int64)
    n = len(images.classes)
    after = exact_units(images.truth_label, weighed.weights[images.truth_image], n)
    return by_name, after, np.bincount(images.truth_label, minlength=n)


def weighting_of(
    sums: tuple[NDArray[np.object_], NDArray[np.object_], NDArray[np.int64]], images: Images, weighed: SampleWeights
) -> Weighting:
    """Return the effect of the weights from the sums over all objects, see :func:`effect_sums`."""
    w, n, total = weighed.weights, len(weighed.weights), exact_sum(weighed.weights)
    by_name, after = map(as_floats, sums[:2])
    titles = ["lucky_hit" if name == "true_positive" else name for name in (*ROW_NAMES, "missed")]
    shares = (by_name / (by_name.sum() or 1.0)).tolist()
    by_error: dict[str, float] = {}
    for title, share in zip(titles, shares, strict=True):
        by_error[title] = by_error.get(title, 0.0) + share
    exposure = zip(images.classes, after, sums[2], strict=True) if len(after) else ()
    return Weighting(
        hard_images=int(weighed.hard.sum()),
        mean_weight=mean_weight(w),
        effective_sample_size=effective_sample_size(w),
        effective_sample_size_of_repeats=effective_sample_size(weighed.repeats),
        background_share=ratio(exact_sum(w[images.background]), total),
        extra_by_error={title: share for title, share in by_error.items() if share > 0},
        miss_share=by_error["missed"],
        balance=weighed.balance,
        class_exposure={name: float(a / b * n / total) for name, a, b in exposure if b},
    )


def mean_weight(weights: NDArray[np.float64]) -> float:
    """Return the mean weight of the images; 1 for no images."""
    return ratio(exact_sum(weights), len(weights)) or 1.0


def extra_weight(pooled: PooledScores, weighed: SampleWeights) -> NDArray[np.float64]:
    """Return each object's part of the extra weight w - 1 of its image, ``(k,)``.

    Before the limits an object has its part of both terms of the weight, (1 - λ) · a by its share of the alarm score
    and λ · b by its share of the score; the limits scale both alike.
    """
    image = pooled.image
    before = weighed.alarm_extra + weighed.score_extra
    scale = np.divide(weighed.weights - 1.0, before, out=np.zeros(len(before)), where=before > 0)
    extra = np.zeros(len(image))
    terms = (
        (weighed.alarm_extra, pooled.alarm_parts, pooled.alarm_scores),
        (weighed.score_extra, pooled.parts, pooled.scores),
    )
    for term, part, score in terms:
        share = np.divide(part, score[image], out=np.zeros(len(image)), where=score[image] > 0)
        extra += (term * scale)[image] * share
    return extra
