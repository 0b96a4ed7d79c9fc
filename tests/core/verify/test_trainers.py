"""Every trainer reads the layouts that are written for it as promised, and says of the others why not."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core.columns import CROWD
from hnm_core.export import ExportSettings, ExportSummary, export_weighted
from hnm_core.io.data_yaml import FORMATS
from hnm_core.verify import TRAINERS, verify_export
from hnm_core.verify.loaders import FOLDER_LOADERS, LOADERS, OFFLINE, load_boxes, load_folders, offline
from hnm_core.verify.yolo import Fault, listed_images
from tests.exports import CLASSES, TRUTH, entries, photographs

pytest.importorskip("yaml", reason="PyYAML reads data.yaml")
pytest.importorskip("PIL", reason="Pillow reads the size of images")

CROWDED = replace(
    TRUTH,
    image=np.append(TRUTH.image, 2),
    xyxy=np.vstack([TRUTH.xyxy, [[0.1, 0.1, 0.4, 0.4]]]),
    label=np.append(TRUTH.label, 0),
    kind=np.append(TRUTH.kinds(), np.uint8(CROWD)),
)
"""The same with a crowd in `yard`."""


def export(folder: Path, truth: Any = TRUTH, without: str = "", **options: Any) -> ExportSummary:
    images = [one for one in entries(photographs(folder / "originals")) if one.split != without]
    facts: dict[str, Any] = {"report": {}, "run_key": "one", "settings": ExportSettings(**options)}
    return export_weighted(folder / "out", images, truth, **facts)


def rows(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text()))


@pytest.fixture(params=["rules", "loader"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the trainers' own loaders run."""
    if request.param == "rules":
        for load in ("coco.load_boxes", "yolo_folders.load_folders"):
            monkeypatch.setattr(f"hnm_core.verify.{load}", lambda *_: None)
    return str(request.param)


def needs(package: str) -> None:
    if any(find_spec(name) is None for name in (package, "torch", "pycocotools")):
        pytest.skip(f"the loader of {package} or what it needs is not installed")


PROMISED: list[tuple[str, dict[str, Any]]] = [
    ("rfdetr", {"layout": "rfdetr"}),
    ("rfdetr", {"layout": "rfdetr", "media": "reference"}),
    ("rfdetr", {"layout": "yolov5"}),
    ("dfine", {"layout": "coco", "first_category_id": 0}),
    ("dfine", {"layout": "rfdetr", "first_category_id": 0}),
    ("transformers", {"layout": "coco", "first_category_id": 0}),
    ("lightly", {"layout": "coco"}),
    ("lightly", {"layout": "rfdetr"}),
    ("lightly", {"layout": "yolov5"}),
    ("libreyolo", {"layout": "ultralytics"}),
    ("libreyolo", {"layout": "yolov5"}),
    ("torch", {"layout": "torch"}),
    ("mmdet", {"layout": "rfdetr"}),
]


@pytest.mark.parametrize(("trainer", "options"), PROMISED, ids=lambda value: " ".join(map(str, _values(value))))
def test_what_is_promised_is_drawn(tmp_path: Path, reader: str, trainer: str, options: dict[str, Any]) -> None:
    folders = options["layout"] in ("ultralytics", "yolov5")
    if reader == "loader":
        needs((FOLDER_LOADERS if folders else LOADERS).get(trainer, ("no loader",))[0])
    export(tmp_path, **options)
    found = verify_export(tmp_path / "out", trainer)
    assert found.ok, found.problems
    street = [pair for name, pair in found.repeats.items() if "street" in name]
    assert street == [(2, 2)]
    assert found.images == {"train": 3, "val": 1}
    draws = 4.5 if trainer == "torch" else 4
    assert found.entries["train"] == 4  # 4.5 rounded, a half down
    assert found.background_share == pytest.approx((1.5 if trainer == "torch" else 1) / draws)
    assert found.read_with.startswith("its own") == (reader == "loader"), found.read_with


