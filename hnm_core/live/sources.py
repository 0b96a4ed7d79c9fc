"""Where frames come from: videos, folders of pictures, cameras and streams. Needs OpenCV."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..io.names import unique_stem
from .tracks import Frame

__all__ = ["LIVE", "PICTURES", "RATE", "STILLS", "VIDEO", "Clip", "UnreadableSourceError", "find_clips", "png_of"]

VIDEO, PICTURES, STILLS, LIVE = "video", "sequence", "stills", "live"
"""Kinds of clips; a live one ends when it ends."""

PICTURE_FILES = {".bmp", ".dng", ".heic", ".jp2", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"}
VIDEO_FILES = {
    *(".asf", ".avi", ".gif", ".h264", ".h265", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm"),
    *(".wmv",),
}

RATE = 30.0
"""Frames a second where nobody says it, as of the pictures of a folder (chosen)."""

SHORT = 0.9
"""A video that ends before this share of what its file promises, in frames and in seconds, is cut off (chosen)."""

PLAUSIBLE = 10**8
"""More frames than this are no promise: raw H.264 has no number of frames, and OpenCV says any."""


class UnreadableSourceError(ValueError):
    """A video, camera or folder of which nothing can be read; the message names it."""


@dataclass
class Clip:
    """Frames that follow each other.

    Attributes:
        name: unique among the clips of a source, safe in file names.
        where: path or address.
        kind: one of :data:`VIDEO`, :data:`PICTURES`, :data:`STILLS` and :data:`LIVE`.
        files: of pictures.
        length: number of frames that are promised; None if nobody knows.
        notes: sentences on what was wrong, once all frames were read.
        cut_off: whether it ended too early.
        unread: numbers of pictures that could not be read, and of which nobody was told yet.
    """

    name: str
    where: str
    kind: str
    files: tuple[Path, ...] = ()
    length: int | None = None
    notes: list[str] = field(default_factory=list)
    cut_off: bool = False
    unread: list[int] = field(default_factory=list)

    @property
    def said(self) -> str:
        """The place, for messages and records: an address without name and password."""
        return _without_password(self.where)

    def file_name(self, number: int) -> str:
        """Return the name of the file of a frame: of a picture its own, unless another one has the same stem."""
        if not self.files:
            return f"{self.name}_{number:06}.png"
        file = self.files[number - 1]
        if sum(each.stem == file.stem for each in self.files) == 1:
            return file.name
        return f"{unique_stem(file.stem, file.name)}{file.suffix}"

    def frames(self, start: int = 1) -> Iterator[Frame]:
        """Yield the frames from number ``start`` on.

        Raises:
            UnreadableSourceError: if nothing can be read.
            ImportError: if OpenCV is missing.
        """
        return self._pictures(start) if self.files else self._video(start)

    def _pictures(self, start: int) -> Iterator[Frame]:
        cv2, count = _cv2(), 0
        self.unread.clear()
        for number in range(start, len(self.files) + 1):
            file = self.files[number - 1]
            pixels = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if pixels is None:
                self.unread.append(number)
                continue
            count += 1
            yield Frame(number, (number - 1) / RATE, pixels, file)
        if not count and start == 1:
            raise UnreadableSourceError(
                f"none of the {len(self.files)} pictures of {self.said} can be read, first {self.files[0]}"
            )

    def left_out(self, last: int) -> list[str]:
        """Return a sentence on pictures up to a number that could not be read, if there are any; they count as told."""
        told = [number for number in self.unread if number <= last]
        self.unread = [number for number in self.unread if number > last]
        if not told:
            return []
        first = self.files[told[0] - 1]
        return [f"{len(told)} of {len(self.files)} pictures cannot be read and are left out, first {first}"]

    def _video(self, start: int) -> Iterator[Frame]:
        cv2 = _cv2()
        live = self.kind == LIVE
        video = cv2.VideoCapture(int(self.where) if self.where.isdigit() and live else self.where)
        try:
            if not video.isOpened():
                raise UnreadableSourceError(
                    f"{self.said} cannot be opened as a {'camera or stream' if live else 'video'}"
                )
            rate = video.get(cv2.CAP_PROP_FPS)
            rate = rate if np.isfinite(rate) and 0 < rate <= 1_000 else RATE
            promised = video.get(cv2.CAP_PROP_FRAME_COUNT)
            known = not live and np.isfinite(promised) and 0 < promised < PLAUSIBLE
            self.length = int(promised) if known else None
            first = number = start - 1 if live else 0
            began, seconds = time.monotonic(), -1.0 / rate
            while True:
                passed_over = number < start - 1  # jumping in a video is not exact
                there, pixels = (video.grab(), None) if passed_over else video.read()
                if not there:
                    break
                number += 1
                told = time.monotonic() - began if live else video.get(cv2.CAP_PROP_POS_MSEC) / 1_000.0
                seconds = told if np.isfinite(told) and told > seconds else seconds + 1.0 / rate
                if pixels is not None:
                    yield Frame(number, seconds, pixels)
        finally:
            video.release()
        if number == first:
            raise UnreadableSourceError(f"{self.said} was opened, but not a single frame can be read: is it damaged?")
        seconds += 1.0 / rate
        if live:
            self.notes.append(f"{self.said} gave no more frames after {number - first:,}")
        elif self.length and number < SHORT * self.length and seconds < SHORT * self.length / rate:
            self.cut_off = True
            self.notes.append(
                f"{self.said} ends after {number:,} frames ({seconds:.1f} s), its file promises "
                f"{self.length / rate:.1f} s: is it cut off? What was read is judged"
            )


def find_clips(source: str, pictures: str = PICTURES) -> list[Clip]:
    """Return the clips of a source.

    Args:
        source: a video, a picture, a folder of videos or of pictures, the number of a camera, or an address.
        pictures: whether the pictures of a folder are a ``sequence`` or ``stills``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a folder holds both kinds, or none.
    """
    if source.isdigit() and not Path(source).exists():
        return [Clip(f"camera{source}", source, LIVE)]
    if "://" in source:
        name = re.sub(r"[^A-Za-z0-9]+", "_", _without_password(source)).strip("_")
        return [Clip(name[-60:], source, LIVE)]
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"there is no {source}: give a video, a folder, the number of a camera or an address")
    if path.is_file():
        picture = path.suffix.lower() in PICTURE_FILES
        return [Clip(path.stem, source, STILLS, (path,), 1) if picture else Clip(path.stem, source, VIDEO)]
    files = sorted((each for each in path.iterdir() if each.is_file()), key=_natural)
    stills = tuple(each for each in files if each.suffix.lower() in PICTURE_FILES)
    videos = [each for each in files if each.suffix.lower() in VIDEO_FILES]
    if stills and videos:
        raise ValueError(
            f"{source} holds {len(stills)} pictures and {len(videos)} videos: keep them in folders of their own"
        )
    if stills:
        return [Clip(path.resolve().name, source, pictures, stills, len(stills))]
    if not videos:
        raise ValueError(f"{source} holds no videos and no pictures; folders in it are not searched")
    times = Counter(each.stem for each in videos)
    names = [unique_stem(each.stem, each.name) if times[each.stem] > 1 else each.stem for each in videos]
    return [Clip(name, str(each), VIDEO) for name, each in zip(names, videos, strict=True)]


def png_of(pixels: NDArray[np.uint8]) -> bytes:
    """Return a frame as PNG, which loses nothing."""
    cv2 = _cv2()
    return bytes(cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])


def _without_password(address: str) -> str:
    return re.sub(r"//[^/@]*@", "//", address)


def _natural(path: Path) -> list[Any]:
    """Order names with numbers in them as people do: 2 before 10."""
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", path.name)]


def _cv2() -> Any:
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what is wrong is said in a sentence of ours
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        import cv2
    except ImportError:
        raise ImportError("reading videos needs OpenCV; install it with: pip install 'opencv-python<5'") from None
    return cv2
