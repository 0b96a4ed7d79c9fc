"""Compare crops of false positives with crops of labelled objects, to find missing labels.

If labels are missing at random, objects without a label look like objects with one. So the evidence for a missing label
is how much likelier a crop is among labelled objects than among false positives (Elkan and Noto, 2008: learning from
positive and unlabelled examples), by a classifier that was not trained on this crop.

Needs scikit-learn ≥ 1.6 (before, ``RidgeCV`` scaled held-out predictions by the weights).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..labels.evidence_weights import LARGEST

__all__ = ["likeness"]

LEAST_LABELLED, LEAST_SUSPECTS = 10, 5
"""Fewest crops of each kind for which there is evidence (chosen)."""

MOST = 1_000
"""Largest number of crops of each kind to train on; from more, so many are drawn at random."""

RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Ridge penalties to choose from, in units of the mean squared length of the centred vectors."""


def likeness(labelled: NDArray[np.float64], suspects: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Return the log-likelihood ratio of every suspect, labelled object against false positive, by its descriptor.

    A ridge classifier of the two kinds, each with half of the weight. The scores of training crops are leave-one-out
    scores in closed form (residual / (1 - leverage)); the penalty of the smallest leave-one-out error is used. A
    logistic regression turns the scores into log-likelihood ratios.

    Args:
        labelled: ``(n, d)`` descriptors of labelled objects of a class.
        suspects: ``(k, d)`` descriptors of false positives of that class.
        seed: of the random draw from more than 1,000 crops of a kind.

    Returns:
        ``(k,)`` float64 in [-4, 4], positive if it looks like a labelled object. All 0 with fewer than 10 labelled
        objects or 5 suspects.

    Raises:
        ImportError: if scikit-learn is missing.
    """
    try:
        from sklearn.linear_model import LogisticRegression, RidgeCV
    except ImportError:
        raise ImportError("evidence from appearance needs scikit-learn: pip install scikit-learn") from None
    labelled, suspects = (np.asarray(crops, dtype=np.float64) for crops in (labelled, suspects))
    if len(labelled) < LEAST_LABELLED or len(suspects) < LEAST_SUSPECTS:
        return np.zeros(len(suspects))
    rng = np.random.default_rng(seed)
    drawn = [np.sort(rng.permutation(len(crops))[:MOST]) for crops in (labelled, suspects)]
    training = np.concatenate([labelled[drawn[0]], suspects[drawn[1]]])
    is_label = np.arange(len(training)) < len(drawn[0])
    weight = np.where(is_label, 0.5 / is_label.mean(), 0.5 / (1.0 - is_label.mean()))

    scale = float(((training - training.mean(axis=0)) ** 2).sum()) / len(training) or 1.0
    penalties = np.array(RIDGES) * scale
    ridge = RidgeCV(penalties, scoring="neg_mean_squared_error", store_cv_results=True)
    ridge.fit(training, np.where(is_label, 1.0, -1.0), sample_weight=weight)
    held_out = ridge.cv_results_[:, np.flatnonzero(penalties == ridge.alpha_)[0]]
    to_ratio = LogisticRegression(C=1.0).fit(held_out[:, None], is_label, sample_weight=weight)
    score = ridge.predict(suspects)
    score[drawn[1]] = held_out[len(drawn[0]) :]
    return np.asarray(np.clip(to_ratio.decision_function(score[:, None]), -LARGEST, LARGEST), dtype=np.float64)
