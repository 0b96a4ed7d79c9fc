"""The folder that watching writes: frames, what the model said of them, proposals in three lists, pages to look at.

A piece of a clip, a minute, is written at once: its frames, then the file that says it is done. So whoever is
interrupted goes on after the last piece, and gets what would have come without the interruption.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..evidence.appearance import cut_box
from ..io.cells import safe_cell
from ..io.pictures import open_picture
from ..io.write_aside import check_free, new_file, say_unfinished
from ..samples.folder import SampleFolder
from .choosing import REMEMBERED, Chooser
from .pieces import IMAGES, PIECES, RECORD, WHAT, Piece, pieces_of, read_record
from .sources import png_of
from .tracks import LISTS, Frame
from .unlabelled import PROPOSAL

__all__ = ["Spool", "WatchFolder", "full_disk_said", "proposal_dict", "remove_watch"]

PREDICTIONS, SAMPLES, TABLE, NAMES = "predictions", "samples", "proposals.csv", "classes.txt"
LOCK, SPOOL = "lock", "spool"
FORMAT = 1
COLUMNS = (
    *("list", "difficulty", "ranked_by", "class", "confidence", "image", "source", "frame", "seconds", "track"),
    *("x0", "y0", "x1", "y1"),
)


class Spool:
    """Frames that may be shown, as files beside their place, until their piece is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: dict[int, int] = {}
        self._size: dict[int, tuple[int, int]] = {}
        self._file: dict[int, Path] = {}

    def hold(self, frame: Frame) -> None:
        """Keep a frame; a picture stays where it is."""
        if frame.number not in self._held:
            self._size[frame.number] = frame.pixels.shape[1], frame.pixels.shape[0]
            file = frame.path
            if file is None:
                file = self.path / f"{frame.number}.png"
                file.write_bytes(png_of(frame.pixels))
            self._file[frame.number] = file
        self._held[frame.number] = self._held.get(frame.number, 0) + 1

    def drop(self, number: int) -> None:
        """Forget a frame that nobody else holds."""
        self._held[number] -= 1
        if not self._held[number]:
            del self._held[number], self._size[number]
            file = self._file.pop(number)
            if file.parent == self.path:
                file.unlink()

    def __contains__(self, number: int) -> bool:
        return number in self._held

    def __len__(self) -> int:
        return len(self._held)

    def size_of(self, number: int) -> tuple[int, int]:
        """Return width and height of a frame that is held."""
        return self._size[number]

    def put(self, number: int, target: Path) -> None:
        """Bring a frame that is held to its place; a picture of the source is copied."""
        file = self._file[number]
        with new_file(target) as part:
            if file.parent == self.path:
                with suppress(OSError):  # some filesystems have no links
                    os.link(file, part)
            if not part.exists():
                shutil.copyfile(file, part)

    def clear(self) -> None:
        """Forget everything."""
        for number in list(self._held):
            self._held[number] = 1
            self.drop(number)


