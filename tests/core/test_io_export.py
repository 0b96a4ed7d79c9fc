import csv
import json
from pathlib import Path

import numpy as np
import pytest

from hnm_core import Detections
from hnm_core.io import ExportImage, export_yolo

PIXELS = pytest.importorskip("PIL.Image", reason="Pillow makes the images")


@pytest.fixture
def photographs(tmp_path):
    """Four small images: three to train on, of which `field` holds nothing, and one for validation."""
    folder = tmp_path / "originals"
    folder.mkdir()
    paths = {}
    for i, name in enumerate(("street", "field", "yard", "check")):
        paths[name] = folder / f"{name}.png"
        PIXELS.fromarray(np.full((32, 48, 3), 60 * i, dtype=np.uint8)).save(paths[name])
    return paths


@pytest.fixture
def truth():
    return Detections(
        image=[0, 0, 2, 3],
        xyxy=[[0.25, 0.25, 0.75, 0.5], [-0.1, 0.0, 0.2, 0.2], [0.5, 0.5, 1.0, 1.0], [0.1, 0.1, 0.3, 0.3]],
        label=[0, 1, 1, 0],
        score=None,
        images=["street", "field", "yard", "check"],
        classes=["cat", 'dog "big": yes'],
    )


def entries(paths, **changes):
    images = [
        ExportImage(str(paths["street"]), "street", "train", 2.0, 2, 0.9, 3, {"background": 2, "missed": 1}),
        ExportImage(str(paths["field"]), "field", "train", 1.5, 1, 0.4, 1, {"background": 1}),
        ExportImage(str(paths["yard"]), "yard"),
        ExportImage(str(paths["check"]), "check", "val"),
    ]
    return [ExportImage(**{**vars(i), **changes.get(i.sample_id, {})}) for i in images]


def export(to, paths, truth, images=None, **options):
    return export_yolo(to, images or entries(paths), truth, report={"statistics": {}}, run_key="one", **options)


