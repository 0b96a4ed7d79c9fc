"""Fit a logistic regression with a ridge penalty to the crops of right and wrong detections.

Needs scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FOLDS", "PENALTIES", "Fitted", "fit_ridge", "folds_by_image", "rank_quality"]

FOLDS = 5
"""Parts of a cross-validation; all detections of an image are in one."""

PENALTIES = tuple(float(c) for c in np.logspace(-1, 4, 11))
"""Values of ``C``, the inverse of the penalty, to choose from, for features of mean squared length 1 (chosen)."""

ROUNDS = 200
"""Most iterations of a fit; each starts at the one with the next stronger penalty."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A logistic regression, and what it says of detections that it was not fitted to.

    Attributes:
        weights: ``(d,)`` float64.
        offset: added to the sum.
        penalty: ``C`` that was chosen.
        held_out: ``(n,)`` float64, log odds that a detection is wrong, by a fit without its part of the images.
    """

    weights: NDArray[np.float64]
    offset: float
    penalty: float
    held_out: NDArray[np.float64]


def folds_by_image(image: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the part of a cross-validation that each detection is in, ``(n,)`` int64 from 0, whole images together.

    Raises:
        ValueError: if all are in one image.
    """
    from sklearn.model_selection import GroupKFold

    images = len(np.unique(image))
    if images < 2:
        raise ValueError("all detections are in one image: a verifier is tested on other images than it learns from")
    fold = np.zeros(len(image), dtype=np.int64)
    parts = GroupKFold(min(FOLDS, images)).split(image, groups=image)
    for number, (_, rows) in enumerate(parts):
        fold[rows] = number
    return fold


def fit_ridge(features: NDArray[np.float32], wrong: NDArray[np.bool_], fold: NDArray[np.int64]) -> Fitted | None:
    """Fit with the penalty of the smallest log loss on parts that were held out.

    Args:
        features: ``(n, d)``.
        wrong: ``(n,)`` bool, what is to be told.
        fold: ``(n,)`` int64, the part that each is in.

    Returns:
        None if the detections outside some part are all right or all wrong.

    Raises:
        ImportError: if scikit-learn is missing.
    """
    held_out = np.zeros((len(PENALTIES), len(wrong)))
    for part in np.unique(fold):
        others = fold != part
        if len(np.unique(wrong[others])) < 2:
            return None
        for at, model in enumerate(_path(features[others], wrong[others], PENALTIES)):
            held_out[at, ~others] = model.decision_function(features[~others])
    loss = np.logaddexp(0.0, np.where(wrong, -held_out, held_out)).mean(axis=1)
    best = int(np.argmin(loss))
    *_, model = _path(features, wrong, PENALTIES[: best + 1])
    weights = np.asarray(model.coef_[0], dtype=np.float64)
    return Fitted(weights, float(model.intercept_[0]), PENALTIES[best], held_out[best])


def rank_quality(value: NDArray[np.float64], wrong: NDArray[np.bool_]) -> dict[str, float] | None:
    """Return how well wrong detections stand above right ones, None if there are none of a kind.

    Returns:
        ``average_precision`` of the wrong ones, and ``roc_auc``.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    if wrong.all() or not wrong.any():
        return None
    return {
        "average_precision": float(average_precision_score(wrong, value)),
        "roc_auc": float(roc_auc_score(wrong, value)),
    }


def _path(features: NDArray[np.float32], wrong: NDArray[np.bool_], penalties: tuple[float, ...]) -> Any:
    """Yield the model of every penalty, from strong to weak; it is the same object each time."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=ROUNDS, warm_start=True)
    for penalty in penalties:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a weak penalty that loses the comparison anyway
            yield model.set_params(C=penalty).fit(features, wrong)
