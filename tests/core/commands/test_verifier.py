"""``hnm verifier fit``: from what ``hnm mine`` wrote to the file of a verifier."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hnm_core import cli
from tests.stripes import SIDE, boxes_of, striped, write_pictures

pytest.importorskip("yaml", reason="PyYAML reads data.yaml")
pytest.importorskip("PIL", reason="Pillow cuts the crops")
pytest.importorskip("sklearn", reason="scikit-learn tells the crops apart")

from hnm_core.live import Verifier

IMAGES = 42


def yolo(box: tuple[float, ...]) -> str:
    x0, y0, x1, y1 = (edge / SIDE for edge in box)
    return f"0 {(x0 + x1) / 2} {(y0 + y1) / 2} {x1 - x0} {y1 - y0}"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A mining of 42 pictures with one right and one wrong detection each."""
    write_pictures(tmp_path / "images" / "train", IMAGES)
    for folder in ("labels/train", "predictions"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(IMAGES):
        lying, standing = boxes_of(number)
        (tmp_path / "labels" / "train" / f"{number:03}.txt").write_text(f"{yolo(lying)}\n")
        lines = f"{yolo(lying)} 0.{number % 30 + 60}\n{yolo(standing)} 0.{number % 31 + 60}\n"
        (tmp_path / "predictions" / f"{number:03}.txt").write_text(lines)
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [cat]\n")
    where = ["--data", str(tmp_path / "data.yaml"), "--predictions", str(tmp_path / "predictions")]
    assert cli.main(["mine", *where, "--output", str(tmp_path / "run")]) == 0
    return tmp_path / "run"


def test_from_a_run_to_a_verifier(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    path = run.parent / "verifier.npz"
    assert cli.main(["verifier", "fit", str(run), "--output", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"by cross-validation over {IMAGES} images" in said
    assert "a fit of their own: cat" in said
    assert said.endswith(f"{path}\n")
    verifier = Verifier.load(path)
    asked = [{"bbox": box, "confidence": 0.7, "class": "cat"} for box in boxes_of(100)]
    assert (verifier.score(striped(100), asked) > 0.5).tolist() == [False, True]

    assert cli.main(["verifier", "fit", str(run), "--output", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["output"] == str(path)
    assert found["lists"] == json.loads(json.dumps(verifier.quality.as_dict()))["lists"]
    assert Verifier.load(path).digest == verifier.digest


def fit_with_reviews(run: Path) -> int:
    files = ["--output", str(run.parent / "v.npz"), "--reviews", str(run.parent / "reviews.json")]
    return cli.main(["verifier", "fit", str(run), *files])


def test_reviews_of_a_file_count(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reviews = [
        {
            "image": str(run.parent / "images" / "train" / f"{number:03}.png"),
            "side": "prediction",
            "class": "cat",
            "bbox": [edge / SIDE for edge in boxes_of(number)[1]],
            "state": "missing_label",
        }
        for number in range(3)
    ]
    (run.parent / "reviews.json").write_text(json.dumps(reviews))
    assert fit_with_reviews(run) == 2
    assert f"the run has {IMAGES - 3} errors and {IMAGES + 3} right detections" in capsys.readouterr().err
    assert not (run.parent / "v.npz").exists()


def test_reviews_of_other_images_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"image": "elsewhere.png", "side": "prediction", "class": "cat", "bbox": [0, 0, 1, 1], "state": "ignore"}
    (run.parent / "reviews.json").write_text(json.dumps([entry]))
    assert fit_with_reviews(run) == 2
    assert "reviews.json: 1 of 1 reviews are of images that" in capsys.readouterr().err


def test_other_data_than_that_of_the_run_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = run.parent / "other"
    write_pictures(other / "images" / "train", 2)
    (other / "labels" / "train").mkdir(parents=True)
    for number in range(2):
        (other / "labels" / "train" / f"{number:03}.txt").write_text("")
    (other / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [cat]\n")
    asked = ["verifier", "fit", str(run), "--output", str(run.parent / "v.npz"), "--data", str(other / "data.yaml")]
    assert cli.main(asked) == 2
    assert f"{IMAGES} of {IMAGES} images of {run} are not in" in capsys.readouterr().err


def test_a_round_of_a_training_is_a_run_too(run: Path) -> None:
    record = json.loads((run / "mining.json").read_text())
    record["source"] = {"data": record["source"]["data"], "split": "train", "predictions": "the model", "epoch": 3}
    (run / "mining.json").write_text(json.dumps(record))
    assert cli.main(["verifier", "fit", str(run), "--output", str(run.parent / "v.npz")]) == 0
    assert Verifier.load(run.parent / "v.npz").quality.images == IMAGES


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verifier", "fit", str(tmp_path), "--output", str(tmp_path / "v.npz")]) == 2
    assert "does not contain a mining" in capsys.readouterr().err


def test_a_folder_is_no_file_to_write_and_nothing_is_fitted_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["verifier", "fit", str(tmp_path / "no run"), "--output", str(tmp_path)]) == 2
    sentence = f"hnm verifier: {tmp_path} is a folder, but a file is to be written: add its name\n"
    assert capsys.readouterr().err == sentence
