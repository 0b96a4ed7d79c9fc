"""Find the samples that nobody labelled and on which the model fires, to add them to an export as background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from fiftyone import ViewField as F

from hnm_core import Detections
from hnm_core.boxes import xywh_to_xyxy
from hnm_core.export import ExportImage
from hnm_core.export.background import look_alikes

from ..settings import RunSettings
from ..store import views

if TYPE_CHECKING:
    import fiftyone as fo


@dataclass(frozen=True)
class Firing:
    """The confident detections of a sample that nobody labelled.

    Attributes:
        scores: their confidences.
        place: 1 if the surest one shows what a surer one in another sample shows, else 0.
    """

    scores: Sequence[float]
    place: int = 0


def firing(dataset: fo.Dataset, settings: RunSettings, tag: str | None = None) -> dict[str, Firing]:
    """Return what fires in each train sample that is neither labelled nor mined, where anything does.

    Args:
        dataset: the dataset that was mined.
        settings: those of the run.
        tag: only samples with this tag; None for all.

    Raises:
        ValueError: if no sample of the dataset has the tag.
    """
    samples = views.of_split(views.images_of(dataset), "train", settings.split_field)
    if tag:
        if not views.images_of(dataset).match_tags(tag).limit(1).count():
            raise ValueError(f"no sample has the tag {tag!r}: background_tag names those known to hold no object")
        samples = samples.match_tags(tag)
    silent = samples.match(~F(settings.gt_field).exists() & ~F(f"{settings.run_key}_count").exists())
    field = f"{settings.pred_field}.detections"
    columns = silent.values(["id", "filepath", f"{field}.label", f"{field}.confidence", f"{field}.bounding_box"])
    engine = settings.engine
    found: dict[str, list[float]] = {}
    surest: list[tuple[str, float, Sequence[float]]] = []
    files: dict[str, Path] = {}
    for sample_id, file, labels, scores, boxes in zip(*columns, strict=True):
        named = [
            (settings.class_map.get(name, name), score, box)
            for name, score, box in zip(labels or (), scores or (), boxes or (), strict=True)
        ]
        sure = [
            (name, score, box)
            for name, score, box in named
            if score is not None and score >= engine.class_confidence.get(name, engine.confidence_threshold)
            if not settings.classes or name in settings.classes
        ]
        if sure:
            found[sample_id], files[sample_id] = [score for _, score, _ in sure], Path(file)
            surest.append(max(sure, key=lambda each: each[1]))
    places = _places(surest, files)
    return {sample_id: Firing(scores, place) for (sample_id, scores), place in zip(found.items(), places, strict=True)}


def _places(surest: Sequence[tuple[str, float, Sequence[float]]], files: Mapping[str, Path]) -> list[int]:
    """Return 1 for every sample whose surest detection looks like a surer one in another, else 0."""
    number: dict[str, int] = {}
    label = np.array([number.setdefault(name, len(number)) for name, _, _ in surest], dtype=np.int64)
    boxes = np.nan_to_num(np.array([box for _, _, box in surest], dtype=np.float64).reshape(-1, 4))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 0.0)  # nobody has checked the boxes of these samples
    table = Detections(
        image=np.arange(len(surest)),
        xyxy=xywh_to_xyxy(boxes),
        label=label,
        score=np.clip([score for _, score, _ in surest], 0.0, 1.0),
        images=tuple(files),
        classes=tuple(number),
    )
    alike = look_alikes(table, np.arange(len(surest)), lambda name: files[name] if files[name].is_file() else None)
    return alike.astype(int).tolist()


def as_added(image: ExportImage, found: Mapping[str, Firing]) -> ExportImage:
    """Return an unlabelled image as background to add: all of its detections count as background errors."""
    fires = found.get(image.sample_id)
    if fires is None:
        return image
    scores = fires.scores
    errors = {"background": len(scores)}
    return replace(image, added=True, score=max(scores), hard_negatives=len(scores), errors=errors, place=fires.place)
