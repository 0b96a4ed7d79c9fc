"""Judge tracks as they close: which detections may be errors, and where an object was missed between two of them.

Memory is bounded: a track keeps a few crops, spread evenly over it, and a few frames to show; what a closed track has
found waits for :meth:`Judge.take`. No model and no tracker is known here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..boxes import area
from ..evidence.appearance import cut_box
from ..labels.stats import expit
from ..settings.watching import WatchSettings
from ..taxonomy import PROPOSALS
from .quality import LEAST_UNCERTAIN
from .tracking import NO_TRACK, Followed
from .verifier import MARGIN, Verifier

__all__ = ["CONFIDENT", "GAP", "LISTS", "MOST_CROPS", "UNCERTAIN", "Frame", "FrameStore", "Judge", "Proposal", "Spread"]

CONFIDENT, UNCERTAIN, GAP = PROPOSALS
LISTS: Mapping[str, str] = {"confident": CONFIDENT, "uncertain": UNCERTAIN, "missed": GAP}
"""The three lists, and the error that each holds. They are never one: what is likely differs too much between them."""

MOST_CROPS = 16
"""Crops of a track that a verifier looks at, at most, spread evenly over it (chosen)."""

SEEN = 0.5
"""IoU from which a confident detection shows that the object of a gap was not missed, only lost by the tracker."""

Item = TypeVar("Item")
Box = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame.

    Attributes:
        number: its place, from 1.
        seconds: since the beginning.
        pixels: ``(height, width, 3)`` uint8, blue green red as detectors of Ultralytics take it.
        path: the file of a picture; None for a frame of a video.
    """

    number: int
    seconds: float
    pixels: NDArray[np.uint8]
    path: Any = None


class FrameStore(Protocol):
    """Keeps frames that may be shown; as often as a frame is held it must be dropped to be forgotten."""

    def hold(self, frame: Frame) -> None:
        """Keep a frame."""

    def drop(self, number: int) -> None:
        """Forget it, if nobody else holds it."""


class Proposal(NamedTuple):
    """Something to review.

    Attributes:
        error: ``confident``, ``uncertain`` or ``gap``.
        difficulty: how likely it is an error, for a gap: how likely an object was missed; in [0, 1].
        frame: number of the frame.
        track: number of the track.
        box: ``(4,)`` ``x0 y0 x1 y1`` in pixels; of a gap between those before and after.
        name: class.
        confidence: 0 for a gap.
        crop: ``(64, 64, 3)`` uint8.
    """

    error: str
    difficulty: float
    frame: int
    track: int
    box: Box
    name: str
    confidence: float
    crop: NDArray[np.uint8]


class Spread(Generic[Item]):
    """At most so many of a sequence of unknown length, spread over it: each step is one or two of the same length.

    Args:
        most: how many.
        drop: told of each item that is no longer kept.

    Example:
        >>> kept = Spread(3)
        >>> for number in range(100):
        ...     kept.offer(lambda: number)
        >>> kept.items
        [0, 64, 96]
    """

    def __init__(self, most: int, drop: Callable[[Item], None] = lambda item: None) -> None:
        self._kept: list[tuple[int, Item]] = []
        self._most, self._drop, self._seen, self._step = most, drop, 0, 1

    @property
    def items(self) -> list[Item]:
        """What is kept, in order."""
        return [item for _, item in self._kept]

    def offer(self, make: Callable[[], Item]) -> None:
        """Take the next one of the sequence, which is only made if it is wanted."""
        at, self._seen = self._seen, self._seen + 1
        while at % self._step == 0:
            if len(self._kept) < self._most:
                self._kept.append((at, make()))
                return
            between = next((place for place, (of, _) in enumerate(self._kept) if of % (2 * self._step)), None)
            if between is None:
                self._step *= 2
            else:
                self._drop(self._kept.pop(between)[1])

    def clear(self) -> None:
        """Drop everything, and begin again."""
        for item in self.items:
            self._drop(item)
        self._kept, self._seen, self._step = [], 0, 1


class _Shown(NamedTuple):
    """A box of a track that may be shown."""

    frame: int
    box: Box
    name: str
    confidence: float
    crop: NDArray[np.uint8]


@dataclass(eq=False)
class _Track:
    """What is kept of a track that is not closed."""

    number: int
    crops: Spread[tuple[NDArray[np.uint8], str, float]]
    shown: Spread[_Shown]
    gaps: Spread[_Shown]
    highest: float = 0.0
    sure: bool = False
    last: int = 0
    box: Box = field(default_factory=lambda: np.zeros(4))


class _Passed(NamedTuple):
    """A frame that has passed, in which a gap may turn out to be."""

    frame: Frame
    boxes: Box
    sure: NDArray[np.bool_]