class WatchFolder:
    """A folder of one watch, new or to be continued.

    Args:
        path: must not exist, be empty, or hold the same watch.
        what: what is watched and how, JSON-clean; a watch can only go on with the same.

    Raises:
        FileExistsError: if the folder holds something else.
        ValueError: if it holds another watch; the message says what differs.
    """

    def __init__(self, path: str | Path, what: Mapping[str, Any]) -> None:
        self.path = Path(path).resolve()
        self.what = {"what": WHAT, "format": FORMAT, **json.loads(json.dumps(what))}
        self.spool = Spool(self.path / PIECES / SPOOL)
        self.resumed = (self.path / RECORD).is_file()
        if self.resumed:
            self._check_same(read_record(self.path))
        elif not self._only_begun():
            check_free(self.path, "choose another --output")
        self._count, self._done = 0, dict[str, tuple[int, bool]]()
        for piece in self.pieces():
            self._count_in(piece)

    def _only_begun(self) -> bool:
        """Return whether the folder holds nothing but what a watch leaves that was interrupted at its start."""
        inside = [path for path in (self.path, self.path / PIECES) if path.is_dir()]
        left = {path.name for folder in inside for path in folder.iterdir()}
        return len(inside) == 2 and left <= {PIECES, LOCK, SPOOL, NAMES}

    def _count_in(self, piece: Piece) -> None:
        self._count += 1
        self._done[piece["clip"]] = max(self.done_of(piece["clip"])[0], piece["last"]), bool(piece["end"])

    def _check_same(self, before: Mapping[str, Any]) -> None:
        differs = [key for key in sorted({*before, *self.what}) if before.get(key) != self.what.get(key)]
        if differs:
            pairs = "; ".join(f"{key}: {_short(before.get(key))}, now {_short(self.what.get(key))}" for key in differs)
            raise ValueError(f"{self.path} holds a watch that differs ({pairs}): choose another --output")

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder and keep others out; what an interrupted call left unfinished is removed.

        Raises:
            ValueError: if another process writes into it.
        """
        (self.path / PIECES).mkdir(parents=True, exist_ok=True)
        with _alone(self.path):
            if len(list((self.path / PIECES).glob("*.json"))) != self._count:
                raise ValueError(f"another process has watched into {self.path} meanwhile: start again")
            if not (self.path / RECORD).is_file():
                names = "".join(f"{name}\n" for name in self.what["names"])
                for name, text in ((NAMES, names), (RECORD, json.dumps(self.what, indent=1) + "\n")):
                    with new_file(self.path / name) as part:
                        part.write_text(text, encoding="utf-8")
            for name in (IMAGES, PREDICTIONS, PIECES):
                (self.path / name).mkdir(exist_ok=True)
                say_unfinished(self.path / name)
            shutil.rmtree(self.spool.path, ignore_errors=True)
            self.spool.path.mkdir()
            self._samples = {of: SampleFolder(self.path / SAMPLES / of, linked=True) for of in LISTS}
            try:
                yield
            finally:
                shutil.rmtree(self.spool.path, ignore_errors=True)

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces that are done, in order."""
        return pieces_of(self.path)

    def done_of(self, clip: str) -> tuple[int, bool]:
        """Return the last frame of a clip that is done, 0 for none, and whether the clip is complete."""
        return self._done.get(clip, (0, False))

    def remind(self, chooser: Chooser) -> None:
        """Tell a chooser what is kept already."""
        found = ((frame, each) for piece in self.pieces() for frame in piece["frames"] for each in frame["proposals"])
        kept = deque(((frame["image"], each) for frame, each in found), REMEMBERED if chooser.alike else 0)
        for image, each in kept:
            pixels = np.asarray(open_picture(self.path / IMAGES / image))
            box = np.array(each["prediction"]["bbox"], dtype=np.float64)
            chooser.remember(each["error"], each["prediction"]["class"], cut_box(pixels, box))

    def add(self, piece: Piece) -> None:
        """Write a piece: its frames, which are held, what the model said, the pages; at last that it is done."""
        for frame in piece["frames"]:
            image = self.path / IMAGES / frame["image"]
            self.spool.put(frame["number"], image)
            with new_file(self.path / PREDICTIONS / f"{image.stem}.txt") as part:
                part.write_text(_yolo_lines(frame, self.what["names"]), encoding="utf-8")
            for of, error in LISTS.items():
                found = [dict(each, image_path=str(image)) for each in frame["proposals"] if each["error"] == error]
                if found:
                    self._samples[of].save(image, found, frame["predictions"])
        with new_file(self.path / PIECES / f"{self._count + 1:06}.json") as part:
            part.write_text(json.dumps(piece) + "\n", encoding="utf-8")
        self._count_in(piece)
        self.spool.clear()

    def finish(self) -> None:
        """Write the table of all proposals and the pages, of the pieces that are done."""
        with new_file(self.path / TABLE) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(map(safe_cell, row) for row in _rows(self.pieces()))
        for folder in self._samples.values():
            folder.write_index()


def remove_watch(path: Path) -> None:
    """Remove the folder of a watch with all that is in it.

    Raises:
        ValueError: if it is none, or another process watches into it.
    """
    read_record(path)
    with _alone(path):
        shutil.rmtree(path)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep others out of the folder of a watch."""
    with (path / PIECES / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"another process watches into {path}: choose another --output") from None
        yield


def full_disk_said(error: OSError, folder: Path) -> OSError:
    """Return an error that says what to do where the disk is full; any other error as it is."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    return OSError(f"the disk of {folder} is full: make room, then the same command goes on where it was")


def proposal_dict(
    error: str, difficulty: float, ranked_by: str, track: int, prediction: dict[str, Any]
) -> dict[str, Any]:
    """Return a proposal as the dict of :func:`~hnm_core.live.unlabelled.rank_detections`, with its track."""
    return {
        **{"type": PROPOSAL, "prediction": prediction, "ground_truth": None, "iou": None},
        **{"confidence": prediction["confidence"], "error": error, "difficulty": difficulty, "suspicion": None},
        **{"ranked_by": ranked_by, "track": track},
    }


def _rows(pieces: Iterable[Piece]) -> list[Sequence[Any]]:
    """Return the rows of the table, list by list, likeliest first."""
    place = {error: (number, name) for number, (name, error) in enumerate(LISTS.items())}
    rows = []
    for at, piece in enumerate(pieces):
        for frame in piece["frames"]:
            for each in frame["proposals"]:
                box, (number, name) = each["prediction"], place[each["error"]]
                key = number, -each["difficulty"], at, frame["number"], each["track"]
                said = name, f"{each['difficulty']:.4f}", each["ranked_by"], box["class"], f"{box['confidence']:.4f}"
                where = f"{IMAGES}/{frame['image']}", piece["clip"], frame["number"], f"{frame['seconds']:.3f}"
                rows.append((key, (*said, *where, f"{at + 1}-{each['track']}", *(f"{x:.1f}" for x in box["bbox"]))))
    return [row for _, row in sorted(rows, key=lambda row: row[0])]


def _yolo_lines(frame: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return what a model said of a frame as lines of YOLO: class, box as fractions, confidence."""
    width, height = frame["size"]
    lines = []
    for each in frame["predictions"]:
        x0, y0, x1, y1 = each["bbox"]
        centre = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height
        lines.append(" ".join(map(repr, (names.index(each["class"]), *centre, each["confidence"]))))
    return "".join(f"{line}\n" for line in lines)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
