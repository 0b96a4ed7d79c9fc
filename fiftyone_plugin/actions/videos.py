"""Mine videos without ground truth: what a model said of their frames is tracked, and frames worth a review are kept.

Images and videos share no dataset, so the frames become one of their own, decoded from the videos, without loss.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import fiftyone as fo
import numpy as np

from hnm_core.io.names import unique_stem
from hnm_core.io.progress import Progress, part_of
from hnm_core.live.examples import LEAST_CONFIDENCE
from hnm_core.live.pieces import IMAGES, pieces_of
from hnm_core.live.sources import VIDEO, Clip
from hnm_core.live.tracks import Frame
from hnm_core.settings import WatchSettings

from ..settings import RunSettings
from ..store import access, schema
from ..store.lock import lease
from . import watched

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

    from hnm_core.live import Verifier
    from hnm_core.live.watched import Watched

__all__ = ["check", "dataset_name", "fractions", "frame_fields", "keep_frames"]


def dataset_name(samples: SampleCollection, run_key: str) -> str:
    """Return the name of the dataset of frames that a run makes."""
    return f"{access.root(samples).name}-{run_key}"


def frame_fields(samples: SampleCollection) -> list[str]:
    """Return the names of the fields of type Detections that frames have."""
    return list(samples.get_frame_field_schema(ftype=fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections) or ())


def check(samples: SampleCollection, pred_field: str, run_key: str) -> None:
    """Refuse videos whose frames cannot be mined.

    Raises:
        ValueError: naming what was found, and what is needed.
    """
    if access.is_generated(samples):
        raise ValueError("this view shows clips or frames: mine the dataset, or a view of whole videos")
    fields = frame_fields(samples)
    if pred_field not in fields:
        raise ValueError(
            f"frames have no field {pred_field!r} of Detections; those they have: {', '.join(fields) or 'none'}"
        )
    name = dataset_name(samples, run_key)
    watched.check_name(name, watched.folder_of(name))


def keep_frames(
    samples: SampleCollection,
    settings: RunSettings,
    how: WatchSettings,
    verifier: Verifier | None,
    progress: Progress,
) -> tuple[fo.Dataset, Watched]:
    """Track what a model said of videos, keep the frames worth a review, and make a dataset of them.

    Interrupted, it goes on where it was when it is called again. The videos' dataset is not written.

    Args:
        samples: a dataset or a view of videos.
        settings: those of the run.
        how: what is tracked, listed and kept.
        verifier: ranks by how likely a detection is an error; None to rank by confidence.
        progress: called with the share done, in [0, 1], and a label.

    Returns:
        The dataset of frames, without a run yet, and what was found, in numbers.

    Raises:
        ValueError: if nothing can be read, or another run has made other frames under this name.
        ImportError: if Ultralytics or lap is missing.
    """
    from hnm_core.live.watch import watch

    check(samples, settings.pred_field, settings.run_key)
    ids, files, lengths = samples.values(["id", "filepath", "metadata.total_frame_count"])
    if not ids:
        raise ValueError("the view has no samples: clear its filters, or choose another")
    stored = _Stored(samples, settings.pred_field)
    times = Counter(Path(file).stem for file in files)
    stems = [
        unique_stem(Path(f).stem, i) if times[Path(f).stem] > 1 else Path(f).stem
        for i, f in zip(ids, files, strict=True)
    ]
    clips = [Clip(*row) for row in zip(stems, files, [VIDEO] * len(ids), [()] * len(ids), lengths, strict=True)]
    stored.sample_of = dict(zip(stems, ids, strict=True))
    name = dataset_name(samples, settings.run_key)
    folder = watched.folder_of(name)
    try:
        found = watch(
            f"videos of dataset {access.root(samples).name}",
            SimpleNamespace(names=dict(enumerate(stored.names))),
            folder,
            settings=how,
            verifier=verifier,
            model_digest=stored.digest(ids),
            clips=clips,
            known=stored.boxes,
            progress=part_of(progress, 0.0, 0.9),
        )
    except (ValueError, FileExistsError) as error:
        raise ValueError(str(error).replace("another --output", "another run_key")) from None
    videos = dict(zip(stems, zip(ids, files, strict=True), strict=True))
    return _make(samples, folder.resolve(), name, settings.pred_field, videos, stored.names), found


class _Stored:
    """What a model said of the frames of videos, as FiftyOne has it: one video at a time."""

    def __init__(self, samples: SampleCollection, field: str) -> None:
        self._samples, self._field = samples, f"frames.{field}.detections"
        self.sample_of: Mapping[str, str] = {}
        self.names = sorted(map(str, samples.distinct(f"{self._field}.label")))
        if not self.names:
            raise ValueError(f"field {field!r} of the frames has no predictions: run a model on them first")
        self._number = {name: number for number, name in enumerate(self.names)}
        self._clip, self._of = "", dict[int, Any]()

    def digest(self, ids: Sequence[str]) -> str:
        """Return what changes whenever other videos or other predictions are read."""
        last = self._samples.bounds("frames.last_modified_at")
        return hashlib.sha256(json.dumps([self._field, list(ids), self.names, *map(str, last)]).encode()).hexdigest()

    def boxes(self, clip: Clip, frame: Frame) -> Any:
        """Return the boxes of a frame from confidence .05, in pixels; frames count from 1 here and in FiftyOne."""
        from hnm_core.live.tracking import boxes_of

        if clip.name != self._clip:
            self._clip, self._of = clip.name, self._read(self.sample_of[clip.name])
        height, width = frame.pixels.shape[:2]
        table = self._of.get(frame.number, np.zeros((0, 6)))
        return boxes_of(table * [width, height, width, height, 1.0, 1.0], (height, width))

    def _read(self, sample_id: str) -> dict[int, Any]:
        """Return the boxes of every frame of a video that has any: corners as fractions, confidence, class."""
        names = ("label", "confidence", "bounding_box")
        one = self._samples.select([sample_id])
        columns = one.values(["frames.frame_number", *(f"{self._field}.{name}" for name in names)])
        found = {}
        for number, labels, scores, boxes in zip(*(column[0] or () for column in columns), strict=True):
            if not labels:
                continue
            if None in scores:
                raise ValueError(
                    f"frame {number} of video {sample_id} has boxes without confidence, which mining needs on each "
                    f"prediction: is this field the ground truth?"
                )
            xywh = np.array(boxes, dtype=np.float64).reshape(-1, 4)
            label = [self._number[str(name)] for name in labels]
            table = np.column_stack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:], scores, label])
            found[number] = table[table[:, 4] >= LEAST_CONFIDENCE]
        return found


def _make(
    samples: SampleCollection,
    folder: Path,
    name: str,
    field: str,
    videos: Mapping[str, tuple[str, str]],
    names: Sequence[str],
) -> fo.Dataset:
    """Make the dataset of frames, or add those that it lacks."""
    watched.check_name(name, folder)
    dataset = fo.load_dataset(name) if fo.dataset_exists(name) else fo.Dataset(name)
    dataset.persistent, dataset.default_classes = access.root(samples).persistent, list(names)
    dataset.info[watched.MADE_BY] = str(folder)
    dataset.save()
    with lease(dataset, f"field:{field}", operator="mine_without_truth") as held:
        told = {"video": fo.StringField, "video_id": fo.StringField, "frame": fo.IntField, "seconds": fo.FloatField}
        schema.declare(held, dataset, {field: (fo.Detections, ""), **{of: (kind, "") for of, kind in told.items()}})
        access.refresh(dataset)
        there = set(dataset.values("filepath"))
        new = [sample for sample in _samples(folder, field, videos) if sample.filepath not in there]
        held.check()
        dataset.add_samples(new, progress=False)
    access.refresh(dataset)
    return dataset


def _samples(folder: Path, field: str, videos: Mapping[str, tuple[str, str]]) -> Iterator[fo.Sample]:
    for piece in pieces_of(folder):
        video_id, video = videos[piece["clip"]]
        for frame in piece["frames"]:
            boxes = [
                fo.Detection(label=box["class"], bounding_box=fractions(box, frame), confidence=box["confidence"])
                for box in frame["predictions"]
            ]
            told = {"video": video, "video_id": video_id, "frame": frame["number"], "seconds": frame["seconds"]}
            yield fo.Sample(str(folder / IMAGES / frame["image"]), **{field: fo.Detections(detections=boxes)}, **told)


def fractions(box: Mapping[str, Any], frame: Mapping[str, Any]) -> list[float]:
    """Return ``x y width height`` of a box as fractions of its frame."""
    (x0, y0, x1, y1), (width, height) = box["bbox"], frame["size"]
    return [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]
