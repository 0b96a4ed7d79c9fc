"""``hnm export``: from what ``hnm mine`` wrote to what a trainer reads."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from hnm_core import cli
from hnm_core.export import ExportSettings
from hnm_core.export.mining_folder import export_run
from hnm_core.io.mining_folder import load_mining
from hnm_core.verify import verify_export
from tests.exports import HEIGHT, NAMES, WIDTH, photographs

pytest.importorskip("yaml", reason="PyYAML reads data.yaml")

LABELS = {"street": "0 0.5 0.5 0.5 0.5\n1 0.1 0.1 0.1 0.1\n", "field": "", "yard": "1 0.75 0.75 0.5 0.5\n", "check": ""}
PREDICTIONS = {
    "street": "1 0.5 0.5 0.5 0.5 0.9\n",  # a cat taken for a dog
    "field": "0 0.5 0.5 0.3 0.3 0.8\n",  # nothing there
    "yard": "1 0.75 0.75 0.5 0.5 0.9\n",
    "check": "0 0.5 0.5 0.3 0.3 0.8\n",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A YOLO data set: street, field and yard to train on, check in val."""
    paths = photographs(tmp_path / "originals")
    root = tmp_path / "data"
    for name in NAMES:
        split = "val" if name == "check" else "train"
        for folder, content, suffix in (("images", None, "png"), ("labels", LABELS[name], "txt")):
            place = root / folder / split / f"{name}.{suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(paths[name].read_bytes() if content is None else content.encode())
    (root / "predictions").mkdir()
    for name, lines in PREDICTIONS.items():
        (root / "predictions" / f"{name}.txt").write_text(lines)
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog]\n")
    return root / "data.yaml"


def mined(data: Path, *options: str) -> Path:
    run = data.parent.parent / "run"
    where = ["--data", str(data), "--predictions", str(data.parent / "predictions"), "--output", str(run)]
    assert cli.main(["mine", *where, "--hard-image-share", "1", "--hard-negative-ratio", "1", *options]) == 0
    return run


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "weights.csv").open(encoding="utf-8") as file:
        return {Path(row["filepath"]).stem: row for row in csv.DictReader(file)}


