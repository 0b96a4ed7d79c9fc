"""Choose the train images to export: all of them, or the hard ones and a share of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..settings import MiningSettings
from ..weighting.weights import limit_weights
from .images import ExportImage
from .regions import is_region
from .settings import ExportSettings

__all__ = ["choose_images", "has_truth"]


def has_truth(truth: Detections) -> NDArray[np.bool_]:
    """Return which images have a truth that is an object, no crowd or region, ``(images,)`` bool."""
    return np.bincount(truth.image[~is_region(truth)], minlength=len(truth.images)) > 0


def choose_images(
    images: Sequence[ExportImage], truth: Detections, settings: ExportSettings, mining: MiningSettings
) -> tuple[list[ExportImage], list[str]]:
    """Return the images to export, and sentences on what was left out.

    Every train image with a mined object is among the hard ones. The limits of the whole split also apply to a subset:
    easy background images are drawn, and background images are added, only while the background stays within
    ``background_share``, and weights are flattened to the floor of the effective sample size. Val and test are
    complete.

    Raises:
        ValueError: if no exported train image has a truth.
    """
    train, added = (np.array([test(i) for i in images], dtype=bool) for test in (lambda i: i.split == "train", _added))
    number = {name: i for i, name in enumerate(truth.images)}
    background = ~has_truth(truth)[[number[i.sample_id] for i in images]]
    notes: list[str] = []
    if not settings.only_hard:
        kept = _with_added(images, train & ~added, background, mining.background_share, notes)
        return [image for image, keep in zip(images, kept | ~train, strict=True) if keep], notes
    hard = train & ~added & np.array([i.hard or i.hard_negatives > 0 for i in images], dtype=bool)
    easy = np.flatnonzero(train & ~added & ~hard)
    drawn = np.random.default_rng(mining.seed).permutation(easy)[: round(settings.easy_share * len(easy))]
    chosen = hard.copy()
    chosen[drawn] = True
    kept = _limit_background(images, chosen, hard, background, mining.background_share, notes)
    if not (kept & ~background).any():
        raise ValueError(
            f"{int(hard.sum())} of {int(train.sum())} train images are hard and none of them has a truth: nothing to "
            f"train on; set easy_share, or export the whole split"
        )
    kept = _with_added(images, kept, background, mining.background_share, notes)
    limited = _limit_weights([images[i] for i in np.flatnonzero(kept).tolist()], background[kept], mining, notes)
    subset = iter(limited)
    return [next(subset) if keep else images[i] for i, keep in enumerate(kept) if keep or not train[i]], notes


def _added(image: ExportImage) -> bool:
    return image.added


def _limit_background(
    images: Sequence[ExportImage],
    chosen: NDArray[np.bool_],
    hard: NDArray[np.bool_],
    background: NDArray[np.bool_],
    share: float,
    notes: list[str],
) -> NDArray[np.bool_]:
    """Leave out the easiest of the drawn background images above their share of the subset; hard ones stay."""
    rows = np.flatnonzero(chosen & background & ~hard)
    others, mined = int((chosen & ~background).sum()), int((hard & background).sum())
    allowed = len(rows) if share >= 1 else max(0, int(share / (1 - share) * others + 1e-9) - mined)
    kept = chosen.copy()
    if len(rows) > allowed:
        order = np.argsort([-images[i].score for i in rows.tolist()], kind="stable")
        kept[rows[order[allowed:]]] = False
        notes.append(
            f"{len(rows) - allowed} of {len(rows)} drawn background images are left out: at most "
            f"{share:.0%} of the subset may be background (background_share)"
        )
    found = int((kept & background).sum())
    if mined and found > share * int(kept.sum()):
        notes.append(
            f"{found} of {int(kept.sum())} images of the subset are background, more than {share:.0%}, since every "
            f"image with a mined object is in it: set easy_share, or export the whole split"
        )
    return kept


def _with_added(
    images: Sequence[ExportImage],
    kept: NDArray[np.bool_],
    background: NDArray[np.bool_],
    share: float,
    notes: list[str],
) -> NDArray[np.bool_]:
    """Add background images by their place, the surest mistakes first, as many as fit.

    Each counts as extra with its whole weight.
    """
    rows = np.flatnonzero([image.added for image in images])
    if not len(rows):
        return kept
    weights = np.array([image.weight for image in images])
    total, extra = float(weights[kept].sum()), float((weights[kept & background] - 1.0).sum())
    places = len(rows) if share >= 1 else max(0, int((share * total - extra) / (1 - share) + 1e-9))
    order = rows[np.lexsort(([-images[i].score for i in rows.tolist()], [images[i].place for i in rows.tolist()]))]
    with_added = kept.copy()
    with_added[order[:places]] = True
    some = f"{min(places, len(rows))} of {len(rows)} images without labels on which the model fires"
    last = ", look-alikes last" if any(images[i].place for i in rows.tolist()) else ""
    cut = (
        f", the surest ones{last}: their weight is at most {share:.0%} of all (background_share)"
        if places < len(rows)
        else ""
    )
    notes.append(f"{some} are added as background{cut}; an object in them that nobody labelled would be unlearned")
    return with_added


def _limit_weights(
    images: list[ExportImage], background: NDArray[np.bool_], mining: MiningSettings, notes: list[str]
) -> list[ExportImage]:
    weights = np.array([i.weight for i in images])
    limited, repeats, sentences = limit_weights(weights, mining, background)
    if np.array_equal(limited, weights):
        return images
    notes += [f"in the subset, {sentence}" for sentence in sentences]
    columns = zip(images, limited.tolist(), repeats.tolist(), strict=True)
    return [replace(i, weight=weight, repeats=times) for i, weight, times in columns]
