"""Read what the folder of a watch says, its record and the pieces that are done, and check it.

Files of a folder may be cut off, edited, or from somebody else: what is read here names pictures that others open.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from .tracks import LISTS

__all__ = ["IMAGES", "PIECES", "RECORD", "WHAT", "Piece", "pieces_of", "read_record"]

RECORD, PIECES, IMAGES = "watch.json", "pieces", "images"
WHAT = "hnm watch"

Piece = dict[str, Any]

_NUMBER = (int, float)
_PIECE: Mapping[str, Any] = {
    **{"clip": str, "first": int, "last": int, "end": bool, "seconds": _NUMBER, "cut_off": bool},
    **{"counts": dict, "frames": list, "notes": list},
}
_FRAME: Mapping[str, Any] = {
    **{"image": str, "number": int, "seconds": _NUMBER, "size": list, "predictions": list, "proposals": list}
}
_BOX: Mapping[str, Any] = {"bbox": list, "class": str, "confidence": _NUMBER}
_PROPOSAL: Mapping[str, Any] = {
    **{"error": str, "difficulty": _NUMBER, "ranked_by": str, "track": int, "prediction": dict}
}


def pieces_of(path: Path) -> Iterator[Piece]:
    """Yield the pieces of a folder that are done, in order.

    Raises:
        ValueError: if one is damaged.
    """
    for file in sorted((path / PIECES).glob("*.json")):
        try:
            piece = json.loads(file.read_text(encoding="utf-8"))
            _check_piece(piece)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{file} is damaged ({error}): watch again into another --output") from None
        yield piece


def read_record(path: Path) -> dict[str, Any]:
    """Return what a folder says of its watch.

    Raises:
        ValueError: if it is none.
    """
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get("what") != WHAT or not _are_texts(record.get("names")):
        raise ValueError(f"{path} is no folder that hnm watch wrote")
    return record


def _check_piece(piece: Any) -> None:
    _check(piece, _PIECE, "the piece")
    if not all(type(count) is int for count in piece["counts"].values()) or not _are_texts(piece["notes"]):
        raise ValueError("counts are no whole numbers, or notes no texts")
    for at, frame in enumerate(piece["frames"]):
        _check(frame, _FRAME, where := f"frames[{at}]")
        name = frame["image"]
        if name in ("", "..") or "\0" in name or PurePosixPath(name).name != name or PureWindowsPath(name).name != name:
            raise ValueError(f"image of {where} is {name!r}, not the name of a file in {IMAGES}/")
        if len(frame["size"]) != 2 or not all(type(side) is int and side > 0 for side in frame["size"]):
            raise ValueError(f"size of {where} is {frame['size']}, not width and height in pixels")
        for number, box in enumerate(frame["predictions"]):
            _check_box(box, f"predictions[{number}] of {where}")
        for number, proposal in enumerate(frame["proposals"]):
            _check(proposal, _PROPOSAL, of := f"proposals[{number}] of {where}")
            if proposal["error"] not in LISTS.values():
                raise ValueError(f"error of {of} is {proposal['error']!r}, not one of {', '.join(LISTS.values())}")
            _check_box(proposal["prediction"], f"prediction of {of}")


def _check_box(box: Any, where: str) -> None:
    _check(box, _BOX, where)
    if len(box["bbox"]) != 4 or not all(_is_number(edge) for edge in box["bbox"]):
        raise ValueError(f"bbox of {where} is {box['bbox']}, not x0, y0, x1, y1 in pixels")


def _check(value: Any, kinds: Mapping[str, Any], where: str) -> None:
    """Refuse what is no object with these values; numbers must be finite, and below a thousand million."""
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no object")
    for name, kind in kinds.items():
        found = value.get(name)
        right = _is_number(found) if kind is _NUMBER else type(found) is kind
        if not right:
            raise ValueError(f"{name} of {where} is {'missing' if name not in value else repr(found)[:60]}")


def _is_number(value: Any) -> bool:
    return type(value) in _NUMBER and abs(value) < 1e9 and isfinite(value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