def _values(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else [value]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("rfdetr", {"layout": "ultralytics"}, "RF-DETR reads folders of images and not train.txt: it ends with FileNotFou"),
    ("lightly", {"layout": "ultralytics"}, "LightlyTrain reads folders of images and refuses train.txt: from the fold"),
    ("dfine", {"layout": "coco"}, "3 of 5 train boxes have a class number above 1, first 2 in box 2: D-FINE takes"),
    ("transformers", {"layout": "coco"}, "DETR takes it for no object without an error, RT-DETR and others end"),
    ("transformers", {"layout": "torch"}, "first_category_id 0"),
    ("torch", {"layout": "coco"}, "torch draws 1 of 3 train images not as often as weights.csv promises"),
]


@pytest.mark.parametrize(("trainer", "options", "sentence"), REFUSED)
def test_what_a_trainer_misreads_is_said(tmp_path: Path, trainer: str, options: dict[str, Any], sentence: str) -> None:
    export(tmp_path, **options)
    found = verify_export(tmp_path / "out", trainer)
    assert sentence in "\n".join(found.problems)


LISTERS: dict[str, Callable[[Path], Any]] = {
    "rfdetr": lambda folder: import_module("rfdetr.datasets.yolo")._list_yolo_image_paths(str(folder)),
    "lightly": lambda folder: import_module("lightly_train._data.file_helpers").list_image_filenames_from_dir(folder),
    "libreyolo": lambda folder: import_module("libreyolo.data.utils").get_img_files(folder),
}
"""How each trainer lists a folder of images itself."""


@pytest.mark.parametrize("trainer", FOLDER_LOADERS)
def test_the_files_that_count_as_images_are_those_that_the_trainer_lists(tmp_path: Path, trainer: str) -> None:
    needs(FOLDER_LOADERS[trainer][0])
    images = tmp_path / "images" / "train"
    images.mkdir(parents=True)
    for suffix in sorted(FORMATS["ultralytics"]):
        (images / f"{suffix}.{suffix}").touch()
        (images / f"{suffix}_.{suffix.upper()}").touch()
    (tmp_path / "data.yaml").write_text("train: images/train\nval:\nnames: [cat]\n")
    ours = {path.name for path in listed_images(tmp_path, trainer, tmp_path)[0]["train"]}
    assert len(ours) >= 2 * 7
    assert ours == {Path(path).name for path in LISTERS[trainer](images)}


@pytest.mark.parametrize("trainer", FOLDER_LOADERS)
def test_its_own_loader_draws_what_the_rules_say(tmp_path: Path, trainer: str) -> None:
    """Of all layouts, with a crowd, and of a folder whose labels are partly missing."""
    needs(FOLDER_LOADERS[trainer][0])
    for layout in ("ultralytics", "yolov5", "coco", "rfdetr", "torch"):
        folder = tmp_path / layout
        folder.mkdir()
        export(folder, CROWDED, layout=layout)
        if layout == "yolov5":
            (folder / "out" / "labels" / "train" / "yard.txt").unlink()
        try:
            one = verify_export(folder / "out", trainer)
        except FileNotFoundError:
            continue
        with pytest.MonkeyPatch.context() as without:
            for load in ("coco.load_boxes", "yolo_folders.load_folders"):
                without.setattr(f"hnm_core.verify.{load}", lambda *_: None)
            other = verify_export(folder / "out", trainer)
        own, rules = one.as_dict(), other.as_dict()
        assert rules.pop("read_with") != own.pop("read_with") or one.problems
        assert own == rules


LINES: dict[Fault, str] = {
    Fault.NUMBERS: "0 0.5 0.5 wide 0.1\n",
    Fault.COLUMNS: "0 0.5 0.5 0.1\n",
    Fault.CLASS: "7 0.5 0.5 0.1 0.1\n",
    Fault.OUTSIDE: "0 1.2 0.5 0.5 0.1\n",
}


