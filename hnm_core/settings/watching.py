"""The settings of watching where there is no ground truth: what is tracked, listed and kept for review."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .mining import MiningSettings
from .options import Options, option, options
from .sheets import TWIN_DISTANCE

__all__ = ["PICTURES", "TRACKERS", "WatchSettings"]

TRACKERS = {"bytetrack": "fast, for a camera that stands", "botsort": "follows a camera that moves, slower"}
"""Ultralytics' trackers that can be asked for; the model's own boxes are tracked, and kept as they are."""

PICTURES = {"sequence": "frames of one video, in the order of their names", "stills": "each by itself, not tracked"}
"""What the pictures of a folder are."""

TRACKING, KEPT, PREDICTING = "tracks", "what is kept", "images"

_OF_MINING = {each.name: each for each in options(MiningSettings)}


@dataclass(frozen=True)
class WatchSettings(Options):
    """What is tracked, listed and kept while a model watches. ``WatchSettings()`` is valid.

    Example:
        >>> WatchSettings(tracker="sort")
        Traceback (most recent call last):
        ValueError: tracker must be one of bytetrack, botsort, got 'sort'
    """

    confidence_threshold: float = option(
        _OF_MINING["confidence_threshold"].default,
        "A track whose highest confidence reaches this is listed as confident; one below, down to .25, as uncertain",
        label="Confidence threshold",
        low=0.25,
        high=1,
        group=TRACKING,
        main=True,
    )
    class_confidence: Mapping[str, float] = option(
        {},
        "Confidence thresholds of classes that differ from it",
        label="Class confidence",
        low=0.25,
        high=1,
        group=TRACKING,
    )
    tracker: str = option(
        "bytetrack", "Which tracker follows the boxes", label="Tracker", choices=TRACKERS, group=TRACKING
    )
    longest_gap: int = option(
        5,
        "A track that is lost for so long at most has a gap there: an object that the model missed; 0: list none",
        label="Longest gap",
        unit="frames",
        low=0,
        high=30,
        group=TRACKING,
    )
    pictures: str = option(
        "sequence", "What the pictures of a folder are", label="Pictures", choices=PICTURES, group=TRACKING
    )
    frames_per_track: int = option(
        3, "Keep this many frames of a track in a list, at most", label="Frames per track", low=1, group=KEPT
    )
    frames_per_minute: int = option(
        20,
        "Keep this many frames of a minute for a list, at most, those of the likeliest errors; stills have no limit",
        label="Frames per minute",
        low=1,
        group=KEPT,
    )
    alike: float = option(
        TWIN_DISTANCE,
        "Leave out what looks like a likelier one of its list and class: crops that differ by at most this cosine "
        "distance; 0: leave nothing out",
        label="Alike",
        low=0,
        high=1,
        group=KEPT,
    )
    imgsz: int = option(
        0,
        "Longer side to which frames are scaled; 0: as the checkpoint was trained",
        label="Image size",
        unit="pixels",
        low=0,
        group=PREDICTING,
    )
    batch: int = option(
        16, "Frames of a file that are predicted at once; of a camera it is one", label="Batch", low=1, group=PREDICTING
    )
    device: Any = option(
        None,
        "Device: cpu, or the number of a GPU; default: GPU if available, else CPU",
        label="Device",
        kind="any",
        group=PREDICTING,
    )

    def surest(self, name: str) -> float:
        """Return the confidence from which a detection of a class is confident."""
        return self.class_confidence.get(name, self.confidence_threshold)
