"""YOLO folders: what is read of them, and what is said of broken ones, by file and line."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import Detections, mine
from hnm_core.io import read_coco, read_yolo, yolo_boxes, yolo_lines
from hnm_core.io.data_yaml import class_names, folder_images, label_file, read_data_yaml, split_images
from hnm_core.io.progress import silent
from hnm_core.io.yolo_boxes import FILES_AT_ONCE, read_boxes
from hnm_core.io.yolo_lines import RowKind, read_line_by_line, read_many, read_regular
from tests.scenes import patient

yaml = pytest.importorskip("yaml")


class Folder:
    """A YOLO data set being built: images are empty files, texts are written as given."""

    def __init__(self, root: Path, **config: Any) -> None:
        self.root = root
        self.config = {"path": ".", "train": "images/train", "names": ["cat", "dog"], **config}
        self.write("data.yaml", json.dumps(self.config))  # json is yaml

    def write(self, name: str, text: str = "") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def add(self, stem: str, labels: str | None = None, predictions: str | None = None, split: str = "train") -> None:
        self.write(f"images/{split}/{stem}.jpg")
        if labels is not None:
            self.write(f"labels/{split}/{stem}.txt", labels)
        if predictions is not None:
            self.write(f"found/{stem}.txt", predictions)

    def read(self, split: str = "train") -> tuple[Detections, Detections]:
        return read_yolo(self.root / "data.yaml", split, predictions=self.root / "found")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_what_is_read(folder: Folder) -> None:
    folder.add("b", "1 0.5 0.5 0.2 0.4\n", "0 0.25 0.5 0.5 1 0.75\n1 0.5 0.5 0 0 0.01\n")
    folder.add("a", "", None)  # background without predictions
    folder.add("ü c.x", None, "\n  1 0.5 0.5 1 1 1e-3  \n\n")  # no label file: background
    with pytest.warns(UserWarning, match=r"^1 of 3 images of 'train' have no label file, expected files such as .*ü c"):
        predictions, truth = folder.read()
    root = folder.root / "images" / "train"
    assert predictions.images == truth.images == tuple(str(root / f"{stem}.jpg") for stem in ("a", "b", "ü c.x"))
    assert predictions.classes == truth.classes == ("cat", "dog")
    assert truth.image.tolist() == [1]
    assert truth.label.tolist() == [1]
    assert truth.xyxy.tolist() == pytest.approx(np.array([[0.4, 0.3, 0.6, 0.7]]))
    assert truth.score is None
    assert predictions.image.tolist() == [1, 1, 2]
    assert predictions.label.tolist() == [0, 1, 1]
    assert predictions.score.tolist() == [0.75, 0.01, 0.001]  # type: ignore[union-attr]
    assert predictions.xyxy.tolist() == [[0, 0, 0.5, 1], [0.5, 0.5, 0.5, 0.5], [0, 0, 1, 1]]


def test_polygons_count_as_the_box_around_them(folder: Folder) -> None:
    polygon = "0.1 0.2 0.5 0.1 0.4 0.6"
    folder.add("a", f"0 {polygon}\n1 0.1 0.1 0.3 0.1 0.3 0.4 0.1 0.4", f"0 {polygon} 0.9")
    with pytest.warns(UserWarning, match="polygons: only the boxes around them are compared") as said:
        predictions, truth = folder.read()
    assert sorted(re.findall(r"(\d of \d \w+) are polygons", " ".join(str(each.message) for each in said))) == [
        "1 of 1 predictions",
        "2 of 2 labels",
    ]
    assert truth.xyxy == pytest.approx(np.array([[0.1, 0.1, 0.5, 0.6], [0.1, 0.1, 0.3, 0.4]]))
    assert predictions.xyxy == pytest.approx(truth.xyxy[:1])
    assert predictions.score.tolist() == [0.9]  # type: ignore[union-attr]


@pytest.mark.parametrize("names", [["cat", "dog"], {0: "cat", 1: "dog"}, {"1": "dog", "0": "cat"}])
def test_names_are_a_list_or_numbered(tmp_path: Path, names: Any) -> None:
    folder = Folder(tmp_path)
    folder.write("data.yaml", yaml.safe_dump({"train": "images/train", "names": names}))
    folder.add("a", "", "1 0.5 0.5 1 1 0.5")
    assert folder.read()[0].classes == ("cat", "dog")


def test_splits_are_folders_lists_of_folders_or_lists_of_images(tmp_path: Path) -> None:
    folder = Folder(tmp_path, train=["images/one", "images/two"], val="val.txt", test="lists/test.txt")
    for stem, split in (("a", "one"), ("b", "two/deeper"), ("c", "three")):
        folder.add(stem, split=split)
    folder.write("images/one/notes.txt")
    folder.write("val.txt", f"images/three/c.jpg\n{tmp_path}/images/one/a.jpg\nimages/three/c.jpg\n\n")
    folder.write("lists/test.txt", "./../images/three/c.jpg\n")
    data = tmp_path / "data.yaml"
    assert [image.name for image in split_images(data, "train")] == ["a.jpg", "b.jpg"]
    assert [image.name for image in split_images(data, "val")] == ["a.jpg", "c.jpg"]  # each once, sorted
    (image,) = split_images(data, "test")  # from beside the list, as Ultralytics reads ./
    assert image.resolve() == tmp_path / "images/three/c.jpg"


@pytest.mark.parametrize("path", [".", "", None, "sub"])
def test_a_relative_path_is_looked_for_beside_the_yaml(tmp_path: Path, path: str | None) -> None:
    folder = Folder(tmp_path, path=path)
    folder.write(f"{path or '.'}/images/train/a.png")
    assert split_images(tmp_path / "data.yaml", "train") == [tmp_path / (path or ".") / "images/train/a.png"]


def test_an_absolute_path_stands(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "here", path=str(tmp_path / "there"))
    (tmp_path / "there/images/train").mkdir(parents=True)
    (tmp_path / "there/images/train/a.PNG").touch()
    assert split_images(folder.root / "data.yaml", "train") == [tmp_path / "there/images/train/a.PNG"]


@pytest.mark.parametrize(
    "config",
    [
        {"train": "../train/images", "val": "../valid/images", "names": ["cat", "dog"]},  # as Roboflow exports it
        {"train": "train/images", "validation": "valid/images", "names": ["cat", "dog"]},
        {"train": "train/images", "val": "valid/images", "nc": 2},
        {
            "path": "set",
            "train": "train/images",
            "val": "valid/images",
            "names": ["cat", "dog"],
        },  # from where one works
    ],
)
def test_what_ultralytics_reads_is_read_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]
) -> None:
    check = pytest.importorskip("ultralytics.data.utils").check_det_dataset
    monkeypatch.chdir(tmp_path)
    Path("set").mkdir()
    for split in ("train", "valid"):
        Path(f"set/{split}/images").mkdir(parents=True)
        Path(f"set/{split}/images/a.jpg").touch()
    data = Path("set/data.yaml")
    data.write_text(json.dumps(config))
    expected, read = check(data), read_data_yaml(data)
    assert class_names(data, read) == tuple(expected["names"].values())
    for split in ("train", "val"):
        assert split_images(data, split) == [Path(expected[split]) / "a.jpg"]


def test_a_mark_of_utf8_at_the_start_of_a_file_is_none_of_its_content(tmp_path: Path) -> None:
    folder = Folder(tmp_path, train="train.txt")
    folder.add("a", "\ufeff0 0.5 0.5 0.2 0.2\n", "\ufeff1 0.5 0.5 0.2 0.2 0.9\n")
    folder.write("train.txt", "\ufeff./images/train/a.jpg\n")
    predictions, truth = folder.read()
    assert (predictions.label.tolist(), truth.label.tolist()) == ([1], [0])
    assert truth.images == (str(tmp_path / "images/train/a.jpg"),)


def loaded(data: Path) -> list[tuple[str, int]]:
    """The images that Ultralytics trains on, and how many boxes it finds in the labels of each."""
    utils = pytest.importorskip("ultralytics.data.utils")
    from ultralytics.data.base import BaseDataset

    images = BaseDataset.get_img_files(SimpleNamespace(prefix="", fraction=1.0), utils.check_det_dataset(data)["train"])
    labels = map(Path, utils.img2label_paths(images))
    return [
        (i, len(file.read_text().splitlines()) if file.exists() else 0) for i, file in zip(images, labels, strict=True)
    ]


def test_links_lead_to_images_and_labels_as_they_lead_ultralytics(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "set", path=None, train=["images/train", "images/more"], val="images/train")
    store = Folder(tmp_path / "store")
    box = "0 0.5 0.5 0.2 0.2\n"
    folder.add("a", box, "")
    store.add("b", box, split="whole")  # the entry itself is a link: labels lie beside its target
    (folder.root / "images/more").symlink_to(store.root / "images/whole")
    store.add("c", split="below")  # a folder within an entry: labels lie beside the link
    folder.write("labels/train/below/c.txt", box * 2)
    (folder.root / "images/train/below").symlink_to(store.root / "images/below")
    store.add("d", box, split="files")  # a file: likewise
    folder.write("labels/train/e.txt", box * 3)
    (folder.root / "images/train/e.jpg").symlink_to(store.root / "images/files/d.jpg")
    with pytest.warns(
        UserWarning, match="holds no predictions: all objects of the 4 images with objects count as miss"
    ):
        _, truth = folder.read()
    found = [(name, int((truth.image == i).sum())) for i, name in enumerate(truth.images)]
    expected = [("a.jpg", 1), ("c.jpg", 2), ("e.jpg", 3), ("b.jpg", 1)]
    assert [(Path(name).name, boxes) for name, boxes in found] == expected
    assert found == loaded(folder.root / "data.yaml")


def test_links_that_lead_back_are_not_followed(tmp_path: Path) -> None:
    images = tmp_path / "images"
    (images / "more").mkdir(parents=True)
    other = tmp_path / "other"
    other.mkdir()
    for file in (images / "a.jpg", images / "more/b.jpg", other / "c.jpg"):
        file.touch()
    for name, target in (("up", images), ("again", images), ("more/top", tmp_path), ("linked", other)):
        (images / name).symlink_to(target)
    (other / "back").symlink_to(other)  # each alone doubles the ways at every level: a listing that never ends
    (images / "broken").symlink_to(tmp_path / "nowhere")
    found = {path.relative_to(images).as_posix() for path in folder_images(images)}
    assert found == {"a.jpg", "more/b.jpg", "linked/c.jpg", "more/top/other/c.jpg"}


@pytest.mark.parametrize("entry", ["/", "//", "/usr/..", "../" * 60])
def test_the_whole_machine_is_no_folder_of_images(tmp_path: Path, entry: str) -> None:
    data = tmp_path / "data.yaml"
    data.write_text(f"train: {entry}\nnames: [cat]\n")
    with pytest.raises(ValueError, match=r"data\.yaml: split 'train': .*'/', all of this machine; name the folder"):
        split_images(data, "train")


def test_what_is_hidden_or_listed_twice_is_what_trainers_make_of_it(tmp_path: Path) -> None:
    train = ["images/train", "images/../images/train"]
    folder = Folder(tmp_path / "[set] 1", path=None, train=train, val="images/train")
    folder.add("a", "", "")
    folder.add(".b", "")
    folder.add("a-checkpoint", split="train/.ipynb_checkpoints")
    assert split_images(folder.root / "data.yaml", "train") == [folder.root / "images/train/a.jpg"]
    assert {image for image, _ in loaded(folder.root / "data.yaml")} == {str(folder.root / "images/train/a.jpg")}


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("set/images/train/a.jpg", "set/labels/train/a.txt"),
        ("images/images/a.b.jpg", "images/labels/a.b.txt"),  # the last one only
        ("set/train/images/a.jpg", "set/train/labels/a.txt"),
        ("set/pictures/a.jpg", "set/pictures/a.txt"),  # without an images folder: beside
        ("my_images/images.jpg", "my_images/images.txt"),
    ],
)
def test_labels_lie_where_ultralytics_looks_for_them(image: str, labels: str) -> None:
    assert label_file(Path(image)) == Path(labels)
    sub = pytest.importorskip("ultralytics.data.utils").img2label_paths([f"/{image}"])
    assert sub == [f"/{labels}"]


# Broken lines


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("0 0.5 0.5 1 one 0.9", "not numbers: '0 0.5 0.5 1 one 0.9'"),
        ("0 0.5 nan 1 1 0.9", "NaN or infinite: '0 0.5 nan 1 1 0.9'"),
        ("0 0.5 inf 1 1 0.9", "NaN or infinite: '0 0.5 inf 1 1 0.9'"),
        ("0 0.5 0.5 1 1", "no confidence in the sixth column; predict with save_conf=True"),
        (
            "0 0.5 0.5 1 1 90",
            "confidence 90.0 outside [0, 1]; is it a percentage, or a track id? Predict with save_conf=True",
        ),
        ("0 0.5 0.5 1 1 1.01", "confidence 1.01 outside [0, 1]"),
        ("0 0.5 0.5 1 1 -0.1", "confidence -0.1 outside [0, 1]"),
        (
            "2 0.5 0.5 1 1 0.9",
            "class 2, expected 0 to 1: data.yaml names 2 classes; the model's own names can be given with "
            "--prediction-names",
        ),
        ("-1 0.5 0.5 1 1 0.9", "class -1, expected 0 to 1: data.yaml names 2 classes"),
        ("0.5 0.5 0.5 1 1 0.9", "class 0.5, expected 0 to 1: data.yaml names 2 classes"),
        ("0 0.5 0.5 -1 1 0.9", "negative width or height: '0 0.5 0.5 -1 1 0.9'"),
        ("0 320 240 100 50 0.9", "not fractions of the image: '0 320 240 100 50 0.9'; are they pixels?"),
        ("0", "1 columns, expected class x y w h confidence"),
        ("0 0.5 0.5 0.9", "4 columns, expected class x y w h confidence"),
        ("0 0.1 0.1 0.1 0.1 0.1 0.9", "7 columns, expected class x y w h confidence"),
        ("\ufffd\ufffd", "not numbers: '\ufffd\ufffd'"),
    ],
)
def test_broken_predictions_are_named_by_file_and_line(folder: Folder, line: str, why: str) -> None:
    folder.add("a", "", f"0 0.5 0.5 1 1 0.9\n\n{line}\n")
    with pytest.raises(ValueError, match=r"^") as error:
        folder.read()
    assert str(error.value) == f"1 lines cannot be read, first {folder.root / 'found/a.txt'}:3: {why}"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("0 0.5 0.5 1", "4 columns, expected class x y w h"),
        ("0 0.5 0.5 1 1 0.9", "6 columns, expected class x y w h"),  # a prediction among the labels
        ("7 0.5 0.5 1 1", "class 7, expected 0 to 1: data.yaml names 2 classes"),
        ("0 50 50 10 10", "not fractions of the image: '0 50 50 10 10'; are they pixels?"),
    ],
)
def test_broken_labels_are_named_by_file_and_line_and_counted(folder: Folder, line: str, why: str) -> None:
    folder.add("a", "0 0.5 0.5 1 1\n" + f"{line}\n" * 3, "")
    with pytest.raises(ValueError, match=r"^") as error:
        folder.read()
    assert str(error.value) == f"3 lines cannot be read, first {folder.root / 'labels/train/a.txt'}:2: {why}"


def test_a_binary_label_file_is_a_broken_one(folder: Folder) -> None:
    folder.add("a", "", "")
    (folder.root / "labels/train/a.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match=r"^1 lines cannot be read, first .*a\.txt:1: not numbers: "):
        folder.read()


# Broken folders


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"train": None}, "{data} has no split 'train'; it has none"),
        ({"train": None, "val": "x", "test": "y"}, "{data} has no split 'train'; it has val, test"),
        ({"names": None}, "{data} has names: None, expected a list of class names, or a mapping of numbers to them"),
        ({"names": "cat"}, "{data} has names: 'cat', expected a list of class names, or a mapping of numbers to them"),
        ({"names": {"a": "cat"}}, "{data}: classes are numbered 'a', expected 0 to 0"),
        (
            {"names": ["cat", "cat"]},
            "{data}: names has 'cat' for class 0 and for class 1; each class needs a name of its own",
        ),
    ],
)
def test_a_data_yaml_that_says_too_little(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    folder = Folder(tmp_path, **config)
    folder.add("a", "", "")
    with pytest.raises(ValueError, match=r"^") as error:
        folder.read()
    assert str(error.value) == message.format(data=tmp_path / "data.yaml")


def test_class_numbers_with_gaps_are_refused(folder: Folder) -> None:
    folder.write("data.yaml", yaml.safe_dump({"train": "images/train", "names": {i: "x" for i in range(1, 8)}}))
    folder.add("a", "", "")
    with pytest.raises(ValueError, match=r"data\.yaml: classes are numbered 1, 2, 3, 4, 5 …, expected 0 to 6$"):
        folder.read()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", r"data\.yaml is not a mapping, expected train:, val: and names:$"),
        ("names: [cat", r"data\.yaml is not valid YAML: while parsing a flow sequence "),
    ],
)
def test_a_data_yaml_that_is_none(folder: Folder, text: str, message: str) -> None:
    folder.write("data.yaml", text)
    with pytest.raises(ValueError, match=message):
        folder.read()


def test_what_is_not_there_is_named(folder: Folder) -> None:
    with pytest.raises(FileNotFoundError, match=r"^no folder or list of images at .*images/train$"):
        folder.read()
    (folder.root / "images/train").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"data\.yaml: split 'train' has no images at .*images/train$"):
        folder.read()
    folder.add("a", "")
    with pytest.raises(FileNotFoundError, match=r"^no folder of predictions at .*found$"):
        folder.read()
    folder.write("found/other.txt")
    with pytest.raises(
        FileNotFoundError,
        match=r"found has no prediction file for any of the 1 images of 'train', expected names like a\.txt; predict "
        r"on this split with save_txt=True, save_conf=True$",
    ):
        folder.read()
    folder.write("found/labels/a.txt")
    with pytest.raises(FileNotFoundError, match=r"expected names like a\.txt; give .*found/labels$"):
        folder.read()
    with pytest.raises(FileNotFoundError, match=r"gone\.yaml"):
        read_yolo(folder.root / "gone.yaml", predictions=folder.root / "found")


def test_names_that_are_not_utf8_are_named(folder: Folder) -> None:
    folder.add("a", "", "0 0.5 0.5 1 1 0.9")
    os.rename(folder.write("images/train/b.jpg"), os.fsencode(folder.root) + b"/images/train/t\xfc.jpg")
    with pytest.raises(ValueError, match=r"data\.yaml: 1 of 2 images have a name that is not UTF-8, first ") as error:
        folder.read()
    assert str(error.value).endswith(r"train/t\udcfc.jpg'; rename them, and their labels and predictions")


def test_a_list_that_is_no_text_is_named(tmp_path: Path) -> None:
    folder = Folder(tmp_path, train="train.txt")
    (tmp_path / "train.txt").write_bytes(b"images/t\xfc.jpg\n")
    with pytest.raises(ValueError, match=r"train\.txt is not a list of images in UTF-8: 'utf-8' codec can't decode"):
        folder.read()


def test_images_of_one_name_cannot_be_told_apart(tmp_path: Path) -> None:
    folder = Folder(tmp_path, train="images")
    folder.add("a", "", "", split="one")
    folder.add("a", "", "", split="two")
    with pytest.raises(
        ValueError, match=r"one/a\.jpg and .*two/a\.jpg have the same name 'a', so their prediction files"
    ):
        folder.read()


def test_a_split_without_any_label_file_is_said_to_be_taken_for_background(folder: Folder) -> None:
    folder.add("a", None, "0 0.5 0.5 1 1 0.9")
    with pytest.warns(
        UserWarning, match=r"^none of the 1 images of 'train' has a label file, expected files such as .*a\.txt"
    ):
        _, truth = folder.read()
    assert len(truth) == 0
    folder.add("b", "", None)
    with pytest.warns(UserWarning, match=r"^1 of 2 images of 'train' have no label file"):
        folder.read()
    folder.write("labels/train/a.txt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folder.read()


# Real sets


def with_predictions_as_text(source: Path, split: str, out: Path) -> tuple[Path, Path]:
    """Their results json as Ultralytics' text files."""
    world = json.loads((source / f"coco/instances_{split}.json").read_text())
    images = {image["id"]: image for image in world["images"]}
    lines = defaultdict(list)
    for row in json.loads((source / f"preds/predictions_{split}.json").read_text()):
        image = images[row["image_id"]]
        (x, y, w, h), (width, height) = row["bbox"], (image["width"], image["height"])
        centre = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
        lines[Path(image["file_name"]).stem].append(
            " ".join(map(repr, (row["category_id"] - 1, *centre, row["score"])))
        )
    out.mkdir(parents=True)
    for stem, rows in lines.items():
        (out / f"{stem}.txt").write_text("\n".join(rows) + "\n")
    return source / "data.yaml", out


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("name", ["bccd", "cards"])
def test_text_and_json_of_real_sets_are_mined_alike(shared_data: Path, tmp_path: Path, name: str, split: str) -> None:
    data, found = with_predictions_as_text(shared_data / name, split, tmp_path / "labels")
    text = mine(*read_yolo(data, split, predictions=found))
    json_ = mine(
        *read_coco(
            *(shared_data / name / file for file in (f"coco/instances_{split}.json", f"preds/predictions_{split}.json"))
        )
    )
    assert [Path(key).name for key in text.truth.images] == sorted(Path(key).name for key in json_.truth.images)
    assert text.report.counts == json_.report.counts
    assert text.report.errors == json_.report.errors
    assert text.truth.classes == json_.truth.classes

    def per_image(result: Any, column: Any) -> dict[str, Any]:
        return {Path(key).name: value for key, value in zip(result.truth.images, column.tolist(), strict=True)}

    assert per_image(text, text.hard_counts) == per_image(json_, json_.hard_counts)
    scores = per_image(text, text.image_scores)
    assert scores == pytest.approx(per_image(json_, json_.image_scores), abs=1e-5)  # text has six digits of a label


