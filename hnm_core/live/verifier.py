"""A verifier: tells from its crop whether a detection is an error, without ground truth.

It learns from a labelled run, whose true positives and mined false positives are known (see ``examples``): a logistic
regression with a ridge penalty per class, on histograms of oriented gradients of the crop and on the confidence.
Scoring needs Pillow, fitting scikit-learn too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..evidence.appearance import cut_box, cut_crops
from ..evidence.edges import edge_features
from ..io.pictures import open_picture
from ..io.progress import Progress, part_of, silent, tracked
from ..labels.reviews import Reviews
from ..labels.stats import expit, logit
from ..matching.greedy import per_class
from ..result import MiningResult
from .examples import Examples, examples_of
from .fitting import Fitted, fit_ridge, folds_by_image
from .quality import Quality, quality_of
from .verifier_file import read_verifier, write_verifier

__all__ = ["LEAST", "Verifier", "features_of"]

LEAST = 40
"""Fewest right and fewest wrong detections for a fit (the pilot's)."""

MARGIN = 0.0
"""Margin of a crop, as share of the longer side of the box (measured: AP .88 on cards, .84 with .15 on each side)."""

AT_ONCE = 1_000
"""Crops that are cut together."""

LEAST_SCORE = 1e-4
"""Confidences are cut off here and at one minus this, so that their log odds are finite."""


@dataclass(frozen=True, eq=False)
class Verifier:
    """Says of detections how likely they are errors. Make one with :meth:`fit` or :meth:`load`.

    Attributes:
        classes: ``k`` names of the classes that have a fit of their own.
        weights: ``(k + 1, d)`` float64; the last row is the fit over all classes, for every other class.
        offsets: ``(k + 1,)`` float64.
        centre: ``(d,)`` float64, subtracted from features.
        scale: ``(d,)`` float64, features are divided by it.
        quality: how well it tells errors on images that it was not fitted to.
        digest: SHA-256 of the crops, boxes and answers that it was fitted to.
    """

    classes: tuple[str, ...]
    weights: NDArray[np.float64]
    offsets: NDArray[np.float64]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    quality: Quality
    digest: str

    @classmethod
    def fit(
        cls,
        result: MiningResult,
        locate: Any = Path,
        *,
        sizes: NDArray[np.float64] | None = None,
        reviews: Reviews | None = None,
        progress: Progress = silent,
    ) -> Verifier:
        """Fit a verifier to the right and the wrong detections of a mining.

        Args:
            result: a mining of labelled images; predictions from confidence .05 are the best.
            locate: returns the file of an image key.
            sizes: ``(images, 2)`` width and height at labelling, for boxes in pixels; None if they are those of the
                pictures.
            reviews: None for those that it was mined with. A label error is no error of the model.
            progress: shows the progress.

        Raises:
            ValueError: if there are fewer than 40 right or 40 wrong detections, or all are in one image.
            FileNotFoundError: if an image does not exist.
            ImportError: if Pillow or scikit-learn is missing.
        """
        examples = examples_of(result, reviews)
        _check_enough(examples)
        table = result.predictions
        crops, examples = _crops_of(table, examples, locate, sizes, part_of(progress, 0.0, 0.5))
        rows, wrong = examples.rows, examples.wrong
        assert table.score is not None  # checked by matching
        found = features_of(crops, table.score[rows])
        centre = found.mean(axis=0)
        scale = _scale_of(found - centre)
        found = ((found - centre) / scale).astype(np.float32)
        image, label = table.image[rows], table.label[rows]
        fold = folds_by_image(image)
        every = fit_ridge(found, wrong, fold)
        if every is None:
            raise ValueError("nearly all errors, or all right detections, are in one image: mine more images")
        fits, held_out = _per_class(found, wrong, fold, label, every, part_of(progress, 0.5, 1.0))
        sure = per_class(result.settings.confidence_threshold, result.settings.class_confidence, table.classes)
        own = np.isin(label, list(fits))
        return cls(
            classes=tuple(table.classes[each] for each in fits),
            weights=np.array([each.weights for each in (*fits.values(), every)]),
            offsets=np.array([each.offset for each in (*fits.values(), every)]),
            centre=centre,
            scale=scale,
            quality=quality_of(held_out, wrong, table.score[rows], sure[label], image, own, examples.notes),
            digest=_digest(crops, table, rows, wrong),
        )

    def log_odds(
        self, crops: NDArray[np.uint8], classes: Sequence[str], confidence: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the log odds that detections are errors, ``(n,)`` float64.

        Of several detections of one thing take the mean.

        Args:
            crops: ``(n, 64, 64, 3)`` uint8, see :func:`~hnm_core.evidence.appearance.cut_box`, without a margin.
            classes: ``n`` names of their classes.
            confidence: ``(n,)``.
        """
        place = {name: at for at, name in enumerate(self.classes)}
        fit = np.array([place.get(str(name), len(self.classes)) for name in classes], dtype=np.int64)
        found = (features_of(crops, np.asarray(confidence, dtype=np.float64)) - self.centre) / self.scale
        return np.asarray((found * self.weights[fit]).sum(axis=1) + self.offsets[fit], dtype=np.float64)

    def of_rows(
        self,
        table: Detections,
        rows: NDArray[np.int64],
        locate: Any = Path,
        sizes: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Return the log odds that rows of a table of predictions are errors, ``(n,)`` float64; opens the images.

        Of what is in no picture that can be read they are NaN; a warning names those images.

        Args:
            table: predictions.
            rows: ``(n,)`` the rows to look at.
            locate: returns the file of an image key; None for one that must not be opened.
            sizes: ``(images, 2)`` width and height at labelling, for boxes in pixels, see :meth:`fit`.

        Raises:
            FileNotFoundError: if an image does not exist.
        """
        if table.score is None:
            raise ValueError("the table has no score column: a verifier looks at predictions")
        out = np.zeros(len(rows))
        order = np.argsort(table.image[rows], kind="stable")
        for at in np.array_split(order, len(rows) // AT_ONCE + 1):
            names = [table.classes[label] for label in table.label[rows[at]].tolist()]
            crops = cut_crops(table, rows[at], locate, sizes, MARGIN)
            said = self.log_odds(crops.pixels, names, table.score[rows[at]])
            out[at] = np.where(crops.read, said, np.nan)
        return out

    def score(self, image: Any, predictions: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Return how likely each prediction in an image is an error, ``(n,)`` float64 in (0, 1).

        Args:
            image: a path, a PIL image, or ``(height, width, 3)`` uint8.
            predictions: dicts with ``bbox``, ``[x1, y1, x2, y2]`` in pixels of the image, ``confidence``, ``class``.

        Raises:
            ValueError: if the image has another shape or type.
            OSError: if it is no picture that can be read.
        """
        if not len(predictions):
            return np.zeros(0)
        pixels = _pixels_of(image)
        crops = np.stack([cut_box(pixels, np.asarray(p["bbox"], dtype=np.float64), MARGIN) for p in predictions])
        confidence = np.array([p["confidence"] for p in predictions], dtype=np.float64)
        odds = self.log_odds(crops, [str(p["class"]) for p in predictions], confidence)
        return expit(odds)

    def save(self, path: str | Path) -> Path:
        """Write the verifier to a file, ``.npz`` without pickle, which appears only when it is complete."""
        return write_verifier(path, {each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> Verifier:
        """Read a verifier from a file.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it is damaged, no verifier, or of another version.
        """
        return cls(**read_verifier(path))

    def __str__(self) -> str:
        """Return the quality and what has a fit of its own, as text."""
        own = f"a fit of their own: {', '.join(self.classes)}" if self.classes else "no class has a fit of its own"
        return f"{self.quality}\n{own}; every other class: one fit over all"


def features_of(crops: NDArray[np.uint8], confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Describe detections by the edges of their crops and their confidence, ``(n, d)`` float64."""
    return np.column_stack([edge_features(crops), logit(np.clip(confidence, LEAST_SCORE, 1.0 - LEAST_SCORE))])


def _check_enough(examples: Examples) -> None:
    wrong = int(examples.wrong.sum())
    right = len(examples.wrong) - wrong
    if min(wrong, right) < LEAST:
        raise ValueError(
            f"the run has {wrong} errors and {right} right detections, a verifier needs {LEAST} of each at least: mine "
            f"more images, or predictions kept down to confidence .05"
        )


def _crops_of(
    table: Detections, examples: Examples, locate: Any, sizes: NDArray[np.float64] | None, progress: Progress
) -> tuple[NDArray[np.uint8], Examples]:
    """Cut the crops, image by image; examples of what is no picture are left out."""
    order = np.argsort(table.image[examples.rows], kind="stable")
    rows, wrong = examples.rows[order], examples.wrong[order]
    parts = np.array_split(np.arange(len(rows)), len(rows) // AT_ONCE + 1)
    crops = [cut_crops(table, rows[part], locate, sizes, MARGIN) for part in tracked(parts, "cutting crops", progress)]
    read = np.concatenate([each.read for each in crops])
    kept = replace(examples, rows=rows[read], wrong=wrong[read])
    _check_enough(kept)
    return np.concatenate([each.pixels for each in crops])[read], kept


def _scale_of(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by what features are divided, ``(d,)``: edges by their mean length, confidence by its deviation."""
    edges = float(np.sqrt((centred[:, :-1] ** 2).sum(axis=1).mean()))
    confidence = float(centred[:, -1].std())
    return np.append(np.full(centred.shape[1] - 1, edges or 1.0), confidence or 1.0)


def _per_class(
    found: NDArray[np.float32],
    wrong: NDArray[np.bool_],
    fold: NDArray[np.int64],
    label: NDArray[np.int64],
    every: Fitted,
    progress: Progress,
) -> tuple[dict[int, Fitted], NDArray[np.float64]]:
    """Fit every class that has enough of both kinds; return the fits and what is said of held-out detections."""
    held_out, fits = every.held_out.copy(), dict[int, Fitted]()
    for each in tracked(np.unique(label).tolist(), "fitting classes", progress):
        rows = np.flatnonzero(label == each)
        if min(wrong[rows].sum(), (~wrong[rows]).sum()) < LEAST:
            continue
        fitted = fit_ridge(found[rows], wrong[rows], fold[rows])
        if fitted is not None:
            fits[each] = fitted
            held_out[rows] = fitted.held_out
    return fits, held_out


def _digest(crops: NDArray[np.uint8], table: Detections, rows: NDArray[np.int64], wrong: NDArray[np.bool_]) -> str:
    """Return the SHA-256 of what a verifier is fitted to."""
    assert table.score is not None  # checked by matching
    found = hashlib.sha256(json.dumps([table.classes, [table.images[i] for i in table.image[rows]]]).encode())
    for column in (table.label[rows], table.xyxy[rows], table.score[rows], wrong, crops):
        found.update(np.ascontiguousarray(column).tobytes())
    return found.hexdigest()


def _pixels_of(image: Any) -> NDArray[np.uint8]:
    """Return the pixels of an image, ``(height, width, 3)`` uint8.

    Raises:
        ValueError: if it is none, or of another type.
    """
    if isinstance(image, (str, Path)):
        return np.asarray(open_picture(image))
    if hasattr(image, "convert"):  # of Pillow
        return np.asarray(image.convert("RGB"))
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or not pixels.size:
        raise ValueError(
            f"a verifier looks at a path, a PIL image or (height, width, 3) uint8, got {type(image).__name__}"
            f"{f' {pixels.shape} {pixels.dtype}' if isinstance(image, np.ndarray) else ''}"
        )
    return pixels[:, :, :3]
