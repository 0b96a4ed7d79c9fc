"""The dataset of frames that a run on videos has made: it goes with its run, unless somebody uses it for more."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import fiftyone as fo

from hnm_core.live.pieces import RECORD, read_record
from hnm_core.live.watch_folder import remove_watch
from hnm_core.report.lines import how_many

from ..review.ledger import Ledger
from ..runs import records
from ..store import access
from . import watched

__all__ = ["FIELDS", "is_made", "mark", "remove", "start_over", "why_kept"]

MADE_OF = "hnm_videos"
"""Key in the ``info`` of a dataset of frames: the ``dataset`` of videos, and the ``field`` of predictions."""

FIELDS = {"video": fo.StringField, "video_id": fo.StringField}
"""Fields of a sample that say which video it comes from: their types."""


def mark(frames: fo.Dataset, videos: str, field: str) -> None:
    """Write down that a dataset was made of the frames of videos, and of which."""
    frames.info[MADE_OF] = {"dataset": videos, "field": field}
    frames.save()


def is_made(frames: fo.Dataset) -> bool:
    """Return whether a run on videos has made a dataset, which was not renamed since."""
    folder = Path(frames.info.get(watched.MADE_BY, ""))
    ours = folder.name == frames.name and folder == watched.folder_of(folder.name).resolve()
    return ours and isinstance(frames.info.get(MADE_OF), dict)


def why_kept(frames: fo.Dataset) -> str:
    """Return why a dataset that a run on videos has made stays after the run; "" if nothing else uses it."""
    made, folder = frames.info[MADE_OF], Path(frames.info[watched.MADE_BY])
    if not fo.dataset_exists(made["dataset"]):
        return f"its videos' dataset {made['dataset']!r} is gone"
    if runs := {*records.all_keys(frames), *frames.list_evaluations(), *frames.list_brain_runs()}:
        return f"it has other runs ({_some(runs)})"
    own = {*fo.Sample("any").field_names, *FIELDS, "frame", "seconds", made["field"]}
    if fields := set(frames.get_field_schema()) - own:
        return f"it has other fields ({_some(fields)})"
    if reviews := Ledger(frames).entries():
        return f"it has {how_many(len(reviews), 'review')}"
    if tags := {*frames.distinct("tags"), *frames.distinct(f"{made['field']}.detections.tags")}:
        return f"it has tags ({_some(tags)})"
    if views := {*frames.list_saved_views(), *frames.list_workspaces()}:
        return f"it has saved views or workspaces ({_some(views)})"
    if others := access.users_of_files(folder) - {frames.name}:
        return f"its pictures are used in other datasets ({_some(others)})"
    if any(Path(path).parent.parent != folder for path in frames.values("filepath")):
        return "it has other pictures too"
    return ""


def remove(frames: fo.Dataset) -> str:
    """Remove a dataset of frames that nothing uses, with its pictures, and return the name of that of the videos."""
    folder, videos = Path(frames.info[watched.MADE_BY]), str(frames.info[MADE_OF]["dataset"])
    frames.delete()
    with suppress(OSError, ValueError):  # somebody is making it anew, or has removed a part of it
        remove_watch(folder)
    return videos


def start_over(name: str, predictions: str) -> None:
    """Remove what was made of other predictions than there are now, if no run is left of it and nothing else uses it.

    Args:
        name: of the dataset of frames, which need not exist.
        predictions: digest of those that there are now.

    Raises:
        ValueError: if another process is making it.
    """
    folder = watched.folder_of(name)
    if not (folder / RECORD).is_file() or read_record(folder).get("model") == predictions:
        return
    if not fo.dataset_exists(name):
        remove_watch(folder)
    elif is_made(frames := fo.load_dataset(name)) and not why_kept(frames):
        remove(frames)


def _some(names: set[str]) -> str:
    first = sorted(names)[:3]
    return ", ".join(first) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
