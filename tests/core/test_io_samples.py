"""Keeping hard images beside what was found in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hnm_core.io.samples import save_sample

FOUND = [
    {"type": "false_positive", "confidence": np.float32(0.5), "prediction": {"bbox": np.arange(4), "at": Path("x")}}
]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "straße 1.jpg"
    path.parent.mkdir()
    path.write_bytes(b"pixels")
    return path


def test_image_and_json_lie_side_by_side(tmp_path: Path, image: Path) -> None:
    record = save_sample(tmp_path / "new" / "kept", image, FOUND)
    assert record == tmp_path / "new" / "kept" / "straße 1.jpg.json"
    assert record.with_suffix("").read_bytes() == b"pixels"
    assert json.loads(record.read_text(encoding="utf-8")) == {
        "image_path": str(image),
        "hard_negatives": [
            {"type": "false_positive", "confidence": 0.5, "prediction": {"bbox": [0, 1, 2, 3], "at": "x"}}
        ],
    }
    assert image.read_bytes() == b"pixels"


def test_saving_again_replaces_what_was_found(tmp_path: Path, image: Path) -> None:
    save_sample(tmp_path / "kept", image, FOUND)
    record = save_sample(tmp_path / "kept", image, [])
    assert json.loads(record.read_text(encoding="utf-8"))["hard_negatives"] == []
    assert len(list(record.parent.iterdir())) == 2


def test_another_image_of_the_same_name_is_refused(tmp_path: Path, image: Path) -> None:
    other = tmp_path / "others" / image.name
    other.parent.mkdir()
    other.write_bytes(b"other pixels")
    record = save_sample(tmp_path / "kept", image, FOUND)
    with pytest.raises(FileExistsError) as error:
        save_sample(tmp_path / "kept", other, FOUND)
    assert str(error.value) == f"{record} belongs to {image}, not to {other}; choose another output_dir"
    assert record.with_suffix("").read_bytes() == b"pixels"


def test_an_image_that_is_not_there_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^cannot save the hard sample .*gone\.jpg: no such file$"):
        save_sample(tmp_path / "kept", tmp_path / "gone.jpg", FOUND)
    assert not (tmp_path / "kept").exists()
