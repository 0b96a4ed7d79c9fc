"""Keeping hard images: a copy of each, what was found in it as json and as a picture, and a page that shows them all.

Nothing is ever overwritten that was not written here, and the originals are only read. Saving the same images again
goes on where it stopped.
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

from ..result import MiningResult
from .found import Found, Rows, found_dicts, rows_by_image
from .gallery import Entry, as_page, error_of
from .names import told_apart
from .progress import Progress, silent
from .records import Record

__all__ = ["SampleFolder", "save_samples"]

INDEX = "index.html"


@dataclass(frozen=True)
class _Saved:
    """What is remembered of a saved image; all else is in its json."""

    image_path: str
    errors: tuple[str, ...]
    difficulties: tuple[float, ...]

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> _Saved:
        found = content["hard_negatives"]
        difficulties = sorted((float(f.get("difficulty", f.get("confidence", 0.0))) for f in found), reverse=True)
        return cls(content["image_path"], tuple(map(error_of, found)), tuple(difficulties))


class SampleFolder:
    """A folder of hard images, of one mining.

    ``NAME`` is the untouched copy of an image, ``NAME.json`` what was found in it, ``NAME.hard.jpg`` the picture of
    that, and ``index.html`` shows all, hardest first. The page is written anew whenever the number of images has
    doubled, and by :meth:`write_index`.

    Args:
        path: of the folder; made with the first image.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._saved = dict(_read_folder(self.path))
        self._mine: set[str] = set()  # what this very object wrote it may replace
        self._listed = self._unlisted = 0
        self._can_draw = True

    def save(
        self,
        image_path: str | Path,
        found: Sequence[Mapping[str, Any]],
        predictions: Sequence[Record] = (),
        ground_truth: Sequence[Record] = (),
        name: str | None = None,
    ) -> Path:
        """Keep one image and what was found in it; what is there already is left as it is.

        Args:
            image_path: the image the hard negatives were found in.
            found: their dicts, hardest first.
            predictions: all predictions in the image.
            ground_truth: all its truths.
            name: of the copy; None for that of the image.

        Returns:
            The json file: ``{"image_path", "hard_negatives", "ground_truth", "predictions"}``.

        Raises:
            FileNotFoundError: if there is no such image.
            FileExistsError: if the folder holds another image of that name, a file that was not made here, or what
                another mining found in the image.
        """
        image = Path(image_path)
        content = {
            "image_path": str(image_path),
            "hard_negatives": list(found),
            "ground_truth": list(ground_truth),
            "predictions": list(predictions),
        }
        text = json.dumps(content, indent=1, default=_plain) + "\n"
        name = name or image.name
        copy, record, picture = (self.path / f"{name}{end}" for end in ("", ".json", ".hard.jpg"))
        known = name in self._saved and record.read_text(encoding="utf-8") == text
        self._refuse(image, known, (copy, record, picture))
        self.path.mkdir(parents=True, exist_ok=True)
        self._saved[name] = _Saved.of(content)
        self._mine.add(name)
        if not known:
            self._unlisted += 1
            picture.unlink(missing_ok=True)
            _put(record, lambda part: part.write_text(text, encoding="utf-8"))
        if not copy.exists():
            _put(copy, lambda part: shutil.copy2(image, part))
        if not picture.exists():
            self._draw(copy, found, ground_truth, picture)
        if self._unlisted >= self._listed:
            self.write_index()
        return record

    def write_index(self) -> None:
        """Write the page that shows all images of the folder, if it is not up to date."""
        if self._unlisted or (self._saved and not (self.path / INDEX).exists()):
            page = as_page(Entry(name, self._shown(name), s.errors, s.difficulties) for name, s in self._saved.items())
            _put(self.path / INDEX, lambda part: part.write_text(page, encoding="utf-8"))
            self._listed, self._unlisted = len(self._saved), 0

    def _refuse(self, image: Path, known: bool, targets: tuple[Path, ...]) -> None:
        """Say what stands in the way of saving an image."""
        copy, record, _ = targets
        if not image.is_file():
            raise FileNotFoundError(f"cannot save the hard sample {image}: no such file")
        if copy.exists() and copy.samefile(image):
            raise FileExistsError(f"{self.path} is where {image} itself lies; choose another output_dir")
        before = self._saved.get(copy.name)
        if before is None:
            for path in (*targets, *([] if self._saved else [self.path / INDEX])):
                if path.exists():
                    raise FileExistsError(f"{path} is in the way and was not saved here; choose another output_dir")
        elif Path(before.image_path).resolve() != image.resolve():
            raise FileExistsError(f"{record} belongs to {before.image_path}, not to {image}; choose another output_dir")
        elif not known and copy.name not in self._mine:
            raise FileExistsError(
                f"{record} holds the {len(before.errors)} hard negatives that an earlier mining found in {image}, and "
                f"this one found others; choose another output_dir"
            )

    def _draw(self, image: Path, found: Sequence[Record], truth: Sequence[Record], picture: Path) -> None:
        """Draw the picture; without Pillow, or of what it cannot read, there is none."""
        if not self._can_draw:
            return
        try:
            from .drawing import draw_sample
        except ImportError:
            self._can_draw = False
            warnings.warn("hard samples are saved, but not drawn: Pillow is missing (pip install pillow)", stacklevel=3)
            return
        try:
            drawn = draw_sample(image, found, truth)
        except (OSError, ImportError) as error:  # Ultralytics patches Pillow to ask for further packages
            warnings.warn(f"{image} is saved, but not drawn: {error}", stacklevel=3)
            return
        _put(picture, lambda part: drawn.save(part, "JPEG", quality=90))

    def _shown(self, name: str) -> str:
        drawn = f"{name}.hard.jpg"
        return drawn if (self.path / drawn).exists() else name


