"""Ask the detector that made the predictions again, under views of the images, for evidence on label errors."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import are_fractions
from ..columns import Detections
from ..io.pictures import image_size, pixel_scale, say_left_out
from ..io.progress import Progress, silent
from ..result import MiningResult
from .detecting import BATCH
from .view_cache import Boxes, ViewCache, cache_folder, digest_of
from .views import CONFIDENCE, VIEWS, ask_views, image_size_of

__all__ = ["AskedViews", "ask_again"]

FILE = "views.sqlite3"


@dataclass(frozen=True, eq=False)
class AskedViews:
    """What a detector said of the images of a mining, asked under views.

    Attributes:
        names: of the views.
        tables: what was seen under each, in the unit of the mined boxes.
        images: images asked about.
        kept: how many of them were answered before.
        seconds: what the others took.
    """

    names: tuple[str, ...]
    tables: tuple[Detections, ...]
    images: int
    kept: int
    seconds: float

    @property
    def cost(self) -> str:
        """A sentence on what it took."""
        new = self.images - self.kept
        known = f", {self.kept} known from before" if self.kept else ""
        return f"views: {new} images asked {len(self.names)} times in {self.seconds:.0f} s{known}"


def ask_again(
    model: Any,
    weights: Path,
    result: MiningResult,
    locate: Callable[[str], str | Path | None] = Path,
    *,
    names: Sequence[str] | None = None,
    class_map: Mapping[str, str] | None = None,
    sizes: NDArray[np.float64] | None = None,
    imgsz: int | None = None,
    device: str | None = None,
    cache: Path | None = None,
    progress: Progress = silent,
) -> AskedViews:
    """Ask a detector about the images of a mining under all views; nothing is asked twice of an unchanged image.

    Args:
        model: the Ultralytics model.
        weights: its file.
        result: a mining of its predictions.
        locate: returns the file of an image key; None for an image that must not be opened.
        names: the model's class names by number; None for its own.
        class_map: class of the tables of each class of the model that has another name.
        sizes: ``(images, 2)`` width and height at labelling, NaN where unknown, for boxes in pixels; None if they are
            those of the pictures.
        imgsz: longer side in pixels that the predictions were made with; None for that of the model.
        device: as Ultralytics names it; None for its choice.
        cache: file of earlier answers; None for the user's.
        progress: called with the share done.

    Raises:
        ValueError: if the model knows none of the classes.
    """
    table, size = result.truth, imgsz or image_size_of(model)
    label_of = _labels(model.names, names, class_map or {}, table.classes)
    views = [view.name for view in VIEWS]
    asked = json.dumps([digest_of(weights), size, CONFIDENCE, [vars(view) for view in VIEWS]])
    kept = ViewCache(cache or cache_folder() / FILE, asked)
    files = [locate(name) for name in table.images]
    there = [number for number, file in enumerate(files) if file is not None and Path(file).is_file()]
    digests = {number: digest_of(Path(str(files[number]))) for number in there}
    known = kept.find(set(digests.values()))
    seen = {number: known[digest] for number, digest in digests.items() if digest in known}
    before, began = len(seen), time.monotonic()
    new = [number for number in there if number not in seen]
    options: dict[str, Any] = {} if device is None else {"device": device}
    for start in range(0, len(new), BATCH):
        some = new[start : start + BATCH]
        answers = list(ask_views(model, [str(files[number]) for number in some], size, **options))
        found = {number: boxes for number, boxes in zip(some, answers, strict=True) if boxes is not None}
        if found:
            kept.keep([digests[number] for number in found], list(found.values()))
        seen |= found
        progress((start + len(some)) / len(new), f"Views: {start + len(some):,} of {len(new):,} images")
    unread = [table.images[number] for number in range(len(files)) if number not in seen]
    say_left_out("images have no views", "they are no pictures that can be read", unread)
    scale = _units(result, files, seen, sizes)
    tables = tuple(_table(seen, view, label_of, scale, table) for view in range(len(views)))
    return AskedViews(tuple(views), tables, len(seen), before, time.monotonic() - began)


def _labels(
    own: Mapping[int, str], names: Sequence[str] | None, class_map: Mapping[str, str], classes: Sequence[str]
) -> NDArray[np.int64]:
    """Return the class number in the tables of every class of the model, -1 where the tables have none."""
    given = list(names) if names is not None else [own[number] for number in sorted(own)]
    place = {name: number for number, name in enumerate(classes)}
    label = np.array([place.get(class_map.get(name, name), -1) for name in given], dtype=np.int64)
    if not (label >= 0).any():
        raise ValueError(
            f"the model of the views knows {', '.join(map(repr, given[:5]))}, and none of these is a class of the data "
            f"({', '.join(map(repr, classes[:5]))}); is it the model that made the predictions? Else map the names"
        )
    return label


def _units(
    result: MiningResult, files: Sequence[Any], seen: Mapping[int, Boxes], sizes: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return per image what fractions are multiplied by to be in the unit of the boxes, ``(images, 2)``."""
    out = np.ones((len(files), 2))
    if are_fractions(result.predictions.xyxy, result.truth.xyxy):
        return out
    for number in seen:
        picture = image_size(files[number])
        labelled = None if sizes is None else (float(sizes[number, 0]), float(sizes[number, 1]))
        out[number] = np.array(picture) / pixel_scale(labelled, picture)
    return out


def _table(
    seen: Mapping[int, Boxes],
    view: int,
    label_of: NDArray[np.int64],
    unit: NDArray[np.float64],
    like: Detections,
) -> Detections:
    numbers = sorted(seen)
    rows = [seen[number][view] for number in numbers]
    found = np.concatenate([*rows, np.zeros((0, 6), dtype=np.float32)]).astype(np.float64)
    image = np.repeat(np.array(numbers, dtype=np.int64), [len(boxes) for boxes in rows])
    number = found[:, 5].astype(np.int64)
    label = np.where(number < len(label_of), label_of[np.minimum(number, len(label_of) - 1)], -1)
    ours = label >= 0
    boxes = (found[:, :4] * np.tile(unit[image], 2))[ours]
    return Detections(image[ours], boxes, label[ours], found[ours, 4], like.images, like.classes)
