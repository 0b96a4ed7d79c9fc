"""Exports in every layout: what is in them, what a trainer makes of it, and what is left after a mishap: nothing."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core import Detections, MiningSettings
from hnm_core.export import LAYOUTS, MEDIA, ExportImage, ExportSettings, ExportSummary, export_weighted
from hnm_core.export.yolo import same_labels
from hnm_core.verify import verify_export
from tests.exports import CLASSES, HEIGHT, TRUTH, WIDTH, entries, photographs

pytest.importorskip("yaml", reason="PyYAML reads data.yaml")
Paths = dict[str, Path]


@pytest.fixture
def originals(tmp_path: Path) -> Paths:
    return photographs(tmp_path / "originals")


def export(
    to: Path,
    images: list[ExportImage],
    truth: Detections = TRUTH,
    mining: MiningSettings | None = None,
    mistakes: Detections | None = None,
    **settings: Any,
) -> ExportSummary:
    chosen = ExportSettings(**settings)
    facts: dict[str, Any] = {"report": {"statistics": {}}, "run_key": "one", "settings": chosen}
    return export_weighted(to, images, truth, mining=mining, mistakes=mistakes, **facts)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "weights.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def annotations(folder: Path, split: str = "train") -> dict[str, Any]:
    return dict(json.loads((folder / "annotations" / f"{split}.json").read_text()))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_for_ultralytics(tmp_path: Path, originals: Paths) -> None:
    summary = export(tmp_path / "out", entries(originals))
    out = tmp_path / "out"
    assert (out / "train.txt").read_text().split() == [
        *("./images/train/street.png", "./images/train/street.png"),
        *("./images/train/field.png", "./images/train/yard.png"),
    ]
    assert (out / "labels/train/street.txt").read_text() == (
        "0 0.500000 0.375000 0.500000 0.250000\n1 0.100000 0.100000 0.200000 0.200000\n"  # clipped to the image
    )
    assert (out / "labels/train/field.txt").read_text() == ""
    assert (out / "images/val/check.png").read_bytes() == originals["check"].read_bytes()
    assert summary.images == {"train": 3, "val": 1}
    assert (summary.train_entries, summary.background_images, summary.warnings) == (4, 1, ())
    command, note = summary.train_with.splitlines()
    assert command == f"yolo detect train data={out / 'data.yaml'}"
    assert note == "# leave fraction at 1: less takes the first images of the sorted list, and is no sample"
    assert json.loads((out / "report.json").read_text())["export"]["verification"]["ultralytics"]["ok"]


def test_weights_are_listed_twice_over(tmp_path: Path, originals: Paths) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow writes the parquet file")
    export(tmp_path / "out", entries(originals))
    listed = rows(tmp_path / "out")
    assert listed[0] == {
        **{"filepath": "images/train/street.png", "sample_id": "street", "split": "train", "weight": "2.0"},
        **{"repeats": "2", "score": "0.9", "hard_negatives": "3", "errors": "background:2;missed:1", "run_key": "one"},
    }
    table = parquet.read_table(tmp_path / "out" / "weights.parquet").to_pylist()
    assert [{k: str(v) for k, v in row.items()} for row in table] == listed


@pytest.mark.parametrize("media", MEDIA)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_as_promised_and_no_original_is_touched(
    tmp_path: Path, originals: Paths, layout: str, media: str
) -> None:
    if (layout, media) == ("yolov5", "reference"):
        pytest.skip("refused, see below")
    if (layout, media) == ("ultralytics", "reference"):  # YOLO reads labels beside images
        export(tmp_path / "copy", entries(originals))
        originals = {n: next((tmp_path / "copy/images").rglob(f"{n}.png")) for n in originals}
    before = {path: path.read_bytes() for path in originals.values()}
    summary = export(tmp_path / "out", entries(originals), layout=layout, media=media)
    assert {path: path.read_bytes() for path in originals.values()} == before
    found = verify_export(tmp_path / "out", ExportSettings(layout=layout).trainers[0])
    assert found.ok, found.problems
    assert [effective for _, effective in found.repeats.values()] == [2, 1.5 if layout == "torch" else 1, 1]
    assert found.images == summary.images == {"train": 3, "val": 1}
    first = next(row for row in rows(tmp_path / "out") if row["sample_id"] == "street")["filepath"]
    place = tmp_path / "out" / first
    assert place.is_symlink() == (media == "symlink")
    assert (Path(first) == originals["street"]) == (media == "reference")
    assert place.read_bytes() == before[originals["street"]]


def test_ultralytics_draws_what_the_weights_promise(tmp_path: Path, originals: Paths) -> None:
    pytest.importorskip("ultralytics", reason="Ultralytics reads the export")
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    export(tmp_path / "out", entries(originals))
    data = check_det_dataset(str(tmp_path / "out" / "data.yaml"))
    assert list(data["names"].values()) == CLASSES
    loaded = YOLODataset(img_path=data["train"], data=data, task="detect", imgsz=32, augment=False)
    drawn = [Path(file).name for file in loaded.im_files]
    for row in rows(tmp_path / "out"):
        if row["split"] == "train":
            assert drawn.count(Path(row["filepath"]).name) == int(row["repeats"])
    boxes = {Path(label["im_file"]).stem: len(label["bboxes"]) for label in loaded.labels}
    assert boxes == {"street": 2, "field": 0, "yard": 1}


def test_ultralytics_loads_every_copy_that_yolov5_is_given(tmp_path: Path, originals: Paths) -> None:
    pytest.importorskip("ultralytics", reason="Ultralytics reads the export")
    from ultralytics.data.dataset import YOLODataset

    export(tmp_path / "out", entries(originals, street={"repeats": 3}), layout="yolov5")
    out = tmp_path / "out"
    assert names(out / "images/train") == ["field.png", "street.png", "street__r1.png", "street__r2.png", "yard.png"]
    assert (out / "data.yaml").read_text().startswith(f'path: "{out}"\ntrain: images/train\nval: images/val\n')
    data = {"names": dict(enumerate(CLASSES)), "channels": 3}
    loaded = YOLODataset(img_path=str(out / "images/train"), data=data, task="detect", imgsz=32, augment=False)
    assert sum(len(label["cls"]) for label in loaded.labels) == 3 * 2 + 1


def test_pycocotools_loads_every_repeat(tmp_path: Path, originals: Paths) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools reads the export")
    export(tmp_path / "out", entries(originals), layout="coco")
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = coco.COCO(str(tmp_path / "out/annotations/train.json"))
    images = loaded.loadImgs(loaded.getImgIds())
    assert [i["file_name"] for i in images].count("images/train/street.png") == 2
    assert [(i["weight"], i["repeats"]) for i in images] == [(2.0, 2), (2.0, 2), (1.5, 1), (1.0, 1)]
    assert [len(loaded.getAnnIds(imgIds=[i["id"]])) for i in images] == [2, 2, 0, 1]
    boxes = {tuple(a["bbox"]) for a in loaded.loadAnns(loaded.getAnnIds(imgIds=[1, 4]))}
    assert boxes == {(24.0, 16.0, 48.0, 16.0), (0.0, 0.0, 19.2, 12.8), (48.0, 32.0, 48.0, 32.0)}
    assert [c["name"] for c in loaded.loadCats(loaded.getCatIds())] == CLASSES


def test_torch_draws_by_weight(tmp_path: Path, originals: Paths) -> None:
    torch = pytest.importorskip("torch", reason="torch draws")
    torchvision = pytest.importorskip("torchvision", reason="torchvision reads COCO json")
    pytest.importorskip("pycocotools", reason="pycocotools reads COCO json")
    summary = export(tmp_path / "out", entries(originals), layout="torch")
    assert [i["weight"] for i in annotations(tmp_path / "out")["images"]] == [2.0, 1.5, 1.0]
    world = {"torch": torch, "torchvision": torchvision}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(summary.train_with, world)
    assert list(world["weights"]) == [2.0, 1.5, 1.0]
    assert [len(world["dataset"][i][1]) for i in range(3)] == [2, 0, 1]
    assert len(list(world["sampler"])) == 4


def test_crowds_have_a_place_in_json_alone(tmp_path: Path, originals: Paths) -> None:
    crowd = replace(TRUTH, crowd=np.array([True, False, False, False]))
    export(tmp_path / "coco", entries(originals), crowd, layout="coco")
    assert [a["iscrowd"] for a in annotations(tmp_path / "coco")["annotations"]] == [1, 0, 1, 0, 0]
    summary = export(tmp_path / "yolo", entries(originals), crowd)
    assert summary.warnings == (
        "1 ignored regions (crowds among them) cannot be written in this label format, in 1 train images: trainers "
        "treat them as background; set ignored_regions to leave these images out, or to grey the regions",
    )
    assert (tmp_path / "yolo/labels/train/street.txt").read_text().count("\n") == 1


def test_regions_are_named_by_their_class_and_carry_flags_in_json(tmp_path: Path, originals: Paths) -> None:
    named = replace(TRUTH, classes=("DontCare", *TRUTH.classes[1:]))
    export(tmp_path / "coco", entries(originals), named, layout="torch")
    flags = [(a["iscrowd"], a.get("ignore", 0)) for a in annotations(tmp_path / "coco")["annotations"]]
    assert set(flags) == {(1, 1), (0, 0)}
    of_class = [a for a in annotations(tmp_path / "coco")["annotations"] if a["category_id"] == 1]
    assert all(a["iscrowd"] for a in of_class)
    off = MiningSettings(ignored=[])
    export(tmp_path / "off", entries(originals), named, off, layout="torch")
    assert not any(a["iscrowd"] for a in annotations(tmp_path / "off")["annotations"])


@pytest.mark.parametrize("layout", ["ultralytics", "yolov5"])
def test_images_with_regions_can_be_left_out_or_greyed(tmp_path: Path, originals: Paths, layout: str) -> None:
    from PIL import Image

    crowd = replace(TRUTH, crowd=np.array([True, False, False, False]))
    less = export(tmp_path / "less", entries(originals), crowd, layout=layout, ignored_regions="leave_out")
    assert "the 1 train images with any are left out" in " ".join(less.warnings)
    assert not list((tmp_path / "less" / "images" / "train").glob("street*"))
    before = {path: path.read_bytes() for path in originals.values()}
    grey = export(
        *(tmp_path / "grey", entries(originals), crowd), layout=layout, ignored_regions="grey", media="symlink"
    )
    assert "they are greyed in copies of the 1 train images with any" in " ".join(grey.warnings)
    assert before == {path: path.read_bytes() for path in originals.values()}
    written = tmp_path / "grey" / "images" / "train" / "street.png"
    assert not written.is_symlink()
    (x0, y0, x1, y1), label = (TRUTH.xyxy[0] * ([WIDTH, HEIGHT] * 2)).round().astype(int), TRUTH.xyxy[1]
    with Image.open(written) as image, Image.open(originals["street"]) as original:
        pixels, was = np.asarray(image.convert("RGB")).astype(int), np.asarray(original.convert("RGB")).astype(int)
    changed = (pixels != was).any(axis=2)
    outside = np.ones_like(changed)
    outside[y0:y1, x0:x1] = False
    assert changed[y0:y1, x0:x1].any()
    assert not changed[outside].any()
    a, b, c, d = (label * ([WIDTH, HEIGHT] * 2)).round().astype(int)
    assert not changed[b:d, a:c].any()
    with pytest.raises(ValueError, match="greyed regions need copies of the images"):
        ExportSettings(ignored_regions="grey", media="reference")


def test_repeated_rows_are_written_once(tmp_path: Path, originals: Paths) -> None:
    twice = TRUTH.take(np.array([0, 0, 1, 2, 3]))
    summary = export(tmp_path / "out", entries(originals), twice)
    assert "1 repeated rows are left out of the labels: each object is written once" in summary.warnings
    assert (tmp_path / "out/labels/train/street.txt").read_text().count("\n") == 2


def test_boxes_without_size_are_counted(tmp_path: Path, originals: Paths) -> None:
    boxes = [[0.1, 0.1, 0.2, 0.2], [0.1, 0.1, 0.1, 0.2], [1.1, 0.1, 1.2, 0.2]]
    truth = Detections([0, 0, 0], boxes, [0, 0, 0], None, TRUTH.images, ["cat"])
    sentence = "2 boxes without size inside their image are left out of the labels: the layout cannot represent them"
    assert sentence in export(tmp_path / "out", entries(originals), truth).warnings


def test_an_export_without_val_trains_as_it_says(tmp_path: Path, originals: Paths) -> None:
    pytest.importorskip("ultralytics", reason="Ultralytics reads the export")
    from ultralytics.models.yolo.detect import DetectionTrainer

    summary = export(tmp_path / "out", entries(originals)[:3])
    assert summary.warnings == (
        "data.yaml has no val split: Ultralytics validates on it after every epoch, so add one, or train with "
        "split=train, which validates on the train images",
    )
    given = dict(word.split("=", 1) for word in shlex.split(summary.train_with, comments=True) if "=" in word)
    trainer = DetectionTrainer(overrides={**given, "model": "yolo11n.yaml", "project": str(tmp_path), "device": "cpu"})
    assert trainer.data["val"] is None


def test_an_export_for_ultralytics_can_be_moved_and_one_for_yolov5_cannot(tmp_path: Path, originals: Paths) -> None:
    for layout in ("ultralytics", "yolov5"):
        export(tmp_path / layout, entries(originals), layout=layout)
        (tmp_path / layout).rename(tmp_path / f"moved_{layout}")
        found = verify_export(tmp_path / f"moved_{layout}", layout)
        assert found.ok == (layout == "ultralytics")
    assert "but the export is at" in found.problems[0]


def test_images_of_one_name_stay_apart(tmp_path: Path, originals: Paths) -> None:
    other = tmp_path / "elsewhere" / "street.png"
    other.parent.mkdir()
    originals["yard"].rename(other)
    copy = originals["field"].rename(tmp_path / "originals" / "street__r1.png")  # would be taken for a copy
    changes = {"yard": {"filepath": str(other)}, "field": {"filepath": str(copy)}}
    export(tmp_path / "out", entries(originals, **changes), layout="yolov5")
    assert names(tmp_path / "out/images/train") == [
        *("street-street.png", "street-street__r1.png", "street-yard.png", "street__r1-field.png"),
    ]


@pytest.mark.parametrize("trainer", ["ultralytics", "yolov5"])
def test_hidden_images_are_exported_in_the_open(tmp_path: Path, originals: Paths, trainer: str) -> None:
    hidden = {name: path.rename(path.with_name(f".{path.name}")) for name, path in originals.items()}
    export(tmp_path / "out", entries(hidden), layout=trainer)
    assert names(tmp_path / "out/images/val") == ["check.png"]
    (tmp_path / "out/images/val/check.png").rename(tmp_path / "out/images/val/.check.png")
    found = verify_export(tmp_path / "out", trainer)
    assert "data.yaml: val: images/val has no images" in found.problems


@pytest.mark.parametrize("layout", LAYOUTS)
def test_names_that_are_not_plain(tmp_path: Path, originals: Paths, layout: str) -> None:
    odd = originals["street"].rename(tmp_path / "originals" / "Straße #1 'ä' 图.v2.PNG")
    truth = replace(TRUTH, classes=("猫", "c: {d} #e"))
    images = entries(originals, street={"filepath": str(odd)})
    done = export(tmp_path / "aus gabe", images, truth, layout=layout)
    assert done.train_entries == 4
    assert next(row for row in rows(tmp_path / "aus gabe") if row["sample_id"] == "street")["filepath"].endswith(
        odd.name
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_names_with_a_break_of_lines_are_exported_without_it(tmp_path: Path, originals: Paths, layout: str) -> None:
    breaks = {"street": "a\nb", "field": "a\u2028b", "check": "\x0bc"}
    odd = {name: originals[name].rename(tmp_path / "originals" / f"{stem}.png") for name, stem in breaks.items()}
    changes = {name: {"filepath": str(path)} for name, path in odd.items()}
    assert export(tmp_path / "out", entries(originals, **changes), layout=layout).train_entries == 4
    found = {row["sample_id"]: Path(row["filepath"]).name for row in rows(tmp_path / "out")}
    assert found == {"street": "a_b-street.png", "field": "a_b-field.png", "yard": "yard.png", "check": "_c.png"}


def test_paths_with_a_break_of_lines_are_in_no_list(tmp_path: Path, originals: Paths) -> None:
    export(tmp_path / "copy", entries(originals))  # YOLO reads labels beside images
    (tmp_path / "copy").rename(tmp_path / "a\nb")
    odd = {name: next((tmp_path / "a\nb" / "images").rglob(f"{name}.png")) for name in originals}
    with pytest.raises(
        ValueError, match=r"^3 of 3 originals have a break of lines in their path, first '.*a\\nb/images"
    ):
        export(tmp_path / "out", entries(odd), media="reference")
    assert names(tmp_path) == ["a\nb", "originals"]


class TestWhatIsExported:
    @pytest.fixture
    def many(self, tmp_path: Path) -> tuple[list[ExportImage], Detections]:
        """Forty images, of which the first ten are hard; every other image holds an object."""
        pixels = pytest.importorskip("PIL.Image", reason="Pillow makes the images")
        random = np.random.default_rng(1)
        (tmp_path / "originals").mkdir()
        images = []
        for i in range(40):
            path = tmp_path / "originals" / f"{i:02}.png"
            pixels.fromarray(random.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(path)
            hard = i < 10
            weight = 2.0 - i / 10 if hard else 1.0
            facts = {"weight": weight, "repeats": 1 + (weight > 1.5), "score": max(0.0, 0.9 - i / 20), "hard": hard}
            images.append(ExportImage(str(path), f"{i:02}", **facts))
        with_object = list(range(0, 40, 2))
        xyxy = [[0.2, 0.2, 0.6, 0.6]] * len(with_object)
        sample_ids = [i.sample_id for i in images]
        return images, Detections(with_object, xyxy, [0] * len(with_object), None, sample_ids, ["cat"])

    def test_the_whole_split_as_it_is(self, tmp_path: Path, many: tuple[list[ExportImage], Detections]) -> None:
        assert export(tmp_path / "out", *many).images == {"train": 40}
        assert [float(row["weight"]) for row in rows(tmp_path / "out")] == [image.weight for image in many[0]]

    def test_hard_images_with_background_within_its_cap(
        self, tmp_path: Path, many: tuple[list[ExportImage], Detections]
    ) -> None:
        mining = MiningSettings(background_share=0.3)
        summary = export(tmp_path / "out", *many, mining=mining, only_hard=True)
        assert [row["sample_id"] for row in rows(tmp_path / "out")] == [f"{i:02}" for i in range(10)]
        assert any("5 of 10 images of the subset are background, more than 30%" in w for w in summary.warnings)
        drawn = export(tmp_path / "easy", *many, mining=mining, only_hard=True, easy_share=1)
        assert any("drawn background images are left out: at most 30% of the subset" in w for w in drawn.warnings)
        assert drawn.background_images <= 0.3 * drawn.images["train"]

    def test_every_image_with_a_mined_object_is_hard(
        self, tmp_path: Path, many: tuple[list[ExportImage], Detections]
    ) -> None:
        mined = [replace(i, hard_negatives=1) if i.sample_id in ("20", "21") else i for i in many[0]]
        export(tmp_path / "out", mined, many[1], only_hard=True)
        assert [row["sample_id"] for row in rows(tmp_path / "out")] == [*(f"{i:02}" for i in range(10)), "20", "21"]

    @pytest.mark.parametrize(("share", "added"), [(0.1, 1), (0.2, 3), (1.0, 5), (0.0, 0)])
    def test_unlabelled_images_are_added_within_the_background_share(
        self, tmp_path: Path, many: tuple[list[ExportImage], Detections], share: float, added: int
    ) -> None:
        """Ten images that weigh 13 together, background 1 each: so 13 · share / (1 - share) others fit."""
        only = [replace(i, added=i.sample_id in ("31", "33", "35", "37", "39")) for i in many[0]]
        only = [replace(i, score=int(i.sample_id) / 100) if i.added else i for i in only if i.hard or i.added]
        steady = [replace(i, weight=1.0) if i.hard and int(i.sample_id) % 2 else i for i in only]
        mining = MiningSettings(background_share=share)
        summary = export(tmp_path / "out", steady, many[1], mining=mining)
        named = [row["sample_id"] for row in rows(tmp_path / "out") if int(row["sample_id"]) > 30]
        assert named == sorted(["39", "37", "35", "33", "31"][:added])
        weights = {row["sample_id"]: float(row["weight"]) for row in rows(tmp_path / "out")}
        assert sum(weights[name] for name in named) <= share * sum(weights.values()) + 1e-9
        assert any(
            f"{added} of 5 images without labels on which the model fires are added" in w for w in summary.warnings
        )

    def test_a_share_of_the_easy_images_drawn_by_seed(
        self, tmp_path: Path, many: tuple[list[ExportImage], Detections]
    ) -> None:
        mining = MiningSettings(background_share=1.0)
        for name in ("one", "same"):
            export(tmp_path / name, *many, mining=mining, only_hard=True, easy_share=0.2)
        export(
            tmp_path / "other",
            *many,
            mining=MiningSettings(background_share=1.0, seed=1),
            only_hard=True,
            easy_share=0.2,
        )
        one, same, other = ([r["sample_id"] for r in rows(tmp_path / name)] for name in ("one", "same", "other"))
        assert one[:10] == [f"{i:02}" for i in range(10)]
        assert len(one) == 10 + 6
        assert one == same != other

    def test_a_subset_keeps_the_floor_of_the_effective_sample_size(
        self, tmp_path: Path, many: tuple[list[ExportImage], Detections]
    ) -> None:
        images, truth = many
        steep = [ExportImage(**{**vars(i), "weight": 9.0 if i.sample_id == "00" else i.weight}) for i in images]
        mining = MiningSettings(background_share=1.0)
        summary = export(tmp_path / "out", steep, truth, mining=mining, only_hard=True)
        assert summary.effective_sample_size >= 0.9
        assert any("in the subset, weights raised to the power" in warning for warning in summary.warnings)

    def test_hard_images_of_nothing_are_nothing_to_train_on(
        self, tmp_path: Path, many: tuple[list[ExportImage], Detections]
    ) -> None:
        images = [ExportImage(**{**vars(i), "hard": i.sample_id == "01"}) for i in many[0]]
        with pytest.raises(ValueError, match=r"1 of 40 train images are hard and none of them has a truth"):
            export(tmp_path / "out", images, many[1], only_hard=True)

    def test_damaged_and_leaked_images_are_left_out_and_named(
        self, tmp_path: Path, many: tuple[list[ExportImage], Detections]
    ) -> None:
        images, truth = many
        Path(images[3].filepath).write_bytes(b"no image")
        twin = tmp_path / "originals" / "twin.png"
        twin.write_bytes(Path(images[4].filepath).read_bytes())
        images[5] = ExportImage(str(twin), "05", "val")
        summary = export(tmp_path / "out", images, truth)
        assert summary.images == {"train": 37, "val": 1}
        assert "1 images are left out because they are not readable" in summary.warnings[0]
        assert summary.warnings[1].startswith("1 train images are left out because val or test has the same files")


@pytest.mark.parametrize(
    ("changes", "options", "error", "message"),
    [
        ({"street": {"split": "training"}}, {}, ValueError, "1 images have a split that is not one of train"),
        ({"street": {"weight": 0.5}}, {}, ValueError, "a weight or repeats below 1, first .*street.png: 0.5, 2; every"),
        ({"street": {"sample_id": "x"}}, {}, ValueError, "1 of 4 images have no entry in the ground truth, first 'x'"),
        ({"yard": {"filepath": "gone.png"}}, {}, FileNotFoundError, "1 of 4 images do not exist, first gone.png"),
        ({"check": {"weight": 1.5}}, {}, ValueError, "1 val images have a weight other than 1, first .*check"),
        ({}, {"media": "move"}, ValueError, "media must be one of copy, symlink, reference, got 'move'"),
        (
            {},
            {"layout": "darknet"},
            ValueError,
            "layout must be one of ultralytics, yolov5, coco, rfdetr, torch, got 'darknet'",
        ),
        ({}, {"easy_share": 0.5}, ValueError, "easy_share keeps easy images beside the hard ones: it needs only_hard"),
        ({}, {"only_hard": True, "easy_share": 2}, ValueError, r"easy_share must lie in \[0, 1\], got 2"),
        ({}, {"crops": True}, ValueError, "crops need the boxes of the mistakes"),
        ({}, {"layout": "yolov5", "media": "reference"}, ValueError, "YOLOv5 reads no image twice"),
        ({}, {"media": "reference"}, ValueError, "4 of 4 originals have a missing or different label file, first"),
        (
            {name: {"split": "val", "weight": 1.0, "repeats": 1} for name in ("street", "field", "yard")},
            *({}, ValueError, "none of the 4 images is in the train split: nothing to train on"),
        ),
    ],
)
def test_bad_input_is_refused_and_nothing_is_left(
    tmp_path: Path, originals: Paths, changes: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        export(tmp_path / "out", entries(originals, **changes), **options)
    assert names(tmp_path) == ["originals"]


def test_unreadable_types_are_named(tmp_path: Path, originals: Paths) -> None:
    odd = tmp_path / "originals" / "yard.gif"
    pytest.importorskip("PIL.Image").open(originals["yard"]).save(odd)
    images = entries(originals, yard={"filepath": str(odd)})
    with pytest.raises(
        ValueError, match=r"1 of 4 images have a file type that Ultralytics does not read, first .*yard\.gif"
    ):
        export(tmp_path / "out", images)
    assert export(tmp_path / "out", images, layout="coco").images == {"train": 3, "val": 1}


def test_yolov5_reads_fewer_types(tmp_path: Path, originals: Paths) -> None:
    odd = tmp_path / "originals" / "yard.jp2"
    pytest.importorskip("PIL.Image").open(originals["yard"]).save(odd)
    images = entries(originals, yard={"filepath": str(odd)})
    with pytest.raises(ValueError, match=r"images have a file type that YOLOv5 does not read, first .*yard\.jp2"):
        export(tmp_path / "out", images, layout="yolov5")
    assert export(tmp_path / "out", images).images == {"train": 3, "val": 1}


def test_what_is_in_a_file_counts_not_its_name(tmp_path: Path, originals: Paths) -> None:
    odd = tmp_path / "originals" / "odd.jpg"
    pytest.importorskip("PIL.Image").open(originals["yard"]).save(odd, "GIF")
    images = entries(originals, yard={"filepath": str(odd)})
    summary = export(tmp_path / "out", images)
    assert summary.images == {"train": 2, "val": 1}
    assert "1 images are left out because they are not readable (GIF with the suffix" in summary.warnings[0]
    assert export(tmp_path / "other", images, layout="torch").images == {"train": 3, "val": 1}


@pytest.mark.parametrize(
    ("beside", "same"),
    [
        ("1 0.5004 0.3 0.2 0.2\n1 0.5 0.6 0.2 0.2\n", True),  # sorted by the first number, they cross
        ("1 0.5 0.6 0.2 0.2\n\n1 0.5 0.3 0.2 0.2\n", True),
        ("1 0.5 0.3 0.2 0.2\n1 0.5 0.3 0.2 0.2\n", False),
        ("1 0.5 0.6 0.2 0.2\n", False),
        ("0 0.5 0.6 0.2 0.2\n1 0.5 0.3 0.2 0.2\n", False),
        ("1 0.5 0.6 0.2\n1 0.5 0.3 0.2 0.2\n", False),
        ("one 0.5 0.6 0.2 0.2\n1 0.5 0.3 0.2 0.2\n", False),
    ],
)
def test_labels_beside_originals_are_compared_box_by_box(beside: str, same: bool) -> None:
    written = "1 0.500000 0.600000 0.200000 0.200000\n1 0.500200 0.300000 0.200000 0.200000\n"
    assert same_labels(beside, written) is same


def test_a_command_to_copy_is_one_argument_to_the_shell(tmp_path: Path, originals: Paths) -> None:
    summary = export(tmp_path / "my export", entries(originals))
    assert shlex.split(summary.train_with, comments=True)[-1] == f"data={tmp_path}/my export/data.yaml"


def test_keys_with_a_hash_are_told_apart(tmp_path: Path, originals: Paths) -> None:
    for number, name in enumerate(("street", "field")):
        folder = tmp_path / "originals" / f"cam#{number}"
        folder.mkdir()
        originals[name] = originals[name].rename(folder / "same.png")
    keys = {name: f"cam#{number}/same.png" for number, name in enumerate(("street", "field"))}
    truth = replace(TRUTH, images=tuple(keys.get(name, name) for name in TRUTH.images))
    images = [replace(i, sample_id=keys.get(i.sample_id, i.sample_id)) for i in entries(originals)]
    export_weighted(tmp_path / "out", images, truth, report={}, run_key="one")
    assert len(set((tmp_path / "out" / "train.txt").read_text().split())) == 3


def test_an_existing_folder_is_refused(tmp_path: Path, originals: Paths) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match="out exists and is not empty; export into a new folder"):
        export(tmp_path / "out", entries(originals))
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep me"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_does_not_read_back_is_not_kept(
    tmp_path: Path, originals: Paths, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = export_weighted.__globals__["write_weights"]

    def forget_one(root: Path, named: Any, run_key: str) -> Any:
        return original(root, named[:-2], run_key)

    monkeypatch.setitem(export_weighted.__globals__, "write_weights", forget_one)
    with pytest.raises(
        ValueError, match=r"the export is not written: .* would not read it as expected: .* not in weights.csv"
    ):
        export(tmp_path / "out", entries(originals), layout=layout)
    assert names(tmp_path) == ["originals"]


KILLED = """
import sys, time
from pathlib import Path
from hnm_core.export import ExportSettings, export_weighted
from tests.exports import TRUTH, entries, photographs

