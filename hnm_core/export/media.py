"""Images into the export: copied, linked, cropped; never moved."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .images import Named

__all__ = ["put_image"]

NO_PNG = ("CMYK", "HSV", "LAB", "YCbCr", "F")
"""Kinds of pixels that PNG does not hold."""


def put_image(root: Path, one: Named, media: str, *, copies: bool) -> None:
    """Put an image into the export, and its copies where the trainer reads no image twice.

    Args:
        root: the export.
        one: the image; nothing is put where its path is that of the original.
        media: ``copy``, ``symlink`` or ``reference``; crops are always files of their own.
        copies: write the second, third, … time it is drawn as files of other names.
    """
    if Path(one.path).is_absolute():
        return
    to = root / one.path
    if one.image.window is not None:
        _crop(one, to)
    elif media == "symlink":
        os.symlink(Path(one.image.filepath).resolve(), to)
    else:
        shutil.copyfile(one.image.filepath, to)
    for name in one.copies() if copies else ():
        if to.is_symlink():
            os.symlink(os.readlink(to), root / name)
        else:
            _again(to, root / name)


def _crop(one: Named, to: Path) -> None:
    """Losslessly, so that what a JPEG already lost is all that is lost."""
    from PIL import Image, ImageOps

    with Image.open(one.image.filepath) as image:
        cut = ImageOps.exif_transpose(image).crop(one.image.window)
        (cut.convert("RGB") if cut.mode in NO_PNG else cut).save(to)


def _again(file: Path, to: Path) -> None:
    """The same file under another name; a copy where the disk knows no hard links."""
    try:
        os.link(file, to)
    except OSError:
        shutil.copyfile(file, to)