class Judge:
    """Judges the tracks of frames that follow each other.

    Args:
        settings: what is listed.
        names: name of every class by its number.
        verifier: says how likely a detection is an error; None: the lower the highest confidence of its track.
        store: keeps the frames of proposals.
    """

    def __init__(
        self, settings: WatchSettings, names: Mapping[int, str], verifier: Verifier | None, store: FrameStore
    ) -> None:
        self.settings, self.names, self.verifier, self.store = settings, names, verifier, store
        self.tracks = 0
        self._open: dict[int, _Track] = {}
        self._found: list[Proposal] = []
        self._passed: deque[_Passed] = deque(maxlen=settings.longest_gap)

    def see(self, frame: Frame, boxes: Box, followed: Followed) -> None:
        """Take in the next frame.

        Args:
            frame: the frame.
            boxes: ``(n, 6)``: ``x0 y0 x1 y1`` in pixels, confidence, number of the class.
            followed: which track each belongs to; one of no track is a track of its own.
        """
        names = [self.names[int(label)] for label in boxes[:, 5].tolist()]
        sure = np.array([s >= self.settings.surest(n) for s, n in zip(boxes[:, 4].tolist(), names, strict=True)], bool)
        for at, track in enumerate(followed.track.tolist()):
            box, name, score = boxes[at, :4], names[at], float(boxes[at, 4])
            if track != NO_TRACK:
                if track not in self._open:
                    self._open[track] = self._new_track()
                self._add(self._open[track], frame, box, name, score, bool(sure[at]))
            elif score >= LEAST_UNCERTAIN:
                alone = self._new_track()
                self._add(alone, frame, box, name, score, bool(sure[at]))
                self._close(alone)
        for closed in sorted(self._open.keys() - followed.alive):
            self._close(self._open.pop(closed))
        if self.settings.longest_gap:
            self._passed.append(_Passed(frame, boxes, sure))

    def take(self) -> list[Proposal]:
        """Return what was found in tracks that have closed since; who takes a proposal drops its frame."""
        found, self._found = self._found, []
        return found

    def part(self) -> None:
        """Close every track: what follows shows something else."""
        for number in sorted(self._open):
            self._close(self._open.pop(number))
        self._passed.clear()

    def finish(self) -> list[Proposal]:
        """Close every track, and return what was found."""
        self.part()
        return self.take()

    @property
    def held(self) -> int:
        """How many items are kept: crops, frames to show and proposals."""
        tracks = self._open.values()
        return len(self._found) + sum(len(kept.items) for t in tracks for kept in (t.crops, t.shown, t.gaps))

    def _new_track(self) -> _Track:
        self.tracks += 1

        def forget(shown: _Shown) -> None:
            self.store.drop(shown.frame)

        most = self.settings.frames_per_track
        return _Track(self.tracks, Spread(MOST_CROPS), Spread(most, forget), Spread(most, forget))

    def _add(self, track: _Track, frame: Frame, box: Box, name: str, score: float, sure: bool) -> None:
        """Add the next box of a track; of one that is confident somewhere, only confident boxes are shown."""
        if track.last and 0 < frame.number - track.last - 1 <= self.settings.longest_gap:
            self._gap(track, frame.number, box, name)
        if sure and not track.sure:
            track.shown.clear()
        track.sure, track.highest = track.sure or sure, max(track.highest, score)
        track.last, track.box = frame.number, box
        if self.verifier is not None:
            track.crops.offer(lambda: (_crop(frame, box, MARGIN), name, score))
        if sure or (not track.sure and score >= LEAST_UNCERTAIN):
            track.shown.offer(lambda: self._show(frame, box, name, score))

    def _show(self, frame: Frame, box: Box, name: str, score: float) -> _Shown:
        self.store.hold(frame)
        return _Shown(frame.number, box, name, score, _crop(frame, box))

    def _gap(self, track: _Track, number: int, box: Box, name: str) -> None:
        """Look into the middle of a gap, where a box lies between those before and after."""
        middle = (track.last + number) // 2
        passed = next((each for each in self._passed if each.frame.number == middle), None)
        if passed is None:
            return
        share = (middle - track.last) / (number - track.last)
        between = (1.0 - share) * track.box + share * box
        seen = passed.boxes[passed.sure, :4]
        if (_iou(between, seen) >= SEEN).any():
            return
        track.gaps.offer(lambda: self._show(passed.frame, between, name, 0.0))

    def _close(self, track: _Track) -> None:
        if track.highest < LEAST_UNCERTAIN:
            track.gaps.clear()
            track.shown.clear()
            return
        likely = 1.0 - track.highest
        if self.verifier is not None:
            crops, names, scores = zip(*track.crops.items, strict=True)
            odds = self.verifier.log_odds(np.stack(crops), names, np.array(scores))
            likely = float(expit(odds.mean()))
        error = CONFIDENT if track.sure else UNCERTAIN
        self._found += [Proposal(error, likely, s.frame, track.number, *s[1:]) for s in track.shown.items]
        self._found += [Proposal(GAP, 1.0 - likely, s.frame, track.number, *s[1:]) for s in track.gaps.items]


def _iou(box: Box, others: Box) -> Box:
    """Return the IoU of a box with each of the others, 0 where one has no size."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.prod(np.clip(sides, 0.0, None), axis=1)
    union = area(box[None]) + area(others) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def _crop(frame: Frame, box: Box, *margin: float) -> NDArray[np.uint8]:
    return cut_box(frame.pixels, box, *margin)[:, :, ::-1]
