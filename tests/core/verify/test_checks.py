"""An export read back: what is promised, what the trainer draws, and every way in which the two can part."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hnm_core import cli
from hnm_core.export import export_weighted
from hnm_core.io.data_yaml import label_file
from hnm_core.io.progress import silent
from hnm_core.verify import Verification, verify_export
from hnm_core.verify.pixels import ImageChecks
from hnm_core.verify.reading import DrawnImage, TrainerReading
from hnm_core.verify.yolo import read_by_rules
from tests.exports import TRUTH, entries, photographs

pytest.importorskip("yaml", reason="PyYAML reads data.yaml")
Image = pytest.importorskip("PIL.Image", reason="Pillow reads and writes images")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export for Ultralytics: street twice, field (background) and yard once, check in val."""
    images = entries(photographs(tmp_path / "originals", ".jpg"))
    export_weighted(tmp_path / "out", images, TRUTH, report={}, run_key="one")
    return tmp_path / "out"


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_ultralytics_own_loader_reads_what_is_promised(export: Path) -> None:
    ultralytics = pytest.importorskip("ultralytics", reason="Ultralytics reads the export")
    before = files(export)
    found = verify_export(export, "ultralytics")
    assert found.ok, found.problems
    assert found.read_with == f"its own YOLODataset, version {ultralytics.__version__}"
    assert found.repeats == {
        "images/train/street.jpg": (2, 2),
        "images/train/field.jpg": (1, 1),
        "images/train/yard.jpg": (1, 1),
    }
    assert (found.images, found.entries) == ({"train": 3, "val": 1}, {"train": 4, "val": 1})
    assert found.background_share == 0.25
    assert found.effective_sample_size == pytest.approx(16 / (3 * 6))
    assert files(export) == before, "the loader's cache was left in the export"


