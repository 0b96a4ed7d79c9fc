"""Which train images are exported: all of them, or the hard ones and a share of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..settings import MiningSettings
from ..weights import limit_weights
from .images import ExportImage
from .settings import ExportSettings

__all__ = ["choose_images", "has_truth"]


def has_truth(truth: Detections) -> NDArray[np.bool_]:
    """``(images,)`` bool, images with a truth to learn from."""
    return np.bincount(truth.image[~truth.is_crowd()], minlength=len(truth.images)) > 0


def choose_images(
    images: Sequence[ExportImage], truth: Detections, settings: ExportSettings, mining: MiningSettings
) -> tuple[list[ExportImage], list[str]]:
    """The images to export, and what was left out of a subset.

    A subset is held to the limits that the whole split keeps: background images are at most ``background_share`` of
    it, the hardest of them, and weights are flattened to the floor of the effective sample size. Val and test go whole.

    Raises:
        ValueError: if no hard image holds a truth.
    """
    if not settings.only_hard:
        return list(images), []
    train = np.array([i.split == "train" for i in images])
    hard = train & np.array([i.hard for i in images])
    easy = np.flatnonzero(train & ~hard)
    drawn = np.random.default_rng(mining.seed).permutation(easy)[: round(settings.easy_share * len(easy))]
    chosen = hard.copy()
    chosen[drawn] = True
    notes: list[str] = []
    number = {name: i for i, name in enumerate(truth.images)}
    background = ~has_truth(truth)[[number[i.sample_id] for i in images]]
    kept = _capped(images, chosen, background, mining.background_share, notes)
    if not (kept & ~background).any():
        raise ValueError(
            f"{int(hard.sum())} of {int(train.sum())} train images are hard and none of them holds a truth: nothing to "
            f"train on; give easy_share, or export the whole split"
        )
    limited = _limited([images[i] for i in np.flatnonzero(kept).tolist()], background[kept], mining, notes)
    subset = iter(limited)
    return [next(subset) if keep else images[i] for i, keep in enumerate(kept) if keep or not train[i]], notes


def _capped(
    images: Sequence[ExportImage],
    chosen: NDArray[np.bool_],
    background: NDArray[np.bool_],
    share: float,
    notes: list[str],
) -> NDArray[np.bool_]:
    """Without the mildest background images beyond their share of the subset."""
    rows = np.flatnonzero(chosen & background)
    others = int(chosen.sum()) - len(rows)
    allowed = len(rows) if share >= 1 else int(share / (1 - share) * others + 1e-9)
    if len(rows) <= allowed:
        return chosen
    order = np.argsort([-images[i].score for i in rows.tolist()], kind="stable")
    kept = chosen.copy()
    kept[rows[order[allowed:]]] = False
    notes.append(
        f"{len(rows) - allowed} of {len(rows)} background images are left out of the subset: at most {share:.0%} of it"
    )
    return kept


def _limited(
    images: list[ExportImage], background: NDArray[np.bool_], mining: MiningSettings, notes: list[str]
) -> list[ExportImage]:
    weights = np.array([i.weight for i in images])
    limited, repeats, said = limit_weights(weights, mining, background)
    if np.array_equal(limited, weights):
        return images
    notes += [f"in the subset, {sentence}" for sentence in said]
    columns = zip(images, limited.tolist(), repeats.tolist(), strict=True)
    return [replace(i, weight=weight, repeats=times) for i, weight, times in columns]