def test_from_mining_to_training(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = mined(data)
    capsys.readouterr()
    assert cli.main(["export", str(run), "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path / 'out'}: 3 train, 1 val images for ultralytics" in said
    assert "as promised, background 33.3%" in said
    assert f"yolo detect train data={tmp_path / 'out' / 'data.yaml'}" in said
    result = load_mining(run)[0]
    listed = rows(tmp_path / "out")
    assert [float(listed[Path(n).stem]["weight"]) for n in result.truth.images] == result.weights.tolist()
    assert [int(listed[Path(n).stem]["repeats"]) for n in result.truth.images] == result.repeats.tolist()
    assert max(result.weights) > 1
    assert listed["street"]["errors"] == "classification:2;missed:1"
    assert (listed["check"]["split"], listed["check"]["weight"]) == ("val", "1.0")
    assert listed["street"]["run_key"] == "run"
    assert verify_export(tmp_path / "out", "ultralytics").ok


def test_validation_is_exported_as_val(data: Path, tmp_path: Path) -> None:
    data.write_text(data.read_text().replace("val:", "validation:"))
    assert export_run(mined(data), tmp_path / "out").images == {"train": 3, "val": 1}


def test_a_mining_is_exported_from_another_folder(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data.parent)
    where = ["--data", "data.yaml", "--predictions", "predictions", "--output", str(tmp_path / "run")]
    assert cli.main(["mine", *where, "--hard-image-share", "1", "--hard-negative-ratio", "1"]) == 0
    monkeypatch.chdir(tmp_path)
    assert export_run("run", "out").images == {"train": 3, "val": 1}
    assert max(float(row["weight"]) for row in rows(tmp_path / "out").values()) > 1


@pytest.mark.parametrize("layout", ["yolov5", "coco", "torch"])
def test_other_layouts_as_json(data: Path, tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = mined(data)
    capsys.readouterr()
    options = ["--layout", layout, "--media", "symlink", "--only_hard", "--easy_share", "1", "--json"]
    assert cli.main(["export", str(run), "--output", str(tmp_path / "out"), *options]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["layout"] == layout
    assert all(found["ok"] for found in done["verification"].values())


def test_originals_are_named_where_they_lie_if_their_labels_say_the_same(data: Path, tmp_path: Path) -> None:
    run = mined(data)
    command = ["export", str(run), "--output", str(tmp_path / "out"), "--media", "reference"]
    assert cli.main(command) == 0
    listed = (tmp_path / "out/train.txt").read_text().split()
    assert {Path(line).parent for line in listed} == {data.parent / "images/train"}
    assert not any((tmp_path / "out").rglob("*.png"))


def test_all_classes_are_exported_whichever_were_mined(data: Path, tmp_path: Path) -> None:
    export_run(mined(data, "--classes", "dog"), tmp_path / "out")
    assert (tmp_path / "out/labels/train/street.txt").read_text().startswith("0 0.5")


@pytest.mark.filterwarnings("ignore:.* are polygons")
def test_polygons_become_boxes_and_that_is_said(data: Path, tmp_path: Path) -> None:
    (data.parent / "labels/train/yard.txt").write_text("1 0.5 0.5 1 0.5 1 1 0.5 1\n")
    summary = export_run(mined(data), tmp_path / "out")
    assert "1 label files contain polygons: their bounding boxes are exported" in summary.warnings
    assert (tmp_path / "out/labels/train/yard.txt").read_text() == "1 0.750000 0.750000 0.500000 0.500000\n"


def test_an_export_among_the_images_is_refused(data: Path, tmp_path: Path) -> None:
    """The next training would have read its copies as further images."""
    run, pool = mined(data), tmp_path / "pool"
    pool.mkdir()
    for place, more in ((data.parent / "images/train", {}), (pool, {"add_background": (pool, data.parent)})):
        with pytest.raises(ValueError, match=rf"new lies in {place}, which is read with all its files"):
            export_run(run, place / "new", **more)
        assert not (place / "new").exists()


def test_held_out_images_are_never_weighted(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = mined(data, "--split", "val")
    assert cli.main(["export", str(run), "--output", str(tmp_path / "out")]) == 2
    assert "mined split 'val', but only train images are weighted" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_changed_since_mining_is_said(data: Path, tmp_path: Path) -> None:
    run = mined(data)
    root = data.parent
    (root / "images/train/street.png").rename(root / "images/val/street.png")
    (root / "labels/train/street.txt").rename(root / "labels/val/street.txt")
    (root / "images/train/yard.png").rename(root / "images/train/court.png")
    (root / "labels/train/yard.txt").rename(root / "labels/train/court.txt")
    summary = export_run(run, tmp_path / "out")
    assert summary.warnings[:2] == (
        "2 mined images are no longer in " + str(data),
        "1 train images were not mined: their weight is 1",
    )


OTHER_LABELS = (
    "1 mined images have other labels now than when they were mined: the labels of now are exported, with the weights "
    "of then; mine again for those of now"
)


@pytest.mark.parametrize("kept", ["--keep-boxes", "--no-keep-boxes"])
def test_labels_that_were_edited_since_mining_are_said(data: Path, tmp_path: Path, kept: str) -> None:
    run = mined(data, kept)
    assert not export_run(run, tmp_path / "same").warnings
    file = data.parent / "labels/train/yard.txt"
    file.write_text(file.read_text() + "0 0.2 0.2 0.1 0.1\n")
    assert export_run(run, tmp_path / "out").warnings == (OTHER_LABELS,)
    assert len((tmp_path / "out/labels/train/yard.txt").read_text().splitlines()) == 2


def test_other_data_are_refused(data: Path, tmp_path: Path) -> None:
    run = mined(data)
    with pytest.raises(
        FileNotFoundError, match=r"gone.yaml, which .* mined, does not exist; if it was moved, give its path"
    ):
        export_run(run, tmp_path / "out", data="gone.yaml")
    (data.parent / "images/train").rename(data.parent / "images/others")
    (data.parent / "labels/train").rename(data.parent / "labels/others")
    data.write_text("train: images/others\nval: images/val\nnames: [cat, dog]\n")
    with pytest.raises(
        ValueError, match=r"none of the 3 mined images is among the 4 images of .*data.yaml: the first mined"
    ):
        export_run(run, tmp_path / "out")


def test_coco_json_is_read_whole(tmp_path: Path) -> None:
    photographs(tmp_path / "images")
    images = [{"id": i + 1, "file_name": f"{name}.png"} for i, name in enumerate(NAMES)]
    images[0] |= {"width": WIDTH, "height": HEIGHT}  # the others' sizes are read from the files
    boxes = [(1, [24, 16, 24, 16]), (3, [48, 32, 24, 16])]
    annotations = [
        {"id": i, "image_id": image, "category_id": 1, "bbox": box, "area": 384, "iscrowd": 0}
        for i, (image, box) in enumerate(boxes)
    ]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    wrong = [{"image_id": i, "category_id": 2, "bbox": box, "score": 0.9} for i, box in boxes]
    (tmp_path / "results.json").write_text(json.dumps(wrong))
    where = ["--data", str(tmp_path / "gt.json"), "--predictions", str(tmp_path / "results.json")]
    assert cli.main(["mine", *where, "--output", str(tmp_path / "run")]) == 0
    with pytest.raises(
        FileNotFoundError, match=r"4 of 4 images do not exist, first .*; give the root folder of the file names"
    ):
        export_run(tmp_path / "run", tmp_path / "out")
    command = ["export", str(tmp_path / "run"), "--images", str(tmp_path / "images"), "--output", str(tmp_path / "out")]
    assert cli.main(command) == 0
    assert (tmp_path / "out/labels/train/yard.txt").read_text() == "0 0.625000 0.625000 0.250000 0.250000\n"
    annotations[1]["bbox"][0] += 1
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    assert OTHER_LABELS in export_run(tmp_path / "run", tmp_path / "moved", images=tmp_path / "images").warnings


@pytest.mark.parametrize("slash", ["/", "\\"])
def test_pictures_are_where_they_were_mined_and_named_on_windows_or_not(tmp_path: Path, slash: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    photographs(tmp_path / "elsewhere/set")
    images = [{"id": i, "file_name": f"set{slash}{name}.png"} for i, name in enumerate(NAMES)]
    box = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [24, 16, 24, 16]}
    truth = {"images": images, "annotations": [box], "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    found = [{"image_id": 1, "category_id": 1, "bbox": [24, 16, 24, 16], "score": 0.9}]
    (tmp_path / "results.json").write_text(json.dumps(found))
    where = ["--data", str(tmp_path / "gt.json"), "--predictions", str(tmp_path / "results.json"), "--save-samples"]
    run = tmp_path / "run"
    assert cli.main(["mine", *where, "--images", str(tmp_path / "elsewhere"), "--output", str(run)]) == 0
    assert [file.suffix for file in (run / "samples").iterdir() if "index" not in file.name].count(".json") == 1
    assert export_run(run, tmp_path / "out", settings=ExportSettings(layout="coco")).images == {"train": len(NAMES)}
    with pytest.raises(FileNotFoundError, match=r"do not exist"):  # another file says nothing of its folder
        export_run(run, tmp_path / "other", data=tmp_path / "gt.json")


def test_json_that_names_images_twice_is_exported_as_it_stands(data: Path, tmp_path: Path) -> None:
    export_run(mined(data), tmp_path / "first", settings=ExportSettings(layout="coco"))
    place = tmp_path / "first/annotations/train.json"
    truth = json.loads(place.read_text())
    truth["images"].append({**truth["images"][0], "id": 9})  # as hard images stand in exports of this layout
    place.write_text(json.dumps(truth))
    found = [{key: box[key] for key in ("image_id", "category_id", "bbox")} for box in truth["annotations"]]
    (tmp_path / "found.json").write_text(json.dumps([{**box, "score": 0.9} for box in found]))
    where = ["--data", str(place), "--predictions", str(tmp_path / "found.json")]
    assert cli.main(["mine", *where, "--output", str(tmp_path / "again")]) == 0
    second = export_run(tmp_path / "again", tmp_path / "second", images=tmp_path / "first")
    assert second.images == {"train": 4}
    assert second.warnings[0] == f"1 entries of {place} repeat an image: each of them is exported"


def test_boxes_of_images_that_are_turned_on_reading_are_refused(tmp_path: Path) -> None:
    pixels = pytest.importorskip("PIL.Image", reason="Pillow turns the image")
    for name, path in photographs(tmp_path / "images", ".jpg").items():
        exif = pixels.Exif()
        exif[274] = 6 if name == "yard" else 1
        pixels.open(path).save(path, exif=exif)
    images = [{"id": i, "file_name": f"{n}.jpg", "width": WIDTH, "height": HEIGHT} for i, n in enumerate(NAMES)]
    boxes = [{"id": 1, "image_id": 2, "category_id": 1, "bbox": [48, 32, 24, 16]}]
    truth = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "found.json").write_text(json.dumps([{**boxes[0], "score": 0.9}]))
    where = ["--data", str(tmp_path / "gt.json"), "--predictions", str(tmp_path / "found.json")]
    assert cli.main(["mine", *where, "--output", str(tmp_path / "run")]) == 0
    with pytest.raises(ValueError, match=r"^1 of 4 images are labelled without their EXIF .* first .*yard\.jpg"):
        export_run(tmp_path / "run", tmp_path / "out", images=tmp_path / "images")


def test_real_data_in_every_layout(shared_data: Path, tmp_path: Path) -> None:
    cards = shared_data / "cards"
    where = ["--data", str(cards / "coco/instances_train.json")]
    where += ["--predictions", str(cards / "preds/predictions_train.json"), "--output", str(tmp_path / "run")]
    assert cli.main(["mine", *where]) == 0
    result = load_mining(tmp_path / "run")[0]
    for layout, trainer in (("ultralytics", "ultralytics"), ("yolov5", "yolov5"), ("coco", "detectron2")):
        folder = tmp_path / layout
        options = ["--images", str(cards / "images/train"), "--layout", layout, "--media", "symlink"]
        assert cli.main(["export", str(tmp_path / "run"), "--output", str(folder), *options]) == 0
        found = verify_export(folder, trainer)
        assert found.ok
        assert sum(effective for _, effective in found.repeats.values()) == result.repeats.sum()
