"""YOLO folders whose files say more than their shape: keypoints, track ids, labels elsewhere, names of the model."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from hnm_core import Detections
from hnm_core.io import read_yolo
from hnm_core.io.data_yaml import read_data_yaml, split_images
from hnm_core.io.yaml_names import class_names

pytest.importorskip("yaml")

BOX = "0 0.5 0.5 0.2 0.2"


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Reads label and prediction texts, one image each, with further lines of data.yaml."""

    def read_texts(labels: list[str | None], found: list[str | None], **config: Any) -> tuple[Detections, Detections]:
        more = {key: config.pop(key) for key in ("prediction_names", "class_map") if key in config}
        content = {"path": ".", "train": "images", "names": ["goose", "swan"], **config}
        (tmp_path / "data.yaml").write_text(json.dumps(content))
        for i, (label, prediction) in enumerate(zip(labels, found, strict=True)):
            for folder, text, suffix in (("images", "", "jpg"), ("labels", label, "txt"), ("found", prediction, "txt")):
                (tmp_path / folder).mkdir(exist_ok=True)
                if text is not None:
                    (tmp_path / folder / f"{i:02d}.{suffix}").write_text(text)
        return read_yolo(tmp_path / "data.yaml", predictions=tmp_path / "found", **more)

    return read_texts


@pytest.mark.parametrize(
    ("shape", "label", "found"),
    [
        ([2, 2], f"{BOX} 0.1 0.1 0.9 0.9", f"{BOX} 0.1 0.1 0.9 0.9 0.75"),
        ([2, 2], f"{BOX} 0.1 0.1 0.9 0.9", f"{BOX} 0.1 0.1 0.3 0.9 0.9 0.4 0.75"),  # with how visible each one is
        ([2, 3], f"{BOX} 0.1 0.1 2 0.9 0.9 0", f"{BOX} 0.1 0.1 1 0.9 0.9 0 0.75 12"),  # and a track id
        ([17, 3], BOX, f"{BOX} 0.75"),  # no keypoints in the labels
    ],
)
def test_the_box_of_a_pose_is_its_first_four_numbers(read: Any, shape: list[int], label: str, found: str) -> None:
    predictions, truth = read([label], [found], kpt_shape=shape)
    for table in (predictions, truth):
        assert table.xyxy.tolist() == [pytest.approx([0.4, 0.4, 0.6, 0.6])]
    assert predictions.score.tolist() == [0.75]


def test_keypoints_that_do_not_fit_are_refused(read: Any) -> None:
    with pytest.raises(ValueError, match=r"8 columns, .* or with 2 × 2 values of keypoints \(kpt_shape"):
        read([f"{BOX} 0.1 0.1 0.9"], [f"{BOX} 0.9"], kpt_shape=[2, 2])
    with pytest.raises(ValueError, match=r"has kpt_shape: \[2, 4\], expected"):
        read([BOX], [f"{BOX} 0.9"], kpt_shape=[2, 4])
    with pytest.raises(ValueError, match=r"a polygon that leaves the image.*are they keypoints"):
        read([f"{BOX} 0.1 0.1 2 0.5 0.4 2"], [f"{BOX} 0.9"])


@pytest.mark.parametrize(
    "line",
    [f"{BOX} 0.75 3", f"{BOX} 3 0.75", "0 0.4 0.4 0.6 0.4 0.6 0.6 0.4 0.6 0.75 3", "0 0.4 0.4 0.6 0.4 0.6 0.6 0.75"],
)
@pytest.mark.filterwarnings("ignore:.* are polygons")
def test_a_track_id_is_no_confidence(read: Any, line: str) -> None:
    predictions, _ = read([BOX], [line])
    assert predictions.score.tolist() == [0.75]
    assert predictions.xyxy.tolist() == [pytest.approx([0.4, 0.4, 0.6, 0.6])]


def test_track_ids_alone_are_said(read: Any) -> None:
    with pytest.raises(
        ValueError, match=r"confidence 2.0 outside \[0, 1\]; is it a percentage, or a track id\? Predict with save_conf"
    ):
        read([BOX], [f"{BOX} 1\n{BOX} 2\n"])
    with pytest.warns(UserWarning, match="all 3 confidences are whole numbers; are they track ids"):
        read([BOX] * 3, [f"{BOX} 1"] * 3)


