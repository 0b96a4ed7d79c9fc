"""Find pictures without labels on which the model fires, to add them to an export as background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..evidence.appearance import cut_crops
from ..evidence.edges import edge_features
from ..evidence.near_crops import find_twins, unit_vectors
from ..io.data_yaml import folder_images
from ..io.progress import Progress, silent
from ..io.sources import read_predictions
from ..io.truth_files import TruthFiles
from ..matching.greedy import per_class
from ..result import Mined
from . import ExportImage

__all__ = ["firing_images", "look_alikes", "with_images"]


def firing_images(
    folder: Path,
    predictions: Path | Detections,
    classes: tuple[str, ...],
    result: Mined,
    known: set[Path],
    progress: Progress = silent,
) -> list[ExportImage]:
    """Return an entry for every picture of a folder that is not labelled and has confident predictions.

    Of pictures whose surest predictions look the same, as in neighbouring frames of a video, all but the surest come
    last, where Pillow is there to open them.

    Args:
        folder: of the pictures, with its subfolders.
        predictions: the model's, of any kind that :func:`~hnm_core.io.read_any` reads, or a table of pictures by their
            resolved paths.
        classes: what class numbers in them mean.
        result: the mining; its thresholds say what is confident, and of its classes alone predictions count.
        known: resolved paths of the dataset's images, which are labelled or hold nothing; they are left out.
        progress: shows the progress of reading.

    Raises:
        FileNotFoundError: if there is no such folder, no picture in it, or no file of predictions.
        ValueError: if the predictions are not valid, or of other classes than the mining.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} of pictures without labels")
    files = sorted(path.resolve() for path in folder_images(folder))
    new = [path for path in files if path not in known]
    if not new:
        raise FileNotFoundError(
            f"{folder} has no pictures" if not files else f"all {len(files)} pictures of {folder} are in the dataset"
        )
    names = [str(path) for path in new]
    if isinstance(predictions, Detections):
        found = _of_pictures(predictions, names)
    else:
        pictures = TruthFiles(Detections.empty(names, classes), names, None, None, list(new))
        found = read_predictions(predictions, folder, pictures, None, progress)
    settings = result.settings.for_classes(found.classes)
    least = per_class(settings.confidence_threshold, settings.class_confidence, found.classes)
    is_mined = np.isin(np.array(found.classes, dtype=object), result.classes)
    if len(is_mined) and not is_mined.any():
        own, mined = (", ".join(map(repr, some[:5])) for some in (found.classes, result.classes))
        raise ValueError(
            f"the predictions on {folder} are of the classes {own}, and none of these was mined ({mined}); are they of "
            f"the model that was mined?"
        )
    counts = is_mined[found.label]
    if found.score is None:
        return []
    sure = np.flatnonzero(counts & (found.score >= least[found.label]))
    number = np.bincount(found.image[sure], minlength=len(names))
    order = sure[np.lexsort((found.xyxy[sure, 0], -found.score[sure], found.image[sure]))]
    surest = order[np.unique(found.image[order], return_index=True)[1]]  # one a picture, by its number
    return [
        ExportImage(
            *(names[i], names[i]),
            score=float(found.score[row]),
            hard_negatives=int(number[i]),
            errors={"background": int(number[i])},
            added=True,
            place=int(is_look_alike),
        )
        for i, row, is_look_alike in zip(
            found.image[surest].tolist(),
            surest.tolist(),
            look_alikes(found, surest, dict(zip(names, new, strict=True)).get).tolist(),
            strict=True,
        )
    ]


def _of_pictures(predictions: Detections, names: list[str]) -> Detections:
    """Return a table of these pictures alone."""
    place = {name: at for at, name in enumerate(names)}
    image = np.array([place.get(name, -1) for name in predictions.images], dtype=np.int64)[predictions.image]
    kept = predictions.take(image >= 0)
    return replace(kept, image=image[image >= 0], images=tuple(names))


def look_alikes(
    predictions: Detections, rows: NDArray[np.int64], locate: Callable[[str], Path | None]
) -> NDArray[np.bool_]:
    """Return which predictions show what a surer one of their class shows in another picture, ``(k,)`` bool.

    Args:
        predictions: scored boxes.
        rows: ``(k,)`` the rows to compare, one a picture.
        locate: returns the file of an image key; None for one that must not be opened, which looks like no other.

    Returns:
        All False where Pillow is missing.
    """
    if find_spec("PIL") is None:
        return np.zeros(len(rows), dtype=bool)
    assert predictions.score is not None
    crops = cut_crops(predictions, rows, locate).pixels
    order = np.argsort(-predictions.score[rows], kind="stable")
    vectors = unit_vectors(edge_features(crops))
    leader, _ = find_twins(vectors, predictions.label[rows], predictions.image[rows], order)
    return np.asarray(leader != np.arange(len(rows)), dtype=np.bool_)


def with_images(truth: Detections, images: list[ExportImage]) -> Detections:
    """Return the truths with further images, which have none."""
    return replace(truth, images=(*truth.images, *(image.sample_id for image in images)))