where = Path(sys.argv[1])

def slowly(share, label):
    if label.startswith(f"{sys.argv[3]}: 2 of "):
        (where / "ready").touch()
        time.sleep(60)

images = entries(photographs(where / "originals"))
settings = ExportSettings(layout=sys.argv[2])
export_weighted(where / "out", images, TRUTH, report={}, run_key="one", settings=settings, progress=slowly)
"""


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_an_export_that_is_killed_leaves_nothing_that_looks_finished(tmp_path: Path, layout: str, end: int) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), layout, "writing images"]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "ready").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (tmp_path / "ready").exists()
        process.send_signal(end)
        process.wait(60)
    assert not (tmp_path / "out").exists()
    left = [path for path in tmp_path.iterdir() if path.name not in ("originals", "ready")]
    if end == signal.SIGINT:
        assert left == []
    for path in left:  # nobody could tidy up
        assert path.name.startswith(".out-")
        assert path.suffix == ".unfinished"
    assert len(names(tmp_path / "originals")) == 4


def test_sizes_are_those_of_turned_images(tmp_path: Path, originals: Paths) -> None:
    pixels = pytest.importorskip("PIL.Image", reason="Pillow turns the image")
    turned = tmp_path / "originals" / "turned.jpg"
    exif = pixels.Exif()
    exif[274] = 6
    pixels.open(originals["yard"]).save(turned, exif=exif)
    export(tmp_path / "out", entries(originals, yard={"filepath": str(turned)}), layout="coco")
    sizes = {i["sample_id"]: (i["width"], i["height"]) for i in annotations(tmp_path / "out")["images"]}
    assert sizes == {"street": (WIDTH, HEIGHT), "field": (WIDTH, HEIGHT), "yard": (HEIGHT, WIDTH)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_progress_never_goes_back_and_ends_at_one(tmp_path: Path, layout: str) -> None:
    shares: list[float] = []
    images = entries(photographs(tmp_path / "originals"))
    export_weighted(
        tmp_path / "out",
        images,
        TRUTH,
        report={},
        run_key="one",
        settings=ExportSettings(layout=layout),
        progress=lambda share, label: shares.append(share),
    )
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