@pytest.mark.parametrize("fault", LINES, ids=lambda fault: fault.name)
@pytest.mark.parametrize("trainer", FOLDER_LOADERS)
def test_a_bad_line_does_what_is_said_of_it(tmp_path: Path, trainer: str, fault: Fault) -> None:
    export(tmp_path, layout="yolov5")
    out = tmp_path / "out"
    file = out / "labels" / "train" / "yard.txt"
    file.write_text(file.read_text() + LINES[fault])
    found = verify_export(out, trainer)
    said = next(sentence for sentence in found.problems if fault.value in sentence)
    assert not found.differing  # the image is drawn all the same
    needs(FOLDER_LOADERS[trainer][0])
    loaded = load_folders(trainer, out, {"train": "images/train"}, tuple(CLASSES))
    assert (loaded is None) == said.endswith("ends with an error"), said
    if loaded is not None:
        boxes = {one.image.name: one.boxes for one in loaded[0]["train"]}
        assert boxes["yard.png"] == (1 if "leaves these boxes out" in said else 2)


def test_the_settings_printed_for_lightlytrain_are_settings_that_it_takes(tmp_path: Path) -> None:
    needs("lightly_train")
    config = import_module("lightly_train._commands.train_task").ObjectDetectionTrainTaskConfig
    for layout in ("coco", "rfdetr", "yolov5"):
        folder = tmp_path / layout
        folder.mkdir()
        export(folder, layout=layout)
        printed = verify_export(folder / "out", "lightly").overrides
        train = dict(re.findall(r"'(annotations|images)': '(.*?)'", printed))
        world = {"VAL": train}
        exec(printed.replace("'val': ...", "'val': VAL"), world)
        data = config(data=world["data"], model="picodet/s-416", out="unused").data
        assert len(list(data.get_train_args().list_image_info())) == 4


def test_the_folders_of_roboflow(tmp_path: Path) -> None:
    summary = export(tmp_path, layout="rfdetr")
    out = tmp_path / "out"
    assert summary.data == out
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["train", "valid"]
    train = rows(out / "train" / "_annotations.coco.json")
    assert [image["file_name"] for image in train["images"]] == ["street.png", "street.png", "field.png", "yard.png"]
    assert all((out / "train" / image["file_name"]).is_file() for image in train["images"])
    assert [image["file_name"] for image in rows(out / "valid" / "_annotations.coco.json")["images"]] == ["check.png"]
    assert all(row["area"] > 0 for row in train["annotations"])
    assert train["categories"] == [{"id": 1, "name": CLASSES[0]}, {"id": 2, "name": CLASSES[1]}]
    assert f"train(dataset_dir='{out}', class_names=" in summary.train_with


def test_without_images_to_validate_on_rfdetr_finds_an_empty_list(tmp_path: Path) -> None:
    summary = export(tmp_path, without="val", layout="rfdetr")
    valid = tmp_path / "out" / "valid" / "_annotations.coco.json"
    assert rows(valid)["images"] == []
    assert any(sentence.startswith("valid/_annotations.coco.json lists no image") for sentence in summary.warnings)
    valid.unlink()
    found = verify_export(tmp_path / "out", "rfdetr")
    assert found.problems == ("valid/_annotations.coco.json does not exist: RF-DETR does not start without it",)


def test_numbers_from_zero_are_verified_for_those_who_need_them(tmp_path: Path) -> None:
    summary = export(tmp_path, layout="coco", first_category_id=0)
    train = rows(tmp_path / "out" / "annotations" / "train.json")
    assert [category["id"] for category in train["categories"]] == [0, 1]
    assert [row["category_id"] for row in train["annotations"]] == [0, 1, 0, 1, 1]
    assert set(summary.verification) == {"coco", "mmdet", "detectron2", "dfine", "transformers"}
    assert "num_labels=2" in summary.train_with
    assert "drop_last=False" in summary.train_with
    assert any("D-FINE drops an incomplete last batch: with a batch of more than 4" in s for s in summary.warnings)


def test_torchvision_needs_numbers_from_one_and_empty_boxes(tmp_path: Path) -> None:
    summary = export(tmp_path, layout="torch", first_category_id=0)
    said = "\n".join(summary.warnings)
    assert "the first class has number 0, which torchvision's detectors take for background" in said
    assert "1 train images are background: torchvision's wrap_dataset_for_transforms_v2 gives them a target" in said
    assert "num_classes=3, labels from 1" in summary.train_with
    assert "num_samples=4)" in summary.train_with
    assert summary.train_entries == summary.verification["torch"]["entries"]["train"] == 4


