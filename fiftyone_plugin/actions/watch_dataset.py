"""The FiftyOne dataset of ``hnm watch``: its frames, a run that lists what was found, and a saved view per list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
from fiftyone import ViewField as F

from hnm_core.live.examples import LEAST_CONFIDENCE
from hnm_core.live.pieces import read_record
from hnm_core.live.tracks import GAP, LISTS
from hnm_core.live.watched import Watched
from hnm_core.settings import WatchSettings

from ..runs import lifecycle, records
from ..settings import RunSettings, missed_field
from ..store import access, model_record
from ..store.lock import lease
from . import video_proposals, watched

__all__ = ["FIELD", "KEY", "check", "load"]

FIELD, KEY = "predictions", "watch"
"""The field of the model's boxes, and the key of the run."""

COMMAND = "hnm watch"


def check(name: str, folder: Path, settings: WatchSettings) -> None:
    """Refuse a dataset that was not made of this folder, or whose run is not ours, before anything is watched.

    Raises:
        ValueError: saying what is in the way.
    """
    watched.check_name(name, folder)
    if not fo.dataset_exists(name):
        return
    dataset = fo.load_dataset(name)
    run = next((each for each in records.listed(dataset) if each.key == KEY), None)
    if run is not None and run.config is not None and not run.settings.without_truth:
        raise ValueError(f"run {KEY!r} of dataset {name!r} was mined with ground truth: rename it, then watch again")
    lifecycle.check_new(dataset, _settings(settings, "confidence"), overwrite=True)


def load(found: Watched, name: str, settings: WatchSettings, model: Any, weights: Path) -> int:
    """Make the dataset, or add the frames that it lacks, and write the run ``watch`` anew, with all reviews so far.

    The model's boxes are in ``predictions``. The run lists proposals like one of ``mine_without_truth``: boxes that are
    listed have ``watch_error`` (``confident`` or ``uncertain``) and ``watch_difficulty``; boxes of gaps, which the
    model did not see, are in ``watch_missed``. What is listed has its ``track``. A frame has no ground truth: it
    counts as unlabelled until somebody labels it. Three saved views show the lists, likeliest first.

    Args:
        found: what was watched.
        name: of the dataset.
        settings: how it was watched.
        model: the model, for the record of whose boxes these are.
        weights: its file.

    Returns:
        The number of frames that were added.

    Raises:
        ValueError: if the folder holds no watch, the dataset was made of something else, or its boxes were changed.
    """
    run = _settings(settings, found.ranked_by)
    dataset, added = watched.add_frames(
        *(found.folder, name, FIELD, read_record(found.folder)["names"]),
        *({"source": fo.StringField}, lambda piece: {"source": piece["clip"]}),
        persistent=True,
        operator=COMMAND,
    )
    with lease(dataset, f"field:{FIELD}", operator=COMMAND) as held:
        record = model_record.record_of(model, weights, LEAST_CONFIDENCE, settings.imgsz or None)
        model_record.declare(held, dataset, FIELD, [{**record, "samples": len(dataset)}])
    access.refresh(dataset)
    if not len(dataset):
        return added
    video_proposals.record(dataset, run, found, overwrite=True, operator=COMMAND)
    for of, error in LISTS.items():
        field = run.gt_field if error == GAP else FIELD
        listed = dataset.filter_labels(field, F(f"{KEY}_error") == error)
        likeliest = F(f"{field}.detections").map(F(f"{KEY}_difficulty")).max()
        dataset.save_view(f"{KEY}_{of}", listed.sort_by(likeliest, reverse=True), overwrite=True)
    return added


def _settings(settings: WatchSettings, ranked_by: str) -> RunSettings:
    engine = {name: getattr(settings, name) for name in ("confidence_threshold", "class_confidence")}
    named = {"pred_field": FIELD, "gt_field": missed_field(KEY), "run_key": KEY, "ranked_by": ranked_by}
    return RunSettings.from_params({**named, **engine})