def rows(folder):
    with (folder / "weights.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_layout(tmp_path, photographs, truth):
    summary = export(tmp_path / "out", photographs, truth)
    out = tmp_path / "out"
    assert (out / "train.txt").read_text().split() == [
        *("./images/train/street.png", "./images/train/street.png"),
        *("./images/train/field.png", "./images/train/yard.png"),
    ]
    assert (out / "labels/train/street.txt").read_text() == (
        "0 0.500000 0.375000 0.500000 0.250000\n1 0.100000 0.100000 0.200000 0.200000\n"  # clipped to the image
    )
    assert (out / "labels/train/field.txt").read_text() == ""
    assert (out / "images/val/check.png").read_bytes() == photographs["check"].read_bytes()
    assert summary.images == {"train": 3, "val": 1}
    assert summary.train_entries == 4
    assert summary.background_images == 1
    assert summary.warnings == ()
    assert json.loads((out / "report.json").read_text())["export"]["train_entries"] == 4


def test_weights_are_listed_twice_over(tmp_path, photographs, truth):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow writes the parquet file")
    export(tmp_path / "out", photographs, truth)
    listed = rows(tmp_path / "out")
    assert listed[0] == {
        **{"filepath": "images/train/street.png", "sample_id": "street", "split": "train", "weight": "2.0"},
        **{"repeats": "2", "score": "0.9", "hard_negatives": "3", "errors": "background:2;missed:1", "run_key": "one"},
    }
    table = parquet.read_table(tmp_path / "out" / "weights.parquet").to_pylist()
    assert [{k: str(v) for k, v in row.items()} for row in table] == listed


def test_ultralytics_draws_what_the_weights_promise(tmp_path, photographs, truth):
    pytest.importorskip("ultralytics", reason="Ultralytics reads the export")
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    export(tmp_path / "out", photographs, truth)
    data = check_det_dataset(str(tmp_path / "out" / "data.yaml"))
    assert data["names"] == {0: "cat", 1: 'dog "big": yes'}
    loaded = YOLODataset(img_path=data["train"], data=data, task="detect", imgsz=32, augment=False)
    drawn = [Path(file).name for file in loaded.im_files]
    for row in rows(tmp_path / "out"):
        if row["split"] == "train":
            assert drawn.count(Path(row["filepath"]).name) == int(row["repeats"])
    boxes = {Path(label["im_file"]).stem: label["bboxes"] for label in loaded.labels}
    assert {name: len(b) for name, b in boxes.items()} == {"street": 2, "field": 0, "yard": 1}


def test_an_export_without_val_can_be_read_and_says_so(tmp_path, photographs, truth):
    pytest.importorskip("ultralytics", reason="Ultralytics reads the export")
    from ultralytics.data.utils import check_det_dataset

    summary = export(tmp_path / "out", photographs, truth, entries(photographs)[:3])
    assert summary.warnings == (
        "no sample is in the val split: `val:` in data.yaml is empty, so train with val=False or fill it in",
    )
    assert check_det_dataset(str(tmp_path / "out" / "data.yaml"))["val"] is None


def test_an_export_can_be_moved(tmp_path, photographs, truth):
    pytest.importorskip("ultralytics", reason="Ultralytics reads the export")
    from ultralytics.data.utils import check_det_dataset

    export(tmp_path / "out", photographs, truth)
    (tmp_path / "out").rename(tmp_path / "moved")
    assert Path(check_det_dataset(str(tmp_path / "moved" / "data.yaml"))["val"]) == tmp_path / "moved/images/val"


def test_symlinks_point_at_the_originals(tmp_path, photographs, truth):
    export(tmp_path / "out", photographs, truth, media="symlink")
    assert (tmp_path / "out/images/train/street.png").resolve() == photographs["street"]


def test_images_of_one_name_stay_apart(tmp_path, photographs, truth):
    other = tmp_path / "elsewhere" / "street.png"
    other.parent.mkdir()
    other.write_bytes(photographs["yard"].read_bytes())
    export(tmp_path / "out", photographs, truth, entries(photographs, yard={"filepath": str(other)}))
    assert (tmp_path / "out/images/train/street-street.png").read_bytes() == photographs["street"].read_bytes()
    assert (tmp_path / "out/images/train/street-yard.png").read_bytes() == other.read_bytes()


def test_what_yolo_cannot_hold_is_counted(tmp_path, photographs):
    truth = Detections(
        image=[0, 0, 0],
        xyxy=[[0.1, 0.1, 0.2, 0.2], [0.1, 0.1, 0.1, 0.2], [1.1, 0.1, 1.2, 0.2]],
        label=[0, 0, 0],
        score=None,
        images=["street", "field", "yard", "check"],
        classes=["cat"],
        crowd=[True, False, False],
    )
    assert export(tmp_path / "out", photographs, truth).warnings == (
        "1 crowd regions are left out of the labels: YOLO has no place for them",
        "2 boxes without size inside their image are left out of the labels: YOLO has no place for them",
    )


@pytest.mark.parametrize(
    ("changes", "options", "error", "message"),
    [
        ({"street": {"split": "training"}}, {}, ValueError, "1 images have a split that is none of train, val, test"),
        ({"street": {"weight": 0.5}}, {}, ValueError, "a weight or repeats below 1, first .*street.png: 0.5, 2; every"),
        ({"street": {"sample_id": "x"}}, {}, ValueError, "1 of 4 images have no entry in the ground truth, first 'x'"),
        ({"yard": {"filepath": "gone.png"}}, {}, FileNotFoundError, "1 of 4 images are not there, first gone.png"),
        ({}, {"media": "move"}, ValueError, "media must be one of copy, symlink, got 'move'"),
        (
            {name: {"split": "val"} for name in ("street", "field", "yard")},
            {},
            ValueError,
            "none of the 4 images is in the train split: nothing to train on",
        ),
    ],
)
def test_bad_input_is_refused_and_nothing_is_left(tmp_path, photographs, truth, changes, options, error, message):
    with pytest.raises(error, match=message):
        export(tmp_path / "out", photographs, truth, entries(photographs, **changes), **options)
    assert [p.name for p in tmp_path.iterdir()] == ["originals"]


def test_an_existing_folder_is_refused(tmp_path, photographs, truth):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match="out exists and is not empty; export into a new folder"):
        export(tmp_path / "out", photographs, truth)
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep me"


def test_an_interrupted_export_leaves_nothing(tmp_path, photographs, truth):
    def stop(done, of):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "out", photographs, truth, progress=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["originals"]


def test_unreadable_types_are_named(tmp_path, photographs, truth):
    odd = photographs["yard"].rename(tmp_path / "originals" / "yard.gif")
    with pytest.raises(ValueError, match=r"1 of 4 images are of a type Ultralytics does not read, first .*yard\.gif"):
        export(tmp_path / "out", photographs, truth, entries(photographs, yard={"filepath": str(odd)}))
