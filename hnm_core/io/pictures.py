"""The one place that opens pictures: upright as trainers see them, in 8 bit RGB, and named if they can't be read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

__all__ = [
    "UnreadablePictureError",
    "check_start",
    "fits",
    "image_size",
    "is_oriented",
    "is_turned",
    "leads_outside",
    "open_file",
    "open_picture",
    "orientation",
    "outside",
    "pixel_scale",
    "say_left_out",
]

TURNED = {5, 6, 7, 8}
ORIENTATION, TIFF_WIDTH, TIFF_HEIGHT = 274, 256, 257

SHAPE_TOLERANCE = 0.02
"""Share by which the sides of a picture may differ in proportion from the labels' (chosen: sides are rounded)."""

Size = tuple[float, float]

STARTS = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF", b"\0\0\0")
"""First bytes of pictures, which must do where Pillow is missing."""


class UnreadablePictureError(OSError):
    """A file that is no picture, or a damaged one; the message names it."""


def open_file(path: str | Path) -> ImageFile:
    """Open a picture as ``PIL.Image.open`` does, and fail as it does.

    Ultralytics replaces that function: to read HEIC it installs or imports pi-heif, whatever kept the file from being
    opened. Where there is no pi-heif, a missing or damaged picture would be an ``ImportError``.

    Raises:
        ImportError: if Pillow is missing.
        OSError: if the file does not exist or is not a picture.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(path)
    except ModuleNotFoundError as error:
        if error.name != "pi_heif":
            raise
        Path(path).open("rb").close()
        raise UnidentifiedImageError(f"cannot identify image file {str(path)!r}") from None


def open_picture(path: str | Path, *, keep_mode: bool = False, least: int | None = None) -> Image:
    """Return the pixels of a picture with its EXIF orientation applied, as trainers do; of several frames the first.

    Args:
        path: any file that Pillow reads.
        keep_mode: keep transparency, palette and depth; False for 8 bit RGB, deeper pictures scaled to it.
        least: sides in pixels that are enough: a larger JPEG may be decoded at 1/2 to 1/8 of its size, which is faster.

    Raises:
        FileNotFoundError: if it does not exist.
        ImportError: if Pillow is missing.
        UnreadablePictureError: if it is not a whole picture.
    """
    from PIL import ImageOps

    try:
        with open_file(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, on odd metadata and on sizes
            if least:
                file.draft("RGB", (least, least))
            upright = ImageOps.exif_transpose(file)
            upright.load()
            return upright if keep_mode else _as_rgb(upright)
    except FileNotFoundError:
        raise
    except ImportError:
        raise
    except Exception as error:  # the readers of Pillow raise many kinds of errors
        reason = " ".join(str(error).split())[:100].replace(str(path), "").strip() or type(error).__name__
        raise UnreadablePictureError(f"{path} is not a picture that can be read: {reason}") from None


def write_picture(picture: Image, to: Path, format: str | None = None, **options: Any) -> None:
    """Write a picture to a file, whole or with an error.

    Pillow itself takes no notice where a disk that fills up takes a part of what it writes.

    Args:
        picture: of Pillow.
        to: the file.
        format: of the file, such as ``JPEG``; None for that of its suffix.
        options: as Pillow takes them.

    Raises:
        OSError: if the disk is full.
    """
    from PIL import Image as pillow

    written = BytesIO()
    picture.save(written, format or pillow.registered_extensions().get(to.suffix.lower()), **options)
    to.write_bytes(written.getbuffer())


def check_start(path: str | Path) -> None:
    """Check the first bytes of a picture, where Pillow is missing.

    Raises:
        UnreadablePictureError: if no kind of picture begins so.
    """
    with open(path, "rb") as file:
        if not file.read(8).startswith(STARTS):
            raise UnreadablePictureError(f"{path} is not a picture")


def image_size(path: str | Path) -> tuple[int, int]:
    """Return width and height in pixels with the EXIF orientation applied, without reading the pixels.

    Raises:
        ImportError: if Pillow is missing.
        OSError: if the file is not an image.
    """
    with open_file(path) as image:
        width, height = _stored_size(image)
        return (height, width) if orientation(image) in TURNED else (width, height)


def is_turned(path: str | Path) -> bool:
    """Return whether the EXIF orientation exchanges width and height.

    Raises:
        OSError: if the file is not an image.
    """
    with open_file(path) as image:
        return orientation(image) in TURNED


def is_oriented(path: str | Path) -> bool:
    """Return whether a picture has an EXIF orientation other than upright.

    Raises:
        OSError: if the file is not an image.
    """
    with open_file(path) as image:
        return orientation(image) != 1


def pixel_scale(labelled: Size | None, seen: Size) -> Size:
    """Return by what x and y of labels in pixels are multiplied to lie in the picture, which may have been resized.

    Args:
        labelled: width and height that the labels give; None or NaN if they give none.
        seen: width and height of the picture.

    Example:
        >>> pixel_scale((640, 480), (320, 240)), pixel_scale((240, 320), (320, 240)), pixel_scale(None, (9, 9))
        ((0.5, 0.5), (1.0, 1.0), (1.0, 1.0))
    """
    if labelled is None or not all(np.isfinite(labelled)) or min(labelled) <= 0:
        return 1.0, 1.0
    if tuple(labelled) == (seen[1], seen[0]):  # width and height exchanged, in the labels alone
        return 1.0, 1.0
    return seen[0] / labelled[0], seen[1] / labelled[1]


def fits(labelled: Size | None, seen: Size) -> bool:
    """Return whether a picture has the proportions that the labels give, or its sides exchanged.

    Example:
        >>> fits((640, 480), (320, 240)), fits((500, 240), (320, 240))
        (True, False)
    """
    if labelled is None or not all(np.isfinite(labelled)) or min(labelled) <= 0:
        return True
    x, y = pixel_scale(labelled, seen)
    return abs(x - y) <= SHAPE_TOLERANCE * max(x, y)


def leads_outside(name: str) -> bool:
    """Return whether a file name leads out of the folder that it is relative to; absolute names do.

    Example:
        >>> leads_outside("a/../b.jpg"), leads_outside("../b.jpg"), leads_outside("/etc/passwd")
        (False, True, True)
    """
    plain = name.replace("\\", "/")
    end = os.path.normpath(plain).replace(os.sep, "/")
    return "\0" in name or plain.startswith("/") or os.path.isabs(name) or end == ".." or end.startswith("../")


def say_left_out(what: str, why: str, names: Sequence[str], stacklevel: int = 3) -> None:
    """Warn that something was left out, with the number and the first names; nothing if there are none."""
    if names:
        first = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
        warnings.warn(f"{len(names)} {what} because {why}: {first}", stacklevel=stacklevel + 1)


def outside(names: Iterable[str], root: Path) -> list[str]:
    """Return the names that lead out of a folder; an absolute name may lie in it."""
    base = os.path.abspath(root)
    inside = os.path.join(base, "")
    return [name for name in names if leads_outside(name) and not os.path.normpath(name).startswith(inside)]


def _stored_size(image: Any) -> tuple[int, int]:
    """Return width and height as stored; of a turned TIFF, Pillow already says the upright ones."""
    if image.format == "TIFF":
        return int(image.tag_v2[TIFF_WIDTH]), int(image.tag_v2[TIFF_HEIGHT])
    return image.size  # type: ignore[no-any-return]


def orientation(image: Any) -> int:
    """Return the EXIF orientation of an opened picture, 1 to 8; 1 is upright, and a value that means nothing too."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # Pillow would decode the whole file to find EXIF data after the pixels
    found = image.getexif().get(ORIENTATION)
    return found if found in range(1, 9) else 1


def _as_rgb(image: Image) -> Image:
    """Return 8 bit RGB; numbers beyond 8 bit are scaled, which Pillow would cut off."""
    from PIL import Image as Module

    if image.mode not in ("I", "F", "I;16", "I;16B", "I;16L"):
        return image.convert("RGB")
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if image.mode == "F":
        low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (min(low, 0.0), max(high, 255.0))
    else:
        low, high = 0.0, 255.0 if high <= 255 else 65535.0 if high <= 65535 else high
    scaled = np.clip((values - low) / (high - low) * 255.0, 0, 255).astype(np.uint8)
    return Module.fromarray(scaled).convert("RGB")