def save_samples(
    result: MiningResult,
    folder: SampleFolder,
    locate: Callable[[str], str | Path] = Path,
    progress: Progress = silent,
    on_error: Callable[[OSError], None] | None = None,
) -> None:
    """Keep every image of a result that has hard negatives, the hardest first.

    Of files of one name in several folders, each is kept under a name of its own.

    Args:
        result: what was mined.
        folder: where to.
        locate: from an image's key to its file.
        progress: told how far it has come.
        on_error: told of every image that can't be kept, so that the others are; None ends with the first.
    """
    sides = Rows(result.predictions), Rows(result.truth)
    names = result.truth.images
    by_image: dict[str, list[Found]] = {}
    for one in found_dicts(result, *sides, names):
        by_image.setdefault(one["image_path"], []).append(one)
    number = {name: i for i, name in enumerate(names)}
    rows = [rows_by_image(side.table) for side in sides]
    times = Counter(Path(name).name for name in names)
    for name, found in progress(list(by_image.items()), "saving samples"):
        boxes = [[side[row] for row in of[number[name]]] for side, of in zip(sides, rows, strict=True)]
        key, file = Path(name), Path(locate(name))
        other = f"{told_apart(file.stem, name)}{file.suffix}" if times[key.name] > 1 else None
        try:
            folder.save(file, found, boxes[0], boxes[1], name=other)
        except OSError as error:
            if on_error is None:
                raise
            on_error(error)
    folder.write_index()


def _read_folder(path: Path) -> Iterable[tuple[str, _Saved]]:
    """What was saved before; json files of others are passed over."""
    for record in sorted(path.glob("*.json")):
        try:
            yield record.name.removesuffix(".json"), _Saved.of(json.loads(record.read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue


def _put(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file aside and rename it, so that it is either whole or not there."""
    part = path.with_name(f".{path.name}.part")
    write(part)
    os.replace(part, path)


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy and torch as JSON knows them; anything else as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
