"""Read the predictions of a second model, over tables that are read already."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..columns import Detections
from .classes import in_classes, select_classes
from .doubts import say_doubts
from .model_names import read_model_names
from .progress import Progress, silent
from .sources import are_yolo_texts, in_unit_of, read_predictions
from .truth_files import TruthFiles

__all__ = ["read_second"]


def read_second(
    source: Path,
    data: Path,
    truth: TruthFiles,
    classes: Sequence[str],
    *,
    class_map: Mapping[str, str] | None = None,
    prediction_names: str | Path | Sequence[str] | None = None,
    progress: Progress = silent,
) -> Detections:
    """Read another model's predictions on images whose ground truth and first predictions are read already.

    Args:
        source: of the predictions, as for :func:`read_any`.
        data: of the ground truth, for messages.
        truth: the ground truth.
        classes: those of both tables; boxes of other classes are left out, and their number is said.
        class_map: prediction class → truth class; classes that this model does not have are left out.
        prediction_names: as for :func:`read_any`.
        progress: shows the progress.

    Raises:
        ValueError: if files are not valid, or no box is of these classes.
        FileNotFoundError: if a file does not exist.
    """
    names = read_model_names(prediction_names) if prediction_names is not None else None
    found = read_predictions(source, data, truth, names, progress)
    found = in_unit_of(found, truth, source, are_yolo_texts(source))
    known = {name: of for name, of in (class_map or {}).items() if name in found.classes}
    every, true = in_classes(found, truth.table, known)
    second = select_classes(every, classes)
    left_out = len(every) - len(second)
    if left_out:
        other = next(every.classes[label] for label in every.label.tolist() if every.classes[label] not in classes)
        text = (
            f"{source}: {left_out} of {len(every)} boxes are of classes that neither the labels nor the first model's "
            f"predictions have, such as {other!r}"
        )
        if not len(second):
            raise ValueError(f"{text}, so none is left: both models must name the classes alike")
        warnings.warn(f"{text}, and are left out", stacklevel=2)
    say_doubts(every, true, every.classes, source, data)  # other classes are said above
    return second
