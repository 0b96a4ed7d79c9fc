"""Mining while a model predicts: image by image, in batches, or as a callback of Ultralytics.

No framework is imported here: a model is any callable, or what has a ``predict`` like Ultralytics' YOLO.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .io.found import Found
from .io.records import Record
from .miner import HardNegativeMiner
from .settings import MiningSettings

__all__ = ["attach", "read_result", "real_time_mining"]

EVENT = "on_predict_batch_end"
"""After everything that others do with the results of a batch, tracking included, and before they are handed out."""

ULTRALYTICS_CONF = 0.25
"""Confidence below which Ultralytics drops predictions if it is not told otherwise."""

Truths = Sequence[Record]


def real_time_mining(
    model: Any,
    image: Any,
    ground_truth: Sequence[Any],
    miner: HardNegativeMiner,
    *,
    image_path: Any = None,
    **predict: Any,
) -> tuple[list[Any], list[Any]]:
    """Predict on an image and mine what was predicted.

    Args:
        model: a callable from an image to the guide's dicts, or an Ultralytics model.
        image: a path, a PIL image or an array; a list of them is a batch, which an Ultralytics model predicts at once
            and a callable one by one.
        ground_truth: the image's dicts, boxes in pixels; for a batch a list of them for every image.
        miner: keeps the account: its ``generate_report()`` is the sum of all calls.
        image_path: carried into the dicts found; None takes it from images that are files. A list for a batch.
        **predict: options for an Ultralytics model's ``predict``, such as ``imgsz=640``. Its ``conf`` is lowered to
            the miner's confidence threshold where it would drop what shall be counted; with ``conf=0.01`` the
            difficulty of misses is known best.

    Returns:
        ``(predictions, hard_negatives)``, lists of dicts: exactly what ``miner.find_hard_negatives`` says of these
        predictions. For a batch lists of such lists, one for every image.

    Raises:
        ValueError: if images, truths and results are not equally many, or the model gives what holds no boxes.

    Example:
        >>> model = lambda image: [{"bbox": [0, 0, 9, 9], "confidence": 0.8, "class": "cat"}]
        >>> predictions, found = real_time_mining(model, "street.jpg", [], HardNegativeMiner())
        >>> found[0]["error"], found[0]["image_path"]
        ('background', 'street.jpg')
    """
    if not isinstance(image, (list, tuple)):
        batches = real_time_mining(model, [image], [ground_truth], miner, image_path=[image_path], **predict)
        return batches[0][0], batches[1][0]
    _check_lengths(image, ground_truth)
    paths = [None] * len(image) if image_path is None else image_path
    if hasattr(model, "predict"):
        results = model.predict(list(image), **_options(miner.settings, predict)) if image else []
        predictions = [read_result(result) for result in results]
        if len(predictions) != len(image):
            raise ValueError(
                f"the model gave {len(predictions)} results for {len(image)} images; can all be read, and is none a "
                f"video or a folder?"
            )
    else:
        predictions = [_as_records(model(one)) for one in image]
    names = [_path_of(one) if path is None else str(path) for one, path in zip(image, paths, strict=True)]
    return predictions, list(map(miner.find_hard_negatives, predictions, ground_truth, names))


def attach(
    model: Any,
    miner: HardNegativeMiner,
    ground_truth: Mapping[str, Truths] | Callable[[str], Truths | None],
) -> Callable[[], None]:
    """Mine whatever an Ultralytics model predicts from now on, ``model.predict(..., stream=True)`` included.

    Every result gets its hard negatives as ``result.hard_negatives``; ``miner.generate_report()`` is the sum.

    Args:
        model: an Ultralytics model.
        miner: finds and keeps the account.
        ground_truth: an image's dicts, boxes in pixels, by its path: a mapping, which must know every image predicted
            on, or a function, which may return None for an image that shall not be mined.

    Returns:
        A function that ends it.

    Raises:
        TypeError: if the model takes no callbacks.
    """
    if not hasattr(model, "add_callback"):
        raise TypeError(f"attach needs a model with callbacks, as Ultralytics' YOLO; a {type(model).__name__} has none")
    look_up = _Shelf(ground_truth) if isinstance(ground_truth, Mapping) else lambda path: (path, ground_truth(path))

    def mine_batch(predictor: Any) -> None:
        _warn_of_dropped(predictor, miner.settings)
        for result in predictor.results:
            path, truths = look_up(str(result.path))
            found: list[Found] = []
            if truths is not None:
                found = miner.find_hard_negatives(read_result(result), truths, path)
            result.hard_negatives = found

    model.add_callback(EVENT, mine_batch)

    def detach() -> None:
        for callbacks in (model.callbacks, getattr(model.predictor, "callbacks", {})):
            if mine_batch in callbacks.get(EVENT, ()):
                callbacks[EVENT].remove(mine_batch)

    return detach


def read_result(result: Any) -> list[dict[str, Any]]:
    """The guide's dicts of an Ultralytics ``Results``; boxes in pixels of the original image.

    Raises:
        ValueError: if it holds no boxes at all, as of a model that classifies.
    """
    boxes = next((found for name in ("boxes", "obb") if (found := getattr(result, name, None)) is not None), None)
    if boxes is None:
        raise ValueError(f"the model gave a {type(result).__name__} without boxes; is it a detector?")
    columns = (boxes.xyxy.tolist(), boxes.conf.tolist(), boxes.cls.tolist())
    return [
        {"bbox": box, "confidence": score, "class": result.names[int(label)]}
        for box, score, label in zip(*columns, strict=True)
    ]


class _Shelf:
    """Truths by path, however the path is spelt; and the spelling under which they were put there."""

    def __init__(self, truths: Mapping[str, Truths]) -> None:
        self.truths = truths
        self.keys = {os.path.abspath(key): key for key in truths}

    def __call__(self, path: str) -> tuple[str, Truths]:
        key = path if path in self.truths else self.keys.get(os.path.abspath(path))
        if key is None:
            raise ValueError(
                f"there is no ground truth for {path} among the {len(self.truths)} images given; an image without "
                f"objects has an empty list"
            )
        return str(key), self.truths[key]


def _as_records(answer: Any) -> list[Any]:
    """What a callable returned: the guide's dicts, or Ultralytics' results of this one image."""
    if hasattr(answer, "boxes"):
        return read_result(answer)
    records = list(answer)
    return read_result(records[0]) if len(records) == 1 and hasattr(records[0], "boxes") else records


def _path_of(image: Any) -> str | None:
    """Where an image lies; None for pixels from nowhere."""
    path = image if isinstance(image, (str, Path)) else getattr(image, "filename", None)
    return str(path) if path else None


def _check_lengths(images: Sequence[Any], ground_truth: Sequence[Any]) -> None:
    if any(isinstance(truths, Mapping) for truths in ground_truth):
        raise ValueError(f"ground_truth is one list of dicts, expected a list of them for each of {len(images)} images")
    if len(images) != len(ground_truth):
        raise ValueError(f"the batch has {len(images)} images, ground_truth is for {len(ground_truth)}")


def _lowest(settings: MiningSettings) -> float:
    return min(settings.confidence_threshold, *settings.class_confidence.values(), 1.0)


def _options(settings: MiningSettings, given: Mapping[str, Any]) -> dict[str, Any]:
    lowest = _lowest(settings)
    return {"verbose": False, **({"conf": lowest} if lowest < ULTRALYTICS_CONF else {}), **given}


def _warn_of_dropped(predictor: Any, settings: MiningSettings) -> None:
    """Say it where the model keeps back what the miner would count; Python shows it once."""
    conf, lowest = getattr(predictor.args, "conf", None), _lowest(settings)
    conf = ULTRALYTICS_CONF if conf is None else conf
    if conf > lowest:
        warnings.warn(
            f"the model drops predictions under {conf:g}, the miner would count them from {lowest:g}; predict with "
            f"conf={lowest:g} or less",
            stacklevel=2,
        )
