"""Follow boxes from frame to frame with Ultralytics' own trackers, fed with the raw boxes of a model.

``model.track`` hides boxes that belong to no track, and smooths the others. Here the tracker only says which boxes
belong together: every box stays what the model said. Needs Ultralytics and lap.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_TRACK", "Alone", "Followed", "Tracker", "UltralyticsTracker"]

NO_TRACK = -1


class Followed(NamedTuple):
    """Which boxes of a frame belong to which track.

    Attributes:
        track: ``(n,)`` int64, number of the track of each box; :data:`NO_TRACK` for none.
        alive: numbers of all tracks that a later box may still belong to.
    """

    track: NDArray[np.int64]
    alive: frozenset[int]


class Tracker(Protocol):
    """Says which boxes of frames that follow each other belong together."""

    def follow(self, boxes: Any, pixels: NDArray[np.uint8]) -> Followed:
        """Return the tracks of the boxes of the next frame: Ultralytics' ``Boxes`` in numpy, and the frame in BGR."""


class Alone:
    """For stills: every box is a track of its own."""

    def follow(self, boxes: Any, pixels: NDArray[np.uint8]) -> Followed:
        """Return no tracks."""
        return Followed(np.full(len(boxes), NO_TRACK, dtype=np.int64), frozenset())


class UltralyticsTracker:
    """ByteTrack or BoT-SORT with Ultralytics' own settings.

    Args:
        name: ``bytetrack`` or ``botsort``.

    Raises:
        ImportError: if Ultralytics or lap is missing. Ultralytics would try to install lap while it runs.
    """

    def __init__(self, name: str = "bytetrack") -> None:
        if find_spec("lap") is None:
            raise ImportError("tracking needs lap; install it with: pip install lap")
        try:
            from ultralytics.trackers.track import TRACKER_MAP
            from ultralytics.utils import YAML, IterableSimpleNamespace
            from ultralytics.utils.checks import check_yaml
        except ImportError:
            raise ImportError("tracking needs Ultralytics; install it with: pip install ultralytics") from None
        settings = IterableSimpleNamespace(**YAML.load(check_yaml(f"{name}.yaml")))
        self._tracker = TRACKER_MAP[settings.tracker_type](args=settings)

    def follow(self, boxes: Any, pixels: NDArray[np.uint8]) -> Followed:
        """Return the tracks of the boxes of the next frame.

        A track is known from its first box on, where the tracker itself waits for a second one.
        """
        tracker = self._tracker
        tracker.update(boxes, pixels)
        track = np.full(len(boxes), NO_TRACK, dtype=np.int64)
        for each in tracker.tracked_stracks:
            if each.frame_id == tracker.frame_id:
                track[int(each.idx)] = int(each.track_id)
        known = (*tracker.tracked_stracks, *tracker.lost_stracks)
        return Followed(track, frozenset(int(each.track_id) for each in known))


def boxes_of(table: NDArray[np.float64], shape: tuple[int, int]) -> Any:
    """Return boxes that are known as Ultralytics' ``Boxes`` in numpy, as a tracker takes them.

    Args:
        table: ``(n, 6)`` ``x0 y0 x1 y1`` in pixels, confidence, number of the class.
        shape: height and width of the frame.
    """
    from ultralytics.engine.results import Boxes

    return Boxes(np.asarray(table, dtype=np.float32).reshape(-1, 6), shape)