@pytest.mark.parametrize("layout", ["coco", "rfdetr", "torch"])
def test_crowds_are_written_or_left_out_by_choice(tmp_path: Path, layout: str) -> None:
    file = tmp_path / "out" / ("train/_annotations.coco.json" if layout == "rfdetr" else "annotations/train.json")
    export(tmp_path, CROWDED, layout=layout)
    assert sum(row["iscrowd"] for row in rows(file)["annotations"]) == 1
    lightly = verify_export(tmp_path / "out", "lightly").problems
    assert any(sentence.startswith("1 crowds become objects, since LightlyTrain") for sentence in lightly)
    other = tmp_path / "other"
    other.mkdir()
    summary = export(other, CROWDED, layout=layout, crowds="leave_out")
    file = other / "out" / file.relative_to(tmp_path / "out")
    assert not any(row["iscrowd"] for row in rows(file)["annotations"])
    assert any("1 ignored regions (crowds among them) cannot be written" in sentence for sentence in summary.warnings)
    assert not any("crowds" in sentence for sentence in verify_export(other / "out", "lightly").problems)


def test_crowds_can_be_grey_where_they_are_not_written(tmp_path: Path) -> None:
    from PIL import Image

    export(tmp_path, CROWDED, layout="rfdetr", crowds="leave_out", ignored_regions="grey")
    with Image.open(tmp_path / "out" / "train" / "yard.png") as picture:
        assert picture.getpixel((20, 12)) == (114, 114, 114)


def without_area(out: Path) -> None:
    file = out / "train" / "_annotations.coco.json"
    content = rows(file)
    del content["annotations"][0]["area"]
    file.write_text(json.dumps(content))


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "an area": (without_area, "1 train boxes have no area, first 1: rfdetr ends with KeyError"),
    "an image": (lambda out: (out / "train" / "yard.png").unlink(), "1 images are missing, first train/yard.png"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_in_roboflows_folders_are_found(tmp_path: Path, fault: str) -> None:
    export(tmp_path, layout="rfdetr")
    break_it, sentence = FAULTS[fault]
    break_it(tmp_path / "out")
    assert sentence in "\n".join(verify_export(tmp_path / "out", "rfdetr").problems)


def test_without_a_val_split_folder_trainers_do_not_start(tmp_path: Path) -> None:
    export(tmp_path, without="val", layout="yolov5")
    for trainer, name in (("rfdetr", "RF-DETR"), ("lightly", "LightlyTrain")):
        problems = verify_export(tmp_path / "out", trainer).problems
        assert problems == (f"data.yaml has no val split: {name} does not start without it",)
    assert verify_export(tmp_path / "out", "libreyolo").ok


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_folder_without_an_export_is_refused(tmp_path: Path, trainer: str) -> None:
    with pytest.raises(FileNotFoundError, match=rf"has no export for {trainer}: .* does not exist"):
        verify_export(tmp_path, trainer)


def test_a_loader_that_cannot_run_leaves_the_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(tmp_path, layout="torch")

    def broken(*_: Path) -> Any:
        raise AttributeError("its parts have other names")

    monkeypatch.setitem(LOADERS, "torch", (*LOADERS["torch"][:2], broken))
    assert load_boxes("torch", tmp_path / "out", tmp_path / "out" / "annotations" / "train.json") is None
    found = verify_export(tmp_path / "out", "torch")
    assert found.ok
    assert not found.read_with.startswith("its own")


def test_pycocotools_is_still_itself_after_every_loader(tmp_path: Path) -> None:
    needs("dfine")
    coco = import_module("pycocotools.coco")
    export(tmp_path, layout="coco", first_category_id=0)
    assert verify_export(tmp_path / "out", "dfine").read_with.startswith("its own")
    assert sys.modules["pycocotools.coco"] is coco
    assert coco.COCO.__module__ == "pycocotools.coco"


def test_loaders_are_imported_offline_and_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_OFFLINE", "no")
    monkeypatch.delenv("NO_ALBUMENTATIONS_UPDATE", raising=False)
    with offline():
        assert {name: os.environ[name] for name in OFFLINE} == OFFLINE
    assert os.environ["YOLO_OFFLINE"] == "no"
    assert "NO_ALBUMENTATIONS_UPDATE" not in os.environ