def test_the_rules_read_what_the_loader_reads(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ultralytics", reason="Ultralytics reads the export")
    by_loader = verify_export(export, "ultralytics").as_dict()
    monkeypatch.setattr("hnm_core.verify.yolo.find_spec", lambda name: None)
    by_rules = verify_export(export, "ultralytics").as_dict()
    assert by_rules.pop("read_with") == "its documented rules"
    assert by_loader.pop("read_with") != "its documented rules"
    assert by_rules == by_loader


def test_it_tells_people_and_programs(export: Path) -> None:
    found = verify_export(export, "ultralytics")
    assert "correct" in str(found)
    assert "train  3 images, 4 drawn an epoch" in str(found)
    assert "repeats as promised: 2 × 1, 1 × 2" in str(found)
    assert "background 25.0% of the train entries, effective sample size 0.89" in str(found)
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["ok"]
    assert plain["repeats"]["images/train/street.jpg"] == {"promised": 2, "effective": 2}
    assert "repeats" not in found.as_dict(per_image=False)


def test_a_box_that_is_written_in_two_ways_counts_once(tmp_path: Path) -> None:
    image = tmp_path / "images" / "yard.png"
    (tmp_path / "labels").mkdir()
    label_file(image).write_text("0 0.5 0.5 0.2 0.2\n0 0.50 .5 2e-1 0.2\n0 0.5 0.5 0.3 0.2\n")
    reading = TrainerReading("rules", listed={"train": [image]})
    read_by_rules(reading, 1, ImageChecks(), silent)
    assert reading.splits == {"train": [DrawnImage(image, 2)]}
    assert not reading.problems


def test_yolov5_drops_repeated_lines(export: Path) -> None:
    found = verify_export(export, "yolov5")
    assert not found.ok
    text = "\n".join(found.problems)
    assert "YOLOv5 drops 1 repeated lines of train silently" in text
    assert "yolov5 draws 1 of 3 train images not as often as weights.csv promises (0 of them never), first" in text
    assert "resolves relative to its own code" in text
    assert "repeats promised 2 × 1, 1 × 2; effective 3 × 1" in str(found)


def truncate(export: Path) -> None:
    image = export / "images/train/yard.jpg"
    image.write_bytes(image.read_bytes()[:300])


def leak(export: Path) -> None:
    (export / "images/val/other.jpg").write_bytes((export / "images/train/yard.jpg").read_bytes())
    (export / "labels/val/other.txt").write_text("")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a line lost": (
        lambda e: (e / "train.txt").write_text("./images/train/street.jpg\n./images/train/yard.jpg\n"),
        "ultralytics draws 2 of 3 train images not as often as weights.csv promises (1 of them never), first "
        "images/train/street.jpg: 1 instead of 2",
    ),
    "an image lost": (
        lambda e: (e / "images/train/yard.jpg").unlink(),
        "1 images are missing, first images/train/yard.jpg: trainers drop them silently",
    ),
    "an image cut short": (truncate, "1 images are not readable ("),
    "an image of nothing": (lambda e: (e / "images/train/yard.jpg").write_bytes(b""), "not readable (empty)"),
    "a label file lost": (
        lambda e: (e / "labels/train/yard.txt").unlink(),
        "1 images have no label file, first images/train/yard.jpg: they are read as background",
    ),
    "a box outside": (
        lambda e: (e / "labels/train/yard.txt").write_text("0 1.5 0.5 0.1 0.1\n"),
        "ultralytics draws 1 of 3 train images not as often as weights.csv promises (1 of them never)",
    ),
    "a class too many": (
        lambda e: (e / "labels/train/yard.txt").write_text("2 0.5 0.5 0.1 0.1\n"),
        "ultralytics draws 1 of 3 train images not as often as weights.csv promises (1 of them never)",
    ),
    "nothing to learn": (
        lambda e: [file.write_text("") for file in (e / "labels/train").iterdir()],
        "no train image has a box: there is nothing to learn",
    ),
    "val weighted": (
        lambda e: edit(e / "weights.csv", "val,1.0", "val,1.5"),
        "weights.csv has weights for 1 val or test images, first images/val/check.jpg (val): weighting them would bias",
    ),
    "val drawn twice": (
        lambda e: (
            edit(e / "data.yaml", "val: images/val", "val: val.txt"),
            (e / "val.txt").write_text("./images/val/check.jpg\n" * 2),
        ),
        "1 val images are drawn more than once, first images/val/check.jpg: that biases the evaluation",
    ),
    "a leak": (leak, "1 val or test images are train images too, first images/val/other.jpg as"),
    "val trained on": (
        lambda e: (e / "train.txt").write_text((e / "train.txt").read_text() + "./images/val/check.jpg\n"),
        "1 images are read as train, but weights.csv has them in val, first images/val/check.jpg",
    ),
    "promises lost": (lambda e: (e / "weights.csv").unlink(), "weights.csv does not exist"),
    "a promise lost": (
        lambda e: (e / "weights.csv").write_text("\n".join((e / "weights.csv").read_text().splitlines()[:-1]) + "\n"),
        "1 val images are not in weights.csv, first images/val/check.jpg",
    ),
    "a promise broken": (
        lambda e: edit(e / "weights.csv", "train,2.0", "train,two"),
        "weights.csv: 1 of 4 lines cannot be read, first line 2",
    ),
    "a line that ends early": (
        lambda e: (e / "weights.csv").write_text((e / "weights.csv").read_text() + "train\n"),
        "weights.csv: 1 of 5 lines cannot be read, first line 6",
    ),
    "bytes that are no text": (
        lambda e: (e / "weights.csv").write_bytes((e / "weights.csv").read_bytes() + b"\xff,train,1,1\n"),
        "weights.csv cannot be read: 'utf-8' codec can't decode byte 0xff",
    ),
    "no draw": (
        lambda e: edit(e / "weights.csv", "train,1.0,1", "train,1.0,0"),
        "weights.csv: 1 images have a weight or repeats below 1",
    ),
    "nothing promised": (
        lambda e: (e / "weights.csv").write_text((e / "weights.csv").read_text().splitlines()[0] + "\n"),
        "weights.csv has no rows",
    ),
    "a GIF": (
        lambda e: Image.open(e / "images/train/yard.jpg").save(e / "images/train/yard.jpg", "GIF"),
        "1 images are not readable (GIF with the suffix of another format), first images/train/yard.jpg: trainers drop",
    ),
    "from where it is started": (
        lambda e: edit(e / "data.yaml", "train:", "path: .\ntrain:"),
        "data.yaml has path: ., which Ultralytics resolves relative to the working directory or to its own folder",
    ),
    "a list lost": (lambda e: (e / "train.txt").unlink(), "data.yaml: train: train.txt does not exist"),
    "moved": (
        lambda e: edit(e / "data.yaml", "train:", f"path: {e.parent / 'originals'}\ntrain:"),
        "ultralytics reads the other folder",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("loader", ["loader", "rules"])
def test_every_fault_is_found(
    export: Path, fault: str, loader: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if loader == "rules":
        monkeypatch.setattr("hnm_core.verify.yolo.find_spec", lambda name: None)
    else:
        pytest.importorskip("ultralytics", reason="Ultralytics reads the export")
    break_it, sentence = FAULTS[fault]
    break_it(export)
    before = files(export)
    assert cli.main(["verify-export", str(export), "--trainer", "ultralytics"]) == 1
    assert sentence in capsys.readouterr().out
    assert files(export) == before


def test_the_loader_tells_why_it_leaves_an_image_out(export: Path) -> None:
    pytest.importorskip("ultralytics", reason="Ultralytics reads the export")
    (export / "labels/train/yard.txt").write_text("0 1.5 0.5 0.1 0.1\n")
    (export / "labels/train/street.txt").write_text("0 0.5 0.5 0.1 0.1\n" * 2)
    found = verify_export(export, "ultralytics")
    assert "Ultralytics drops 1 images, first" in found.problems[0]
    assert "out of bounds coordinates" in found.problems[0]
    assert "1 duplicate labels removed" in found.warnings[0]


def test_a_jpeg_with_bytes_after_its_end_is_left_alone(export: Path) -> None:
    image = export / "images/train/yard.jpg"
    image.write_bytes(image.read_bytes() + b"\0\0")
    before = files(export)
    found = verify_export(export, "ultralytics")
    assert found.ok
    assert found.warnings == (
        "1 JPEGs have bytes after their end, first images/train/yard.jpg: Ultralytics rewrites such files in place",
    )
    assert files(export) == before


def test_background_is_warned_of_where_a_switch_forgets_it(export: Path) -> None:
    assert any(
        "--image-weights gives background images weight 0" in w for w in verify_export(export, "yolov5").warnings
    )


def test_codes_and_json_of_the_command(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify-export", str(export), "--trainer", "ultralytics", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differing"] == 0
    assert cli.main(["verify-export", str(export.parent), "--trainer", "ultralytics"]) == 2
    assert "has no export for ultralytics: data.yaml does not exist" in capsys.readouterr().err
    assert cli.main(["verify-export", str(export), "--trainer", "mmdet"]) == 2
    assert "has no export for mmdet: annotations/train.json does not exist" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"trainer must be one of ultralytics, yolov5, .*, got 'darknet'"):
        verify_export(export, "darknet")


def coco_export(folder: Path) -> Path:
    """The same as COCO json, written by hand: street stands there twice, under two ids."""
    paths = photographs(folder / "images")
    rows = [("street", 2.0, 2, 2), ("field", 1.0, 1, 0), ("yard", 1.0, 1, 1)]
    images, annotations = [], []
    for name, weight, repeats, boxes in rows:
        for _ in range(repeats):
            image = {"id": len(images) + 1, "file_name": f"images/{name}.png", "width": 96, "height": 64}
            images.append({**image, "weight": weight})
            for _ in range(boxes):
                box = {"id": len(annotations) + 1, "image_id": image["id"], "category_id": 1, "bbox": [1, 1, 20, 20]}
                annotations.append({**box, "area": 400, "iscrowd": 0})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    paths["check"].unlink()
    (folder / "annotations").mkdir()
    (folder / "annotations/train.json").write_text(json.dumps(content))
    with (folder / "weights.csv").open("w") as file:
        csv.writer(file).writerow(["filepath", "split", "weight", "repeats"])
        csv.writer(file).writerows([f"images/{name}.png", "train", w, r] for name, w, r, _ in rows)
    return folder


@pytest.mark.parametrize(
    ("trainer", "repeats", "dropped", "snippet"),
    [
        ("coco", 2, 0, ""),
        ("mmdet", 2, 1, "filter_cfg=dict(filter_empty_gt=False, min_size=0)"),
        ("detectron2", 2, 1, "cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False"),
    ],
)
def test_trainers_of_coco_json(tmp_path: Path, trainer: str, repeats: int, dropped: int, snippet: str) -> None:
    found = verify_export(coco_export(tmp_path), trainer)
    assert found.ok, found.problems
    assert found.repeats["images/street.png"] == (2, repeats)
    assert found.dropped_by_default == dropped
    assert snippet in found.overrides
    silently = f"{trainer} by default drops 1 train images silently (without boxes), first images/field.png"
    assert any(silently in warning for warning in found.warnings) == bool(dropped)


def change(export: Path, what: Callable[[dict[str, list[dict[str, object]]]], object]) -> None:
    path = export / "annotations/train.json"
    content = json.loads(path.read_text())
    what(content)
    path.write_text(json.dumps(content))


JSON_FAULTS: dict[str, tuple[Callable[[dict[str, list[dict[str, object]]]], object], str]] = {
    "a size": (
        lambda c: c["images"][0].update(width=50),
        "1 images have a size that differs from their file, first images/street",
    ),
    "a box outside": (lambda c: c["annotations"][0].update(bbox=[90, 1, 20, 20]), "1 boxes reach outside their image"),
    "a category": (
        lambda c: c["annotations"][0].update(category_id=7),
        "1 boxes have an unknown image or category",
    ),
    "an id": (lambda c: c["annotations"][0].update(id=2), "1 of 5 annotations have a repeated id"),
    "a repeat": (lambda c: c["images"].pop(0), "first images/street.png: 1 instead of 2"),
}


@pytest.mark.parametrize("fault", JSON_FAULTS)
def test_every_fault_of_coco_json_is_found(tmp_path: Path, fault: str) -> None:
    export = coco_export(tmp_path)
    break_it, sentence = JSON_FAULTS[fault]
    change(export, break_it)
    assert sentence in "\n".join(verify_export(export, "coco").problems)


@pytest.mark.parametrize(
    ("part", "values", "said"),
    [
        ("images", {"file_name": 1}, "1 of 4 images have no file_name that a trainer can read, first number 0: 1"),
        ("images", {"width": None}, "1 of 4 images have no width that a trainer can read, first number 0: None"),
        ("images", {"height": "90"}, "1 of 4 images have no height that a trainer can read, first number 0: '90'"),
        ("images", {"weight": [1]}, r"1 of 4 images have no weight that a trainer can read, first number 0: \[1\]"),
        (
            "annotations",
            {"bbox": [1, 2, 3]},
            r"1 of 5 annotations have no bbox that a trainer can read, .*: \[1, 2, 3\]",
        ),
        (
            "annotations",
            {"bbox": [1, 2, 3, None]},
            "1 of 5 annotations have no bbox that a trainer can read, first num",
        ),
        ("annotations", {"image_id": 1.5}, "1 of 5 annotations have no image_id that a trainer can read, .*: 1.5"),
        (
            "annotations",
            {"category_id": "1"},
            "1 of 5 annotations have no category_id that a trainer can read, .*: '1'",
        ),
        ("annotations", {"area": "x"}, "1 of 5 annotations have no area that a trainer can read, first number 0: 'x'"),
        ("annotations", {"iscrowd": {}}, r"1 of 5 annotations have no iscrowd that a trainer can read, .*: \{\}"),
        ("categories", {"name": None}, "1 of 1 categories have no name that a trainer can read, first number 0: None"),
    ],
)
def test_rows_that_no_trainer_reads_are_named(tmp_path: Path, part: str, values: dict[str, object], said: str) -> None:
    export = coco_export(tmp_path)
    change(export, lambda content: content[part][0].update(values))
    with pytest.raises(ValueError, match=rf"train\.json: {said}"):
        verify_export(export, "mmdet")


@pytest.mark.parametrize("text", ["", "[]", "3", "[" * 100_000, '{"images": 1}', '{"images": [], "annotations": [1]}'])
def test_what_is_no_coco_json_is_said(tmp_path: Path, text: str) -> None:
    export = coco_export(tmp_path)
    (export / "annotations/train.json").write_text(text)
    with pytest.raises(ValueError, match=r"train\.json is not COCO JSON"):
        verify_export(export, "detectron2")


def test_thin_boxes_and_small_images_that_mmdetection_passes_over(tmp_path: Path) -> None:
    export = coco_export(tmp_path)
    change(export, lambda c: c["annotations"][0].update(bbox=[1, 1, 0.5, 20], area=10))
    found = verify_export(export, "mmdet")
    assert "1 boxes are less than one pixel wide or high: mmdetection drops them" in found.warnings


def test_a_random_sampler_draws_by_weight(tmp_path: Path) -> None:
    export = coco_export(tmp_path)

    def once(content: dict[str, list[dict[str, object]]]) -> None:
        content["images"].pop(1)
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] != 2]

    change(export, once)
    found: Verification = verify_export(export, "torch")
    assert found.ok, found.problems
    assert found.repeats["images/street.png"] == (2.0, 2.0)
    assert found.entries == {"train": 4}
    assert "WeightedRandomSampler" in found.overrides
