"""Mine videos without ground truth: what a model said of their frames is tracked, and frames worth a review are kept.

Images and videos share no dataset, so the frames become one of their own, decoded from the videos, without loss.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import fiftyone as fo
import numpy as np

from hnm_core.io.names import unique_stem
from hnm_core.io.progress import Progress, part_of
from hnm_core.live.examples import LEAST_CONFIDENCE
from hnm_core.live.sources import VIDEO, Clip
from hnm_core.live.tracks import Frame
from hnm_core.settings import WatchSettings

from ..settings import RunSettings
from ..store import access
from . import frames_dataset, watched

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

    from hnm_core.live import Verifier
    from hnm_core.live.watched import Watched

__all__ = ["check", "dataset_name", "frame_fields", "keep_frames"]


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

    Interrupted, it goes on where it was when it is called again; if the predictions were changed since, it begins anew.
    The videos' dataset is not written.

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
    folder, digest = watched.folder_of(name), stored.digest(ids)
    try:
        frames_dataset.start_over(name, digest)
        found = watch(
            f"videos of dataset {access.root(samples).name}",
            SimpleNamespace(names=dict(enumerate(stored.names))),
            folder,
            settings=how,
            verifier=verifier,
            model_digest=digest,
            clips=clips,
            known=stored.boxes,
            progress=part_of(progress, 0.0, 0.9),
        )
    except (ValueError, FileExistsError) as error:
        raise ValueError(str(error).replace("another --output", "another run_key")) from None
    videos = {stem: {"video": file, "video_id": i} for stem, i, file in zip(stems, ids, files, strict=True)}
    kinds = frames_dataset.FIELDS
    made, _ = watched.add_frames(
        *(folder, name, settings.pred_field, stored.names, kinds, lambda piece: videos[piece["clip"]]),
        persistent=access.root(samples).persistent,
        operator="mine_without_truth",
    )
    frames_dataset.mark(made, access.root(samples).name, settings.pred_field)
    return made, found


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
            if not (np.isfinite(xywh).all() and all(0.0 <= score <= 1.0 for score in scores)):
                raise ValueError(
                    f"frame {number} of video {sample_id} has a box that is not finite, or a confidence outside "
                    f"[0, 1]: correct or delete it"
                )
            label = [self._number[str(name)] for name in labels]
            table = np.column_stack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:], scores, label])
            found[number] = table[table[:, 4] >= LEAST_CONFIDENCE]
        return found
