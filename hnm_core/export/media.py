"""Write images to the export: copy, link or crop; never move."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..io.pictures import is_oriented, open_picture, write_picture
from .images import NamedImage
from .regions import Greys, grey_image
from .upright import write_upright

__all__ = ["put_image"]

NO_PNG = ("CMYK", "HSV", "LAB", "YCbCr", "F")
"""Image modes of Pillow that PNG does not support."""


def put_image(root: Path, one: NamedImage, media: str, *, copies: bool, greys: Greys | None = None) -> None:
    """Write an image to the export, and copies of it for trainers that drop repeated images.

    Args:
        root: folder of the export.
        one: the image; nothing is written if its path is absolute, a reference to the original.
        media: ``copy``, ``symlink`` or ``reference``; crops and turned photos are always written as files, upright.
        copies: write a further file for every repeat.
        greys: images whose ignored regions are greyed; these are always written as files.
    """
    if Path(one.path).is_absolute():
        return
    to = root / one.path
    if one.image.window is not None:
        _crop(one, to)
    elif greys is not None and one.image.sample_id in greys:
        grey_image(one, to, *greys[one.image.sample_id])
    elif is_oriented(one.image.filepath):
        write_upright(one.image.filepath, to)
    elif media == "symlink":
        os.symlink(Path(one.image.filepath).resolve(), to)
    else:
        shutil.copyfile(one.image.filepath, to)
    for name in one.copies() if copies else ():
        if to.is_symlink():
            os.symlink(os.readlink(to), root / name)
        else:
            _link_or_copy(to, root / name)


def _crop(one: NamedImage, to: Path) -> None:
    """Write a crop as PNG, lossless."""
    cut = open_picture(one.image.filepath, keep_mode=True).crop(one.image.window)
    write_picture(cut.convert("RGB") if cut.mode in NO_PNG else cut, to)


def _link_or_copy(file: Path, to: Path) -> None:
    """Make a hard link, or a copy if the file system has no hard links."""
    try:
        os.link(file, to)
    except OSError:
        shutil.copyfile(file, to)