@pytest.mark.parametrize(("name", "images", "boxes"), [("bccd", 255, 3456), ("cards", 252, 445)])
def test_labels_of_real_sets_are_what_their_files_hold(
    shared_data: Path, tmp_path: Path, name: str, images: int, boxes: int
) -> None:
    data, found = with_predictions_as_text(shared_data / name, "train", tmp_path / "labels")
    predictions, truth = read_yolo(data, predictions=found)
    assert (len(truth.images), len(truth)) == (images, boxes)
    lines = [
        (Path(image).stem, line.split())
        for image in truth.images
        for line in label_file(Path(image)).read_text().splitlines()
    ]
    assert [(Path(truth.images[i]).stem, int(label)) for i, label in zip(truth.image, truth.label, strict=True)] == [
        (stem, int(words[0])) for stem, words in lines
    ]
    x0, y0, x1, y1 = truth.xyxy.T
    read = np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], axis=1)
    assert read == pytest.approx(np.array([[float(word) for word in words[1:]] for _, words in lines]))
    files = Counter(Path(predictions.images[i]).stem for i in predictions.image)
    assert files == {path.stem: len(path.read_text().splitlines()) for path in found.iterdir()}


# Reading many files at once


NUMBER = st.floats(0, 1).map(lambda value: f"{value:.6g}")
LINE = st.tuples(st.sampled_from(["0", "1", "1.0"]), *[NUMBER] * 4).map(" ".join)
ODD = st.sampled_from(["", "  ", "0 .5 .5 1 1", "1  5e-1 0.5\t0.25 0.125 ", "0 0.1 0.1 0.3 0.1 0.3 0.4 0.1 0.4", "0 1"])
TEXT = st.lists(LINE | ODD, max_size=4).flatmap(
    lambda lines: st.sampled_from(["\n", "\r\n"]).flatmap(
        lambda end: st.sampled_from([end.join(lines), "".join(line + end for line in lines)])
    )
)


