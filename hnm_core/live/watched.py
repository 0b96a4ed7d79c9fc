"""What a watch has found, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..report.lines import how_many
from .examples import LEAST_CONFIDENCE
from .tracks import LISTS
from .unlabelled import RANKED_BY, SAID
from .watch_folder import WatchFolder

__all__ = ["Watched", "summary"]


@dataclass(frozen=True)
class Watched:
    """What a watch has found so far, earlier calls included.

    Attributes:
        folder: what was written.
        frames: number of frames that were looked at.
        seconds: of video.
        detections: number of boxes from confidence .05.
        tracks: number of tracks, those of one box included.
        lists: number of ``proposals`` and of ``frames`` of each list.
        alike: proposals left out since they look like likelier ones.
        over_rate: proposals left out since their list had enough frames of that minute.
        ranked_by: ``verifier`` or ``confidence``.
        stopped: whether it was stopped before the source had ended.
        cut_off: whether a video ended too early, or a video or picture could not be read.
        notes: sentences on what was wrong.
    """

    folder: Path
    frames: int
    seconds: float
    detections: int
    tracks: int
    lists: dict[str, dict[str, int]]
    alike: int
    over_rate: int
    ranked_by: str
    stopped: bool
    cut_off: bool
    notes: tuple[str, ...]

    @property
    def left_out(self) -> str:
        """What was not kept, in words."""
        look = "looks" if self.alike == 1 else "look"
        return f"left out: {self.alike:,} that {look} alike, {self.over_rate:,} above the frames per minute"

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers, JSON-clean."""
        return {**vars(self), "folder": str(self.folder), "notes": list(self.notes), "said": SAID}

    def __str__(self) -> str:
        """Return the numbers as text."""
        by = "the verifier" if self.ranked_by == RANKED_BY[0] else "lowest confidence, without a verifier"
        lines = [
            f"{how_many(self.frames, 'frame')} ({self.seconds:,.1f} s), {how_many(self.detections, 'detection')} from "
            f"confidence {LEAST_CONFIDENCE:g}, {how_many(self.tracks, 'track')}",
            *(f"{of:10} {n['proposals']:>6,} in {how_many(n['frames'], 'frame')}" for of, n in self.lists.items()),
            f"ranked by {by}; {self.left_out}",
            SAID,
        ]
        return "\n".join([*lines, *self.notes])


def summary(folder: WatchFolder, ranked_by: str, stopped: bool, broken: bool, notes: list[str]) -> Watched:
    """Return what a folder holds, in numbers."""
    counts: Counter[str] = Counter()
    lists = {of: {"proposals": 0, "frames": 0} for of in LISTS}
    seconds, cut_off = 0.0, broken
    for piece in folder.pieces():
        counts.update(piece["counts"])
        seconds += piece["seconds"]
        notes += piece["notes"]
        cut_off |= piece["cut_off"]
        for frame in piece["frames"]:
            for of, error in LISTS.items():
                number = sum(each["error"] == error for each in frame["proposals"])
                lists[of]["proposals"] += number
                lists[of]["frames"] += bool(number)
    if not counts["detections"]:
        notes.append(
            f"the model saw nothing in {how_many(counts['frames'], 'frame')}, not even at confidence "
            f"{LEAST_CONFIDENCE:g}: is it the right one for them?"
        )
    return Watched(
        *(folder.path, counts["frames"], seconds, counts["detections"], counts["tracks"], lists),
        *(counts["alike"], counts["over_rate"], ranked_by, stopped, cut_off, tuple(notes)),
    )
