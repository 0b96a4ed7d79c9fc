"""Mine while a model predicts: image by image, in batches, or as a callback of Ultralytics.

No framework is imported here: a model is any callable, or an object with a ``predict`` like Ultralytics' YOLO.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .io.hard_negatives import HardNegative
from .io.pictures import open_picture
from .io.records import Record
from .live.examples import LEAST_CONFIDENCE
from .live.unlabelled import rank_detections
from .live.verifier import Verifier
from .miner import HardNegativeMiner
from .settings import MiningSettings

__all__ = ["attach", "read_result", "real_time_mining"]

START, FOUND, COMPLETE = "on_predict_start", "on_predict_postprocess_end", "on_predict_batch_end"
"""Ultralytics calls these when it begins, when a batch has its boxes, and before it returns the results. A tracker
changes the results at the second: it drops boxes that belong to no track, and smooths the others."""

FRAME = re.compile(r"video .*?\(frame (\d+)/")
"""How Ultralytics' loader introduces a frame of a video, with its number among those read, from 1."""

ULTRALYTICS_CONF = 0.25
"""Default confidence of Ultralytics; predictions below it are dropped."""

HEIC = (".heic", ".heif")

Truths = Sequence[Record]


def real_time_mining(
    model: Any,
    image: Any,
    ground_truth: Sequence[Any] | None = None,
    miner: HardNegativeMiner | None = None,
    *,
    verifier: Verifier | None = None,
    image_path: Any = None,
    **predict: Any,
) -> tuple[list[Any], list[Any]]:
    """Predict on an image, or on a batch, and mine the predictions; without ground truth, rank them.

    Args:
        model: a callable that takes an image and returns dicts, or an Ultralytics model.
        image: a path, a PIL image or an array; a list of them is a batch, which an Ultralytics model predicts at once
            and a callable one by one.
        ground_truth: the dicts of the image, boxes in pixels; for a batch a list of dicts per image. None, for the
            batch or for an image of it, where the objects are not known; an image without objects has an empty list.
        miner: mines, and keeps the report of all calls, see its ``generate_report()``; None for the default one.
            Images without ground truth do not count in the report; the miner's confidence thresholds hold for them.
        verifier: ranks the detections of images without ground truth, see :class:`hnm_core.live.Verifier`; None to
            rank them by confidence, lowest first.
        image_path: copied into the returned dicts; None takes it from images that are files. A list for a batch.
        **predict: options for ``predict`` of an Ultralytics model, such as ``imgsz=640``. The default ``conf`` is
            lowered to the miner's confidence threshold, so that no prediction that counts is dropped, and to .05 where
            an image has no ground truth. With ``conf=0.01`` the difficulty of missed truths is most accurate.

    Returns:
        ``(predictions, hard_negatives)``, lists of dicts; the second is what ``miner.find_hard_negatives`` returns, or
        without ground truth the proposals of :func:`hnm_core.live.unlabelled.rank_detections`, which say what they are
        ranked by. A single image shows no flicker: that an object comes and goes is for a video to tell.
        For a batch lists of such lists, one per image.

    Raises:
        ValueError: if the numbers of images, truths and results differ, or the results contain no boxes.
        TypeError: if the verifier is none.

    Example:
        >>> model = lambda image: [{"bbox": [0, 0, 9, 9], "confidence": 0.8, "class": "cat"}]
        >>> predictions, found = real_time_mining(model, "street.jpg", [], HardNegativeMiner())
        >>> found[0]["error"], found[0]["image_path"]
        ('background', 'street.jpg')
        >>> real_time_mining(model, "street.jpg")[1][0]["ranked_by"]
        'confidence'
    """
    miner = HardNegativeMiner() if miner is None else miner
    if verifier is not None and not hasattr(verifier, "score"):
        raise TypeError(
            f"verifier is a {type(verifier).__name__}, expected a Verifier: load a file with Verifier.load(path)"
        )
    if not isinstance(image, (list, tuple)):
        paths, given = [image_path], {"verifier": verifier, **predict}
        batches = real_time_mining(model, [image], [ground_truth], miner, image_path=paths, **given)
        return batches[0][0], batches[1][0]
    truths: Sequence[Any] = [None] * len(image) if ground_truth is None else ground_truth
    _check_lengths(image, truths)
    paths = [None] * len(image) if image_path is None else image_path
    lowest = LEAST_CONFIDENCE if any(of_image is None for of_image in truths) else 1.0
    answers = _answers(model, image, _options(miner.settings, predict, lowest))
    predictions, found = [records for records, _ in answers], []
    for one, path, (records, pixels), of_image in zip(image, paths, answers, truths, strict=True):
        name = _path_of(one) if path is None else str(path)
        if of_image is None:
            found.append(rank_detections(records, miner.settings, verifier, one if pixels is None else pixels, name))
        else:
            found.append(miner.find_hard_negatives(records, of_image, name))
    return predictions, found