def test_labels_beside_images_are_read_and_missing_ones_counted(read: Any, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "01.txt").write_text("1 0.5 0.5 0.2 0.2")
    with pytest.warns(UserWarning, match="label file") as said:
        _, truth = read([BOX, None, None], [f"{BOX} 0.9"] * 3)
    assert truth.image.tolist() == [0, 1]
    assert truth.label.tolist() == [0, 1]
    first, second = (str(one.message) for one in said)
    assert first.startswith("1 of 3 images of 'train' have no label file where trainers look, first ")
    assert second.startswith("1 of 3 images of 'train' have no label file, expected files such as ")


def test_predictions_of_another_split_are_said(read: Any, tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    for i in range(7):
        (tmp_path / "found" / f"other{i}.txt").write_text(f"{BOX} 0.9")
    with pytest.warns(UserWarning, match="predict") as said:
        read([BOX] * 4, [f"{BOX} 0.9", None, None, None])
    first, second = (str(one.message) for one in said)
    assert "7 of 8 prediction files belong to no image of 'train', and only 1 of its 4 images have one" in first
    assert "3 of the 4 images with objects have no predictions" in second


def test_the_names_of_the_model_may_be_given(read: Any) -> None:
    found = ["2 0.5 0.5 0.2 0.2 0.9"] * 12
    with pytest.raises(ValueError, match=r"class 2, expected 0 to 1: .*--prediction-names"):
        read([BOX] * 12, found)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictions, truth = read([BOX] * 12, found, prediction_names=["swan", "duck", "goose"])
    assert predictions.classes == truth.classes == ("goose", "swan", "duck")
    assert predictions.label.tolist() == truth.label.tolist()
    with pytest.warns(UserWarning, match=r"on 0% of 12 overlapping boxes.*would fit: 'swan' as 'goose'"):
        read([BOX] * 12, ["1 0.5 0.5 0.2 0.2 0.9"] * 12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("names: [no, goose]", "the name of class 0, no, is read by YAML as False; write it in quotes: 'no'"),
        ("names: {0: goose, 1: 1.20}", "the name of class 1, 1.20, is read by YAML as 1.2; write it in quotes"),
        ("names: [007, goose]", "the name of class 0, 007, is read by YAML as 7"),
        ("names: [goose, ~]", "the name of class 1 is ~, expected text"),
        ("names: [goose, [swan]]", "the name of class 1 is \\['swan'\\], expected text"),
        ("names: [goose, swan, goose]", "'goose' for class 0 and for class 2"),
        ("nc: 1000000000", "nc: 1000000000 and no names; names for at most 100000"),
        ("names: [goose, swan]\nnc: 3", "has 2 names and nc: 3, .*correct one of the two"),
        ("names: [goose, swan]\nnc: two", "has 2 names and nc: 'two'"),
        ('names: ["\\ud800"]', "is not valid text"),
        ("names: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
    ],
)
def test_names_that_are_no_text_are_quoted(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "data.yaml"
    path.write_text(f"{text}\n")
    with pytest.raises(ValueError, match=rf"data\.yaml.*{said}"):
        class_names(path, read_data_yaml(path))


def test_a_number_of_classes_that_is_the_number_of_names_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text("names: [goose, swan]\nnc: 2\n")
    assert class_names(path, read_data_yaml(path)) == ("goose", "swan")


def test_plain_numbers_are_names(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text("names: [0, 1, 2.5, 'yes']\n")
    assert class_names(path, read_data_yaml(path)) == ("0", "1", "2.5", "yes")


@pytest.mark.parametrize("line", ["train: 5", "train: true", "train: {a: b}", "train: [1, 2]", "path: 5", "path: [a]"])
def test_places_that_are_no_text_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "data.yaml"
    path.write_text(f"names: [goose]\n{line}\n" + ("" if line.startswith("train") else "train: images\n"))
    with pytest.raises(ValueError, match=rf"data\.yaml has {line.split(':')[0]}: .*, expected the path of a folder"):
        split_images(path, "train")
