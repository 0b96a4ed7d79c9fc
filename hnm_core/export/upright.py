"""Write turned photos upright: with the EXIF orientation in their pixels, so that every trainer sees the same picture.

Ultralytics, YOLOv5, mmdetection and detectron2 turn a photo by its EXIF orientation; torchvision's ``CocoDetection``,
RF-DETR, D-FINE, LibreYOLO and LightlyTrain do not, so that boxes would lie beside their objects.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..io.pictures import TURNED, open_file, orientation, write_picture

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

__all__ = ["turned_notes", "write_upright"]

WRITTEN_AS = {"JPEG": "JPEG", "MPO": "JPEG", "PNG": "PNG", "TIFF": "TIFF", "WEBP": "WEBP"}
"""Formats that can be turned, and in which format they are written; of several pictures in a file, the first."""

LOSSLESS_TIFF = ("tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "lzma", "zstd", "group3", "group4")

SUBSAMPLED_IN_X = 1
"""Pillow's number of 4:2:2, which has no counterpart once width and height are exchanged."""


def turned_notes(
    files: Sequence[str], turned: Collection[Path], layout: str, media: str, reader_turns: bool
) -> list[str]:
    """Say how photos with an EXIF orientation are exported.

    Args:
        files: paths of the images to export.
        turned: paths of those with an EXIF orientation other than upright.
        layout: of the export.
        media: how images get into the export.
        reader_turns: whether every reader of the layout turns photos itself.

    Raises:
        ValueError: if they are referred to, but readers of the layout do not turn them, or if they cannot be written.
    """
    paths = list(dict.fromkeys(path for path in files if Path(path) in turned))
    if not paths:
        return []
    said = f"{len(paths)} photos have an EXIF orientation, first {paths[0]}"
    if media == "reference":
        if reader_turns:
            return []
        raise ValueError(
            f"{said}: not every trainer that reads layout {layout} turns them, so that boxes would lie beside the "
            f"objects. Set media to copy or symlink: then they are written upright"
        )
    unwritable = [path for path in paths if _format(path) not in WRITTEN_AS]
    if unwritable:
        raise ValueError(
            f"{len(unwritable)} photos have an EXIF orientation, and their file type cannot be written upright, first "
            f"{unwritable[0]}. Convert them to PNG, or turn the pixels and remove the orientation"
        )
    how = "JPEG with its own quantization tables, other types lossless"
    return [f"{said}: they are written as upright copies ({how}), since not every trainer turns photos"]


def write_upright(source: str | Path, to: Path) -> None:
    """Write a copy with the EXIF orientation in the pixels and no longer in the metadata; the colour profile is kept.

    A JPEG is compressed again with its own tables, turned with it. PNG, TIFF and WebP are written without loss.
    """
    from PIL import ImageOps

    with open_file(source) as image:
        written = WRITTEN_AS[str(image.format)]
        options = _options(image, written)
        upright = ImageOps.exif_transpose(image)
        upright.info = {
            key: value for key, value in upright.info.items() if key not in ("exif", "xmp", "XML:com.adobe.xmp")
        }
        upright.getexif().clear()
        write_picture(upright, to, written, **options)


def _options(image: ImageFile, written: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if image.info.get("icc_profile"):
        options["icc_profile"] = image.info["icc_profile"]
    if written == "JPEG":
        return options | _jpeg(image)
    if written == "WEBP":
        return options | {"lossless": True, "exact": True}
    if written == "TIFF" and image.info.get("compression", "raw") != "raw":
        used = image.info["compression"]
        options["compression"] = used if used in LOSSLESS_TIFF else "tiff_deflate"
    return options


def _jpeg(image: Any) -> dict[str, Any]:
    """Return the tables of a JPEG, and of its colours the resolution, as it will lie."""
    from PIL import JpegImagePlugin

    exchanged = orientation(image) in TURNED
    tables = [np.reshape(table, (8, 8)) for _, table in sorted(image.quantization.items())]
    sampling = JpegImagePlugin.get_sampling(image)
    return {
        "qtables": [(table.T if exchanged else table).ravel().tolist() for table in tables],
        "subsampling": 0 if exchanged and sampling == SUBSAMPLED_IN_X else sampling,
        "progressive": bool(image.info.get("progressive")),
    }


def _format(path: str) -> str:
    with open_file(path) as image:
        return str(image.format)