def _answers(model: Any, images: Sequence[Any], options: Mapping[str, Any]) -> list[tuple[list[Any], Any]]:
    """Return what a model says of every image, as dicts, and the pixels that it saw, None if they are not known."""
    if not hasattr(model, "predict"):
        return [_answer(model(one)) for one in images]
    try:
        results = list(model.predict(list(images), **options)) if images else []
    except ModuleNotFoundError as error:
        if error.name == "pi_heif":  # Ultralytics takes for HEIC whatever Pillow cannot open
            for path in map(_path_of, images):
                if path is not None and Path(path).suffix.lower() not in HEIC:
                    open_picture(path)
        raise
    if len(results) != len(images):
        raise ValueError(
            f"the model returned {len(results)} results for {len(images)} images; is one of them not "
            f"readable, a video or a folder?"
        )
    return [(read_result(result), getattr(result, "orig_img", None)) for result in results]


def attach(
    model: Any,
    miner: HardNegativeMiner,
    ground_truth: Mapping[str, Truths] | Callable[[str], Truths | None],
) -> Callable[[], None]:
    """Mine everything that an Ultralytics model predicts or tracks from now on, also with ``stream=True``.

    Every result gets the attribute ``hard_negatives``; ``miner.generate_report()`` covers all results. While tracking,
    the model's own boxes are mined, not those of the tracker, which hides boxes that belong to no track.

    Args:
        model: an Ultralytics model.
        miner: mines, and keeps the report.
        ground_truth: the dicts of an image, boxes in pixels, by its path: a mapping, which must contain every image
            that is predicted on, or a function, which returns None for images that are not to be mined. For a video
            one list of dicts per frame, skipped frames too; the ``image_path`` of what is found is ``PATH#FRAME``,
            frames counted from 1.

    Returns:
        A function that stops the mining.

    Raises:
        TypeError: if the model has no callbacks.
    """
    if not hasattr(model, "add_callback"):
        raise TypeError(f"attach needs a model with callbacks such as Ultralytics' YOLO, got a {type(model).__name__}")
    look_up = (
        _TruthByPath(ground_truth) if isinstance(ground_truth, Mapping) else lambda path: (path, ground_truth(path))
    )
    attached = _Attached(miner, look_up)
    for event, callback in attached.callbacks.items():
        model.add_callback(event, callback)

    def detach() -> None:
        for callbacks in (model.callbacks, getattr(model.predictor, "callbacks", {})):
            for event, callback in attached.callbacks.items():
                if callback in callbacks.get(event, ()):
                    callbacks[event].remove(callback)

    return detach


class _Attached:
    """Mine the boxes of a batch before a tracker changes them, and hand them over when the batch is complete."""

    def __init__(self, miner: HardNegativeMiner, look_up: Callable[[str], tuple[str, Truths | None]]) -> None:
        self.miner, self.look_up = miner, look_up
        self.found: list[list[HardNegative]] = []
        self.callbacks = {START: self.come_first, FOUND: self.mine, COMPLETE: self.hand_over}

    def come_first(self, predictor: Any) -> None:
        """Stand before the tracker among those that are called, whoever was added first."""
        callbacks = predictor.callbacks[FOUND]
        callbacks.sort(key=lambda callback: callback != self.callbacks[FOUND])

    def mine(self, predictor: Any) -> None:
        """Mine what the model found."""
        _warn_about_confidence(predictor, self.miner.settings)
        self.found = []
        for result, said in zip(predictor.results, predictor.batch[2], strict=True):
            path, truths = self.look_up(str(result.path))
            frame = FRAME.match(said)
            if frame and truths is not None:
                number = int(frame[1]) * max(int(predictor.args.vid_stride or 1), 1)
                path, truths = f"{path}#{number}", _of_frame(path, truths, number)
            records = read_result(result) if truths is not None else []
            self.found.append([] if truths is None else self.miner.find_hard_negatives(records, truths, path))

    def hand_over(self, predictor: Any) -> None:
        """Give every result what was found in it."""
        for result, found in zip(predictor.results, self.found, strict=True):
            result.hard_negatives = found


