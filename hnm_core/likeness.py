"""Do false alarms look like the objects that are labelled? Then somebody may have forgotten to label them.

If labels were left out at random, an object without one looks like those with one. So what speaks for a missing label
is how much likelier a crop is among labelled objects than among false alarms (Elkan and Noto, 2008: learning from
positive and unlabelled examples), as told by a classifier that never saw the crop itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .calibration import LARGEST
from .odds import expit

__all__ = ["likeness"]

LEAST_LABELLED, LEAST_SUSPECTS = 10, 5
"""With fewer crops nothing is said (chosen)."""

MOST = 1_000
"""Crops of either kind that the classifier learns from; of more, that many are drawn."""

RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Penalties tried, in units of the mean squared length of the centred vectors."""

BIAS, NEWTON = 10.0, 30


def likeness(labelled: NDArray[np.float64], suspects: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """The log-likelihood ratio of every suspect: labelled object against suspect, by its descriptor.

    A ridge classifier of the two kinds, each half of the weight. Its answers for what it learned from are those of the
    classifier without that crop, in closed form (leave-one-out residual: residual / (1 - leverage)), and so is the
    choice of the penalty. A logistic regression on these answers makes them log-likelihood ratios.

    Args:
        labelled: ``(n, d)`` descriptors of labelled objects of a class.
        suspects: ``(k, d)`` descriptors of false alarms of that class.
        seed: of the draw, where there are more than 1,000 of a kind.

    Returns:
        ``(k,)`` float64 in [-4, 4], positive: looks like what is labelled. All 0 with fewer than 10 labelled objects
        or 5 suspects.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> cats, dogs = rng.normal(0, 1, (99, 9)), rng.normal(2, 1, (40, 9))
        >>> said = likeness(cats, np.concatenate([dogs, rng.normal(0, 1, (20, 9))]))
        >>> bool((said[:40] < 0).mean() > 0.9), bool((said[40:] > 0).mean() > 0.7)
        (True, True)
    """
    labelled, suspects = (np.asarray(crops, dtype=np.float64) for crops in (labelled, suspects))
    out = np.zeros(len(suspects))
    if len(labelled) < LEAST_LABELLED or len(suspects) < LEAST_SUSPECTS:
        return out
    rng = np.random.default_rng(seed)
    drawn = [np.sort(rng.permutation(len(crops))[:MOST]) for crops in (labelled, suspects)]
    learned = np.concatenate([labelled[drawn[0]], suspects[drawn[1]]])
    is_label = np.arange(len(learned)) < len(drawn[0])
    weight = np.where(is_label, 0.5 / is_label.mean(), 0.5 / (1.0 - is_label.mean()))

    centre = learned.mean(axis=0)
    crops = learned - centre
    scale = float((crops**2).sum()) / len(crops) or 1.0
    held_out, dual = _leave_one_out(crops @ crops.T / scale + BIAS, is_label, weight)
    slope = _logistic(held_out, is_label, weight)
    others = np.setdiff1d(np.arange(len(suspects)), drawn[1])
    out[drawn[1]] = held_out[len(drawn[0]) :]
    out[others] = ((suspects[others] - centre) @ crops.T / scale + BIAS) @ dual
    return np.asarray(np.clip(slope[0] + slope[1] * out, -LARGEST, LARGEST), dtype=np.float64)


def _leave_one_out(
    kernel: NDArray[np.float64], is_label: NDArray[np.bool_], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What ridge regression of ±1 says of each crop without having seen it, and its weights of the crops."""
    root, target = np.sqrt(weight), np.where(is_label, 1.0, -1.0)
    values, vectors = np.linalg.eigh(root[:, None] * kernel * root)
    values = np.maximum(values, 0.0)
    seen = vectors.T @ (root * target)
    best = (np.inf, target, target)
    for ridge in RIDGES:
        kept = values / (values + ridge)
        leverage = (vectors**2) @ kept
        answer = target - (root * target - vectors @ (kept * seen)) / np.maximum(1.0 - leverage, 1e-9) / root
        error = float((weight * (target - answer) ** 2).sum())
        if error < best[0]:
            best = (error, answer, root * (vectors @ (seen / (values + ridge))))
    return best[1], best[2]


def _logistic(
    answer: NDArray[np.float64], is_label: NDArray[np.bool_], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Intercept and slope of a logistic regression of the kind on the answer; a slope of 1 is held against it."""
    columns, at = np.stack([np.ones(len(answer)), answer], axis=1), np.zeros(2)
    for _ in range(NEWTON):
        share = expit(columns @ at)
        slope = (columns * (weight * share * (1.0 - share))[:, None]).T @ columns + np.diag([1e-6, 1.0])
        off = columns.T @ (weight * (is_label - share)) - np.array([0.0, at[1]])
        at = at + np.clip(np.linalg.solve(slope, off), -2.0, 2.0)
    return at
