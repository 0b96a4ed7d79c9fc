"""A detector asked about a folder of pictures that nobody labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ultralytics", reason="a real detector is asked")
pytest.importorskip("sklearn", reason="the demo's digits come with scikit-learn")

from fiftyone_plugin.demo.dataset import WEIGHTS
from fiftyone_plugin.demo.digits import make_digits
from hnm_core.training.detecting import detect, load_detector
from hnm_core.training.pool import CONFIDENCE, predict_folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool") / "set"
    make_digits(folder, 6, seed=3, splits=(("train", 1.0),))
    return folder / "images" / "train"


def test_every_picture_is_asked_and_rows_are_its_boxes(pictures: Path) -> None:
    told: list[str] = []
    found = predict_folder(WEIGHTS, pictures, lambda share, label: told.append(label))
    files = sorted(path.resolve() for path in pictures.iterdir())
    assert found.images == tuple(map(str, files))
    assert found.classes == ("three", "seven")
    assert found.score is not None
    expected = list(detect(load_detector(WEIGHTS), files, conf=CONFIDENCE))
    assert np.bincount(found.image, minlength=6).tolist() == [len(boxes) for boxes in expected if boxes is not None]
    assert found.xyxy == pytest.approx(np.concatenate([boxes[:, :4] for boxes in expected if boxes is not None]))
    assert found.score.max() > 0.5 > CONFIDENCE <= found.score.min()
    assert told[-1] == "predicting: 6 of 6"


def test_what_is_no_picture_is_left_out_and_said(pictures: Path, tmp_path: Path) -> None:
    good = next(pictures.iterdir())
    (tmp_path / "b.jpg").write_bytes(good.read_bytes())
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.warns(UserWarning, match="1 pictures are left out because they cannot be read: .*a.jpg"):
        found = predict_folder(WEIGHTS, tmp_path)
    assert set(found.image.tolist()) <= {1}
    assert (
        len(found)
        == (
            predict_folder(WEIGHTS, pictures).image == [p.name for p in sorted(pictures.iterdir())].index(good.name)
        ).sum()
    )


def test_an_empty_folder_has_no_boxes(tmp_path: Path) -> None:
    found = predict_folder(WEIGHTS, tmp_path)
    assert (len(found), found.images, found.classes) == (0, (), ("three", "seven"))


@pytest.mark.parametrize(("weights", "folder"), [("none.pt", "."), (WEIGHTS, "nowhere")])
def test_what_is_not_there_is_said(tmp_path: Path, weights: str | Path, folder: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no .*(none.pt|nowhere)"):
        predict_folder(tmp_path / weights, tmp_path / folder)