def _of_frame(path: str, truths: Sequence[Any], number: int) -> Truths:
    """Return the truths of a frame of a video, numbered from 1."""
    if any(isinstance(one, Mapping) for one in truths):
        raise ValueError(f"{path} is a video, its ground truth one list of dicts: give such a list for every frame")
    if number > len(truths):
        raise ValueError(f"{path} has a frame {number}, its ground truth has {len(truths)} frames: give them all")
    frame: Truths = truths[number - 1]
    return frame


def read_result(result: Any) -> list[dict[str, Any]]:
    """Convert an Ultralytics ``Results`` to dicts; boxes in pixels of the original image.

    Raises:
        ValueError: if it has no boxes, as of a classification model.
    """
    boxes = next((found for name in ("boxes", "obb") if (found := getattr(result, name, None)) is not None), None)
    if boxes is None:
        raise ValueError(f"the model returned a {type(result).__name__} without boxes; is it a detector?")
    columns = (boxes.xyxy.tolist(), boxes.conf.tolist(), boxes.cls.tolist())
    return [
        {"bbox": box, "confidence": score, "class": result.names[int(label)]}
        for box, score, label in zip(*columns, strict=True)
    ]


class _TruthByPath:
    """Find the truths of an image by its path, relative, absolute or through links; return them with their key."""

    def __init__(self, truths: Mapping[str, Truths]) -> None:
        self.truths = truths
        self.keys = {os.path.abspath(key): key for key in truths}
        self.real = {os.path.realpath(key): key for key in truths}

    def __call__(self, path: str) -> tuple[str, Truths]:
        key = path if path in self.truths else self.keys.get(os.path.abspath(path))
        key = key or self.real.get(os.path.realpath(path))
        if key is None:
            raise ValueError(
                f"there is no ground truth for {path} among the {len(self.truths)} images given; an image without "
                f"objects has an empty list"
            )
        return str(key), self.truths[key]


def _answer(said: Any) -> tuple[list[Any], Any]:
    """Return what a callable said of an image, dicts or Ultralytics' results, and the pixels of the latter."""
    records = [said] if hasattr(said, "boxes") else list(said)
    if len(records) == 1 and hasattr(records[0], "boxes"):
        return read_result(records[0]), getattr(records[0], "orig_img", None)
    return records, None


def _path_of(image: Any) -> str | None:
    """Return the path of an image, or None if it was not read from a file."""
    path = image if isinstance(image, (str, Path)) else getattr(image, "filename", None)
    return str(path) if path else None


def _check_lengths(images: Sequence[Any], ground_truth: Sequence[Any]) -> None:
    if any(isinstance(truths, Mapping) for truths in ground_truth):
        raise ValueError(f"ground_truth is one list of dicts, expected a list of them for each of {len(images)} images")
    if len(images) != len(ground_truth):
        raise ValueError(f"the batch has {len(images)} images, ground_truth is for {len(ground_truth)}")


def _lowest(settings: MiningSettings) -> float:
    return min(settings.confidence_threshold, *settings.class_confidence.values(), 1.0)


def _options(settings: MiningSettings, given: Mapping[str, Any], lowest: float) -> dict[str, Any]:
    """Return the options of a prediction; ``lowest`` is what is wanted besides what the settings count."""
    lowest = min(lowest, _lowest(settings))
    return {"verbose": False, **({"conf": lowest} if lowest < ULTRALYTICS_CONF else {}), **given}


def _warn_about_confidence(predictor: Any, settings: MiningSettings) -> None:
    """Warn if the model drops predictions that the miner would count; Python shows the warning once."""
    conf, lowest = getattr(predictor.args, "conf", None), _lowest(settings)
    conf = ULTRALYTICS_CONF if conf is None else conf
    if conf > lowest:
        warnings.warn(
            f"the model drops predictions under {conf:g}, the miner would count them from {lowest:g}; predict with "
            f"conf={lowest:g} or less",
            stacklevel=2,
        )
