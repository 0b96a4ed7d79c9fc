"""What the folder of a watch says is checked before anybody opens the pictures that it names."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from hnm_core.live.pieces import pieces_of, read_record

BOX = {"bbox": [1.0, 1, 9.5, 9], "class": "cat", "confidence": 0.9}
PROPOSAL = {"error": "gap", "difficulty": 0.5, "ranked_by": "verifier", "track": 1, "prediction": BOX}
FRAME = {"image": "a_000001.png", "number": 1, "seconds": 0, "size": [40, 30], "predictions": [BOX]}
PIECE: dict[str, Any] = {
    **{"clip": "a", "first": 1, "last": 2, "seconds": 0.2, "counts": {"frames": 2}, "end": False},
    **{"frames": [{**FRAME, "proposals": [PROPOSAL]}], "notes": [], "cut_off": False},
}


def written(folder: Path, text: str) -> Path:
    (folder / "pieces").mkdir()
    (folder / "pieces" / "000001.json").write_text(text)
    return folder


def test_a_piece_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert list(pieces_of(written(tmp_path, json.dumps(PIECE)))) == [PIECE]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (["clip"], None, "clip of the piece is None"),
        (["last"], "2", "last of the piece is '2'"),
        (["end"], 0, "end of the piece is 0"),
        (["counts", "frames"], 1.5, "counts are no whole numbers"),
        (["frames", 0], [], r"frames\[0\] is no object"),
        (["frames", 0, "image"], "../../a.png", r"image of frames\[0\] is '../../a.png', not the name of a file"),
        (["frames", 0, "image"], "", r"image of frames\[0\] is '', not the name of a file in images/"),
        (["frames", 0, "image"], "..", r"image of frames\[0\] is '..', not the name of a file in images/"),
        (["frames", 0, "image"], "C:\\a.png", r"image of frames\[0\] is .*, not the name of a file in images/"),
        (["frames", 0, "size"], [40, 0], r"size of frames\[0\] is \[40, 0\], not width and height in pixels"),
        (["frames", 0, "predictions", 0, "bbox"], [1, 2, 3], r"bbox of predictions\[0\] of frames\[0\] is \[1, 2, 3\]"),
        (["frames", 0, "predictions", 0, "bbox"], [1, 2, 3, 1e12], r"not x0, y0, x1, y1 in pixels"),
        (["frames", 0, "proposals", 0, "difficulty"], True, r"difficulty of proposals\[0\] of frames\[0\] is True"),
        (["frames", 0, "proposals", 0, "difficulty"], float("nan"), r"difficulty of proposals\[0\] .* is nan"),
        (["frames", 0, "proposals", 0, "error"], "lucky", "is 'lucky', not one of confident, uncertain, gap"),
        (["frames", 0, "proposals", 0, "prediction"], {}, r"bbox of prediction of proposals\[0\] .* is missing"),
    ],
)
def test_what_is_damaged_is_said(path: list[Any], value: Any, says: str, tmp_path: Path) -> None:
    piece = copy.deepcopy(PIECE)
    at = piece
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(ValueError, match=rf"000001\.json is damaged \(.*{says}.*\): watch again into another --output"):
        list(pieces_of(written(tmp_path, json.dumps(piece))))


@pytest.mark.parametrize("text", ["", json.dumps(PIECE)[:-9], "[" * 10_000, "[]"])
def test_a_file_that_is_cut_off_is_said(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"000001\.json is damaged \(.*\): watch again into another --output"):
        list(pieces_of(written(tmp_path, text)))


@pytest.mark.parametrize("record", ["", "{}", '{"what": "hnm watch"}', '{"what": "hnm watch", "names": [1]}'])
def test_what_is_no_record_is_said(record: str, tmp_path: Path) -> None:
    (tmp_path / "watch.json").write_text(record)
    with pytest.raises(ValueError, match="is no folder that hnm watch wrote"):
        read_record(tmp_path)
