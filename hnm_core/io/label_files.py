"""Find the label file of every image of a YOLO dataset, and say which images have none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .data_yaml import label_file, label_name

__all__ = ["LabelFiles", "find_labels"]


@dataclass(frozen=True)
class LabelFiles:
    """The label file of every image.

    Attributes:
        files: where labels are read; does not exist for an image of ``missing``.
        beside: images whose labels are not where trainers look, but beside the image, where they are read.
        missing: images without a label file.
    """

    files: list[str]
    beside: list[Path]
    missing: list[Path]

    def notes(self, images: str) -> list[str]:
        """Say how many images have their labels elsewhere, and how many have none; ``images`` says of what."""
        found = []
        if self.beside:
            found.append(
                f"{len(self.beside)} of {len(self.files)} {images} have no label file where trainers look, first "
                f"{label_file(self.beside[0])}, but one beside the image, which is read here"
            )
        if self.missing and len(self.missing) == len(self.files):
            found.append(
                f"none of the {len(self.files)} {images} has a label file, expected files such as {self.files[0]}: all "
                f"images are read as background"
            )
        elif self.missing:
            gone = [image for image in self.missing if not image.exists()]
            found.append(
                f"{len(self.missing)} of {len(self.files)} {images} have no label file, expected files such as "
                f"{label_file(self.missing[0])}: they are read as background, and what is predicted there as wrong"
                f"{f'; {len(gone)} of them do not exist, first {gone[0]}' if gone else ''}"
            )
        return found


def find_labels(images: Sequence[Path | str]) -> LabelFiles:
    """Find the label file of every image: where trainers look, else beside the image."""
    files, beside, missing = [], [], []
    for image in images:
        file = label_name(str(image))
        if not os.path.exists(file) and not Path(file).exists():  # the second raises what the first hides
            path = Path(image)
            near = path.with_suffix(".txt")
            if near != Path(file) and near.is_file():
                beside.append(path)
                file = str(near)
            else:
                missing.append(path)
        files.append(file)
    return LabelFiles(files, beside, missing)