def by_arrow(texts: yolo_lines.Texts, kind: RowKind) -> Any:
    """What Arrow makes of the texts, however few they are."""
    pytest.importorskip("pyarrow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yolo_lines, "MANY", 1)
        return read_many(texts, kind)


@pytest.mark.parametrize("read", [read_regular, by_arrow])
@patient
@given(st.lists(LINE, max_size=4).map("\n".join) | TEXT, st.lists(TEXT, min_size=1, max_size=4), st.booleans())
def test_files_read_at_once_are_what_they_are_line_by_line(
    read: Any, regular: str, odd: list[str], mixed: bool
) -> None:
    texts = [(3 * i, text.encode()) for i, text in enumerate([regular, *(odd if mixed else [regular])])]
    files = [Path(f"{i}.txt") for i in range(3 * len(texts))]
    at_once = read(texts, RowKind(2, False))
    table, broken, *_ = read_line_by_line(texts, files, RowKind(2, False))
    if at_once is not None:
        assert broken == []
        assert at_once.tolist() == table.tolist()
    elif not mixed and regular:
        lines = regular.split("\n")
        spaced = read is by_arrow and any(line != " ".join(line.split()) for line in lines)  # loadtxt takes them, too
        assert "\r" in regular or any(len(line.split()) != 5 for line in lines) or broken or spaced


DECIMAL = st.from_regex(r"[0-9]{0,9}(\.[0-9]{0,9})?", fullmatch=True).filter(lambda text: text.strip("."))


@pytest.mark.parametrize("read", [read_regular, by_arrow])
@given(rows=st.lists(st.tuples(st.integers(0, 1), *[st.floats(0, 1).map(str) | DECIMAL] * 4), min_size=1, max_size=4))
def test_decimals_read_at_once_are_the_nearest_numbers(read: Any, rows: list[tuple[int, str, str, str, str]]) -> None:
    text = "\n".join(f"{label} {' '.join(box)}" for label, *box in rows)
    at_once = read([(0, text.encode())], RowKind(2, False))
    if at_once is not None:  # a number beyond 2 is no fraction
        assert at_once[:, 2:6].tolist() == [list(map(float, box)) for _, *box in rows]


@pytest.mark.parametrize("read", [read_regular, by_arrow])
def test_what_yolo_writes_is_read_at_once(read: Any) -> None:
    """Else the way round it would be taken always, and nobody would notice but for the time."""
    text = "0 0.5 0.25 0.125 1 0.9\n79 0.1 0.2 0.3 0.4 1e-05\n"
    assert read([(0, b""), (4, text.encode()), (5, text.rstrip().encode())], RowKind(80, True)) is not None


@pytest.mark.parametrize(
    "line",
    [
        *(
            "0 0.5 0.5 0.2 0.2\r0 0.5 0.5 0.2 0.2",
            "0 0.5 0.5 0.2",
            "0 0.5 0.5 0.2 ",
            "0 0.5 0.5 0.2 nan",
            "0 0.5 0.5 -0.1 0.1",
        ),
        *("2 0.5 0.5 0.2 0.2", "0.5 0.5 0.5 0.2 0.2", "-1 0.5 0.5 0.2 0.2", "0 -5 0.5 0.2 0.2", "0 0.5 5 0.2 0.2"),
        *('0 "0.5" 0.5 0.2 0.2', "\ufeff0 0.5 0.5 0.2 0.2", "0 0.5 0.5 0.2 0.2 0.2", "", "0 0.5 inf 0.2 0.2"),
    ],
)
def test_arrow_reads_no_line_that_is_no_valid_box(line: str) -> None:
    good = "1 0.5 0.5 0.2 0.2\n"
    assert by_arrow([(0, good.encode())], RowKind(2, False)).tolist() == [[0, 1, 0.5, 0.5, 0.2, 0.2, 1]]
    assert by_arrow([(0, (good + line + "\n" + good).encode())], RowKind(2, False)) is None


def test_blocks_of_any_size_hold_the_same_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [[f"{i % 3} 0.{i + 1} 0.5 0.25 0.125" for i in range(count)] for count in (3, 0, 40, 1, 7)]
    files = [tmp_path / f"{i}.txt" for i in range(len(rows) + 1)]  # the last one does not exist
    for file, lines in zip(files, rows, strict=False):
        file.write_text("\n".join(lines))
    expected = None
    for bytes_at_once, many in ((2**22, 2**20), (1, 2**20), (100, 1), (2**22, 1)):
        monkeypatch.setattr(yolo_boxes, "BYTES_AT_ONCE", bytes_at_once)
        monkeypatch.setattr(yolo_lines, "MANY", many)
        boxes = read_boxes(files, RowKind(3, False), silent)
        found = [column.tolist() for column in (boxes.image, boxes.xyxy, boxes.label, boxes.score)]
        expected = expected or found
        assert found == expected
        assert found[0] == np.repeat(range(len(rows)), list(map(len, rows))).tolist()
        assert found[1][0] == [0.1 - 0.25 / 2, 0.5 - 0.125 / 2, 0.1 + 0.25 / 2, 0.5 + 0.125 / 2]


@pytest.mark.filterwarnings("ignore:labels of .* agree with")
def test_one_odd_file_among_many_is_found_where_it_is(folder: Folder) -> None:
    count = 2 * FILES_AT_ONCE + 3
    for i in range(count):
        folder.add(
            f"{i:05d}", "0 0.5 0.5 1 1\n", "\n0 0.5 0.5 1 1 0.5" if i == FILES_AT_ONCE else "1 0.5 0.5 1 1 0.25\n"
        )
    told = []

    def progress(share: float, label: str) -> None:
        if share in (0.5, 1):
            told.append(label)

    predictions, truth = read_yolo(folder.root / "data.yaml", predictions=folder.root / "found", progress=progress)
    assert told[0] == f"reading predictions: {count:,} of {count:,}"
    assert told[-1] == f"reading labels: {count:,} of {count:,}"
    assert predictions.image.tolist() == truth.image.tolist() == list(range(count))
    assert np.flatnonzero(predictions.label == 0).tolist() == [FILES_AT_ONCE]
    folder.write(f"found/{count - 1:05d}.txt", "0 0.5 0.5 1 1 0.5\n0 0.5 0.5 1 1 5\n")
    with pytest.raises(
        ValueError, match=rf"^1 lines cannot be read, first .*{count - 1:05d}\.txt:2: confidence 5.0 outside"
    ):
        folder.read()
