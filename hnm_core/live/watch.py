"""Watch videos, cameras and pictures with a model, where there is no ground truth, and keep what is worth a review.

What is found are proposals, no verdicts: nobody knows yet whether they are errors.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..io.progress import Progress, silent
from ..settings.watching import WatchSettings
from .choosing import Chooser, Chosen
from .examples import LEAST_CONFIDENCE
from .pieces import Piece
from .sources import LIVE, STILLS, Clip, UnreadableSourceError, find_clips
from .tracking import Alone, Tracker, UltralyticsTracker
from .tracks import Frame, Judge, Proposal
from .unlabelled import RANKED_BY
from .verifier import Verifier
from .watch_folder import WatchFolder, full_disk_said, proposal_dict
from .watched import Watched, summary

__all__ = ["MOST_FRAMES", "PIECE", "watch"]

PIECE = 60.0
"""Seconds of a piece: it is judged by itself and written at once. Tracks end where it ends (chosen)."""

MOST_FRAMES = 7_200
"""Frames of a piece, at most: a minute at 120 a second."""


def watch(
    source: str,
    model: Any,
    output: str | Path,
    *,
    settings: WatchSettings | None = None,
    verifier: Verifier | None = None,
    model_digest: str = "",
    tracker: Callable[[], Tracker] | None = None,
    clips: Sequence[Clip] | None = None,
    known: Callable[[Clip, Frame], Any] | None = None,
    progress: Progress = silent,
) -> Watched:
    """Predict, track, judge, and keep frames worth a review; called again with the same, it goes on where it stopped.

    Args:
        source: a video, a folder of videos or pictures, the number of a camera, or the address of a stream.
        model: an Ultralytics model, or an object with such a ``predict``.
        output: a new folder, or one that the same watch has begun.
        settings: what is tracked, listed and kept.
        verifier: ranks by how likely a detection is an error; None to rank by confidence, lowest first.
        model_digest: says which model it is, so that no other one goes on.
        tracker: makes a tracker for each piece; None for the one of the settings.
        clips: what is watched; None to find it at ``source``, which then only names it.
        known: returns what the model said of a frame, as Ultralytics' ``Boxes`` in numpy; None to ask the model.
        progress: called with the share done, in [0, 1], and a label.

    Returns:
        What was found. A camera or stream ends with Ctrl-C or by itself; of a file, Ctrl-C drops the minute that was
        not complete, and the same call goes on there.

    Raises:
        FileNotFoundError: if there is no such source.
        FileExistsError: if ``output`` holds something else.
        ValueError: if nothing can be read, the model has no boxes, or ``output`` holds another watch.
        ImportError: if a library is missing.
        OSError: if the disk is full; what was written is complete, and the same call goes on.
    """
    settings = settings or WatchSettings()
    said = source if clips is not None else ""
    clips = find_clips(source, settings.pictures) if clips is None else clips
    names = [str(model.names[number]) for number in sorted(model.names)]
    unknown = sorted(set(settings.class_confidence) - set(names))
    if unknown:
        raise ValueError(f"class_confidence names {', '.join(unknown)}; the model's classes are {', '.join(names)}")
    kept = {key: value for key, value in settings.as_dict().items() if key not in ("batch", "device")}
    which: dict[str, Any] = {
        "source": said or (clips[0].said if clips[0].kind == LIVE else str(Path(source).resolve())),
        "model": model_digest,
        "names": names,
    }
    if files := [file.name for clip in clips for file in clip.files]:
        which["pictures"] = f"{len(files)} ({hashlib.sha256(json.dumps(files).encode()).hexdigest()[:8]})"
    judged_by = None if verifier is None else verifier.digest
    folder = WatchFolder(output, {**which, "verifier": judged_by, "settings": kept})
    make = tracker or (lambda: UltralyticsTracker(settings.tracker))
    watching = _Watching(model, settings, verifier, folder, make, progress, known)
    try:
        return watching.run(clips)
    except OSError as error:
        raise full_disk_said(error, folder.path) from None


class _Said(NamedTuple):
    """What a model said of a frame."""

    seconds: float
    boxes: NDArray[np.float64]


class _Watching:
    """One call of :func:`watch`."""

    def __init__(
        self,
        model: Any,
        settings: WatchSettings,
        verifier: Verifier | None,
        folder: WatchFolder,
        make: Callable[[], Tracker],
        progress: Progress,
        known: Callable[[Clip, Frame], Any] | None,
    ) -> None:
        self.known = known
        self.model, self.settings, self.verifier, self.folder = model, settings, verifier, folder
        self.make, self.progress = make, progress
        self.chooser = Chooser(settings.alike)
        self.found, self.is_open = 0, False

    def run(self, clips: Sequence[Clip]) -> Watched:
        """Watch all clips; what is broken among several is said, and the others are watched."""
        stopped, broken = False, list[str]()
        with ExitStack() as stack:
            try:
                for at, clip in enumerate(clips):
                    try:
                        self._clip(stack, clip, at, len(clips))
                    except UnreadableSourceError as error:
                        broken.append(str(error))
                if len(broken) == len(clips):
                    first = f"none of {len(clips)} videos can be read: " if len(clips) > 1 else ""
                    raise UnreadableSourceError(f"{first}{broken[0]}")
            except KeyboardInterrupt:
                if not self.is_open and not self.folder.resumed:
                    raise  # nothing is written yet
                stopped = True
            self._open(stack)
            self.folder.finish()
        said = [*broken, *(note for clip in clips if clip.kind == LIVE for note in clip.notes)]
        return summary(self.folder, RANKED_BY[self.verifier is None], stopped, bool(broken), said)

    def _open(self, stack: ExitStack) -> None:
        """Make the folder, once there is something to write."""
        if not self.is_open:
            stack.enter_context(self.folder.opened())
            self.folder.remind(self.chooser)
            self.is_open = True

    def _clip(self, stack: ExitStack, clip: Clip, at: int, clips: int) -> None:
        """Watch a clip, piece by piece."""

        def told(number: int) -> None:
            share = min(number / clip.length, 1.0) if clip.length else 0.0
            label = f"watching {clip.name}: {number:,}{f' of {clip.length:,}' if clip.length else ''} frames"
            self.progress((at + share) / clips, f"{label}, {self.found:,} proposals")

        last, complete = self.folder.done_of(clip.name)
        if complete:
            return
        for _, numbered in itertools.groupby(_numbered(clip.frames(last + 1)), key=lambda each: each[0]):
            piece, stopped = self._piece(stack, clip, (frame for _, frame in numbered), told)
            last = piece["last"]
            piece["notes"] = clip.left_out(last)
            piece["cut_off"] = bool(piece["notes"])
            self.folder.add(piece)
            self.found += sum(len(frame["proposals"]) for frame in piece["frames"])
            if stopped:
                raise KeyboardInterrupt
        if clip.kind != LIVE:
            unread = clip.left_out(len(clip.files))
            end = {"counts": {}, "frames": [], "seconds": 0.0, "notes": [*clip.notes, *unread]}
            end["cut_off"] = clip.cut_off or bool(unread)
            self._open(stack)
            self.folder.add({"clip": clip.name, "first": last + 1, "last": last, "end": True, **end})

    def _piece(
        self, stack: ExitStack, clip: Clip, frames: Iterable[Frame], told: Callable[[int], None]
    ) -> tuple[Piece, bool]:
        """Judge a piece; of a live one that is stopped, what there is, and that it was stopped."""
        names = {int(number): str(name) for number, name in self.model.names.items()}
        judge = Judge(self.settings, names, self.verifier, self.folder.spool)
        tracker, shape = self._tracker(clip), None
        counts: Counter[str] = Counter()
        said: dict[int, _Said] = {}
        times: list[tuple[int, float]] = []
        stopped = False
        try:
            for frame, boxes in self._predicted(clip, frames):
                self._open(stack)
                if shape not in (None, frame.pixels.shape):  # another camera: boxes of both have no common place
                    judge.part()
                    tracker = self._tracker(clip)
                shape = frame.pixels.shape
                table = np.asarray(boxes.data, dtype=np.float64)[:, :6].reshape(-1, 6)
                judge.see(frame, table, tracker.follow(boxes, frame.pixels))
                times = [*times[:1], (frame.number, frame.seconds)]
                counts.update(frames=1, detections=len(table))
                said[frame.number] = _Said(frame.seconds, table)
                passed = frame.number - self.settings.longest_gap - 1
                if passed not in self.folder.spool:
                    said.pop(passed, None)
                told(frame.number)
        except KeyboardInterrupt:
            if clip.kind != LIVE or not times:
                raise
            stopped = True
        limit = None if clip.kind == STILLS else self.settings.frames_per_minute
        chosen = self.chooser.choose(judge.finish(), limit)
        counts.update(tracks=judge.tracks, alike=chosen.alike, over_rate=chosen.over_rate)
        (first, began), (last, ended) = times[0], times[-1]
        seconds = (ended - began) * counts["frames"] / max(counts["frames"] - 1, 1)
        of = {"clip": clip.name, "first": first, "last": last, "seconds": seconds, "counts": dict(counts)}
        rows = self._rows(clip, chosen, said)
        return {**of, "frames": rows, "end": False}, stopped

    def _tracker(self, clip: Clip) -> Tracker:
        return Alone() if clip.kind == STILLS else self.make()

    def _predicted(self, clip: Clip, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Any]]:
        """Yield frames with the boxes that the model sees, in numpy; several frames are predicted at once."""
        if self.known is not None:
            yield from ((frame, self.known(clip, frame)) for frame in frames)
            return
        options: dict[str, Any] = {"conf": LEAST_CONFIDENCE, "verbose": False}
        options |= {"imgsz": self.settings.imgsz} if self.settings.imgsz else {}
        options |= {} if self.settings.device is None else {"device": self.settings.device}
        coming, at_once = iter(frames), 1 if clip.kind == LIVE else self.settings.batch
        while batch := list(itertools.islice(coming, at_once)):
            results = list(self.model.predict([frame.pixels for frame in batch], **options))
            for frame, result in zip(batch, results, strict=True):
                if getattr(result, "boxes", None) is None:
                    raise ValueError(f"the model returned a {type(result).__name__} without boxes; is it a detector?")
                yield frame, result.boxes.cpu().numpy()

    def _rows(self, clip: Clip, chosen: Chosen, said: Mapping[int, _Said]) -> list[dict[str, Any]]:
        """Return the frames that are kept, as they are stored."""
        ranked_by = RANKED_BY[self.verifier is None]
        rows = []
        for number, of_frame in itertools.groupby(sorted(chosen.kept, key=_by_frame), key=_by_frame):
            at = said[number]
            proposals = [
                proposal_dict(
                    *(each.error, each.difficulty, ranked_by, each.track),
                    {"bbox": each.box.tolist(), "class": each.name, "confidence": each.confidence},
                )
                for each in of_frame
            ]
            predictions = [
                {"bbox": row[:4], "class": str(self.model.names[int(row[5])]), "confidence": row[4]}
                for row in at.boxes.tolist()
            ]
            where = {"image": clip.file_name(number), "number": number, "seconds": at.seconds}
            where["size"] = self.folder.spool.size_of(number)
            rows.append({**where, "predictions": predictions, "proposals": proposals})
        return rows


def _by_frame(proposal: Proposal) -> int:
    return proposal.frame


def _numbered(frames: Iterable[Frame]) -> Iterator[tuple[int, Frame]]:
    """Yield frames with the number of their piece."""
    piece, count, began = 0, 0, 0.0
    for frame in frames:
        if count and (count >= MOST_FRAMES or frame.seconds - began >= PIECE):
            piece, count = piece + 1, 0
        began = began if count else frame.seconds
        count += 1
        yield piece, frame
