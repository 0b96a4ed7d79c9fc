"""Save hard images: a copy, a JSON file and a picture of each, and a page that shows all.

Only files that were written here are overwritten; the originals are only read. Saving the same images again continues
an interrupted run.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import unit_of
from ..io.hard_negatives import HardNegative, hard_negative_dicts
from ..io.names import unique_stem
from ..io.pictures import UnreadablePictureError, check_start, say_left_out, write_picture
from ..io.progress import Progress, silent, tracked
from ..io.records import Record, RecordView, rows_by_image
from ..io.write_aside import new_file, say_unfinished
from ..result import MiningResult
from .gallery import GalleryItem, error_of, gallery_page

__all__ = ["SampleFolder", "save_samples"]

INDEX = "index.html"


@dataclass(frozen=True)
class _Saved:
    """The facts about a saved image that the page needs; the rest is in its JSON file."""

    image_path: str
    errors: tuple[str, ...]
    difficulties: tuple[float, ...]

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> _Saved:
        found = content["hard_negatives"]
        difficulties = sorted((float(f.get("difficulty", f.get("confidence", 0.0))) for f in found), reverse=True)
        return cls(content["image_path"], tuple(map(error_of, found)), tuple(difficulties))


class SampleFolder:
    """A folder of the hard images of one mining.

    ``NAME`` is an unchanged copy of an image, ``NAME.json`` holds its hard negatives, ``NAME.hard.jpg`` shows them, and
    ``index.html`` shows all images, hardest first. The page is written again whenever the number of images has
    doubled, and by :meth:`write_index`.

    Args:
        path: of the folder; created with the first image.
        linked: the copy is a second name of the same file, where that can be, for images that are ours.
    """

    def __init__(self, path: str | Path, *, linked: bool = False) -> None:
        self.path = Path(path)
        self._copy = _link if linked else shutil.copy2
        say_unfinished(self.path)
        self._saved = dict(_read_folder(self.path))
        self._mine: set[str] = set()  # names written by this object, which it may replace
        self._listed, self._unlisted = 0, len(self._saved)  # an interrupted run may have left an older page
        self._can_draw = True

    def save(
        self,
        image_path: str | Path,
        found: Sequence[Mapping[str, Any]],
        predictions: Sequence[Record] = (),
        ground_truth: Sequence[Record] = (),
        name: str | None = None,
        size: tuple[float, float] | None = None,
    ) -> Path:
        """Save one image and its hard negatives; files that exist already with the same content stay as they are.

        Args:
            image_path: the image that contains the hard negatives.
            found: their dicts, hardest first.
            predictions: all predictions of the image.
            ground_truth: all truths of the image.
            name: file name of the copy; None for the name of the image.
            size: width and height at labelling, for boxes in pixels; None if they are those of the picture.

        Returns:
            The JSON file: ``{"image_path", "unit", "hard_negatives", "ground_truth", "predictions"}``; the unit of
            all boxes is ``pixels`` or ``fractions``.

        Raises:
            FileNotFoundError: if the image does not exist.
            UnreadablePictureError: if it is no picture, or damaged; then nothing is written.
            FileExistsError: if the folder contains another image of that name, a file that was not written here, or
                the result of another mining of the image.
        """
        image = Path(image_path)
        content = {
            "image_path": str(image_path),
            "unit": _unit_of(found, ground_truth, predictions),
            "hard_negatives": list(found),
            "ground_truth": list(ground_truth),
            "predictions": list(predictions),
        }
        text = json.dumps(content, indent=1, default=_plain) + "\n"
        name = name or image.name
        copy, record, picture = (self.path / f"{name}{end}" for end in ("", ".json", ".hard.jpg"))
        known = name in self._saved and record.read_text(encoding="utf-8") == text
        self._check_targets(image, known, (copy, record, picture))
        drawn = self._drawn(image, found, ground_truth, size) if not (known and picture.exists()) else None
        self.path.mkdir(parents=True, exist_ok=True)
        self._saved[name] = _Saved.of(content)
        self._mine.add(name)
        if not known:
            self._unlisted += 1
            picture.unlink(missing_ok=True)
            with new_file(record) as part:
                part.write_text(text, encoding="utf-8")
        if not copy.exists():
            with new_file(copy) as part:
                self._copy(image, part)
        if drawn is not None and not picture.exists():
            with new_file(picture) as part:
                write_picture(drawn, part, "JPEG", quality=90)
        if self._unlisted >= self._listed:
            self.write_index()
        return record

    def write_index(self) -> None:
        """Write the page that shows all images of the folder, unless it is up to date."""
        index = self.path / INDEX
        if self._unlisted or (self._saved and not index.exists()):
            page = gallery_page(
                GalleryItem(name, self._shown(name), s.errors, s.difficulties) for name, s in self._saved.items()
            )
            if not index.exists() or index.read_text(encoding="utf-8") != page:
                with new_file(index) as part:
                    part.write_text(page, encoding="utf-8")
            self._listed, self._unlisted = len(self._saved), 0

    def _check_targets(self, image: Path, known: bool, targets: tuple[Path, ...]) -> None:
        """Raise an error if saving an image would overwrite something else."""
        copy, record, _ = targets
        if not image.is_file():
            raise FileNotFoundError(f"cannot save the hard sample {image}: no such file")
        if copy.exists() and copy.resolve() == image.resolve():
            raise FileExistsError(f"{self.path} is the folder of {image} itself; choose another output_dir")
        before = self._saved.get(copy.name)
        if before is None:
            for path in (*targets, *([] if self._saved else [self.path / INDEX])):
                if path.exists():
                    raise FileExistsError(f"{path} exists and was not written by this tool; choose another output_dir")
        elif Path(before.image_path).resolve() != image.resolve():
            raise FileExistsError(f"{record} belongs to {before.image_path}, not to {image}; choose another output_dir")
        elif not known and copy.name not in self._mine:
            raise FileExistsError(
                f"{record} holds {len(before.errors)} hard negatives that an earlier mining found in {image}, and "
                f"the new ones differ; choose another output_dir"
            )

    def _drawn(
        self, image: Path, found: Sequence[Record], truth: Sequence[Record], size: tuple[float, float] | None
    ) -> Any:
        """Return the picture with its mistakes drawn in; None, and a warning once, if Pillow is missing.

        Raises:
            UnreadablePictureError: if the file is no picture.
        """
        if self._can_draw:
            try:
                from .drawing import draw_sample
            except ImportError:
                self._can_draw = False
                warnings.warn(
                    "hard samples are saved without pictures: Pillow is not installed (pip install pillow)",
                    stacklevel=3,
                )
        if not self._can_draw:
            check_start(image)
            return None
        try:
            return draw_sample(image, found, truth, size)
        except ImportError as error:  # Ultralytics patches Pillow to ask for further packages
            raise UnreadablePictureError(f"{image} is not a picture that can be read: {error}") from None

    def _shown(self, name: str) -> str:
        drawn = f"{name}.hard.jpg"
        return drawn if (self.path / drawn).exists() else name


def save_samples(
    result: MiningResult,
    folder: SampleFolder,
    locate: Callable[[str], str | Path | None] = Path,
    progress: Progress = silent,
    on_error: Callable[[OSError], None] | None = None,
    sizes: NDArray[np.float64] | None = None,
) -> None:
    """Save every image of a result that has hard negatives, the hardest first.

    Files of the same name in several folders get unique names. What is no picture is left out and named in a warning,
    and so is an image without a file.

    Args:
        result: the mining.
        folder: where to save.
        locate: returns the file of an image key; None for an image that must not be opened.
        progress: shows the progress.
        on_error: called for every image that cannot be saved; None raises the first error of another kind.
        sizes: ``(images, 2)`` width and height at labelling, NaN where unknown, for boxes in pixels.
    """
    sides = RecordView(result.predictions), RecordView(result.truth)
    names = result.truth.images
    by_image: dict[str, list[HardNegative]] = {}
    for one in hard_negative_dicts(result, *sides, names):
        by_image.setdefault(one["image_path"], []).append(one)
    number = {name: i for i, name in enumerate(names)}
    rows = [rows_by_image(side.table) for side in sides]
    times = Counter(Path(name).name for name in names)
    no_picture, no_file = [], []
    for name, found in tracked(list(by_image.items()), "saving samples", progress):
        boxes = [[side[row] for row in of[number[name]]] for side, of in zip(sides, rows, strict=True)]
        place = locate(name)
        if place is None:
            no_file.append(name)
            continue
        key, file = Path(name), Path(place)
        other = f"{unique_stem(file.stem, name)}{file.suffix}" if times[key.name] > 1 else None
        size = None if sizes is None else tuple(sizes[number[name]].tolist())
        try:
            folder.save(file, found, boxes[0], boxes[1], name=other, size=size)
        except UnreadablePictureError as error:
            no_picture.append(name)
            if on_error is not None:
                on_error(error)
        except OSError as error:
            if on_error is None:
                raise
            on_error(error)
    say_left_out("hard images are not saved", "they are no pictures that can be read", no_picture)
    say_left_out("hard images are not saved", "their names lead out of the folder of the images", no_file)
    folder.write_index()


def _read_folder(path: Path) -> Iterable[tuple[str, _Saved]]:
    """Yield the images that were saved before; other JSON files are skipped."""
    for record in sorted(path.glob("*.json")):
        try:
            yield record.name.removesuffix(".json"), _Saved.of(json.loads(record.read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue


def _unit_of(found: Sequence[Mapping[str, Any]], *sides: Sequence[Record]) -> str:
    """Return the unit of all boxes of an image."""
    boxes = [one[side] for one in found for side in ("prediction", "ground_truth") if one.get(side) is not None]
    records = [*boxes, *(record for side in sides for record in side)]
    return unit_of(np.array([record["bbox"] for record in records], dtype=np.float64))


def _link(image: Path, copy: Path) -> None:
    try:
        os.link(image.resolve(), copy)
    except OSError:  # another file system, or one without links; a full disk says so again
        shutil.copy2(image, copy)


def _plain(value: Any) -> Any:
    """Convert numbers and arrays of numpy and torch for JSON; anything else becomes text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
