"""Gated boxes through every transform of Ultralytics: none is lost, and each lies where its object is drawn."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ultralytics", reason="its transforms move the boxes")

import torch
from PIL import Image
from ultralytics.cfg import get_cfg
from ultralytics.data import build_dataloader, build_yolo_dataset
from ultralytics.data.utils import check_det_dataset

from hnm_core import Detections
from hnm_core.training.datasets import WeightedDataset, draw_by_weight
from hnm_core.training.gates import Gates

SIDE, IMAGES = 96, 8

BOXES = [(0.1, 0.1, 0.35, 0.3), (0.55, 0.15, 0.9, 0.4), (0.2, 0.55, 0.45, 0.9), (0.6, 0.6, 0.95, 0.85)]
"""Of every image, as fractions; the first one of an image is labelled, the others are carried, or all are both."""

PLAIN: dict[str, Any] = {
    **{"imgsz": SIDE, "mosaic": 0.0, "mixup": 0.0, "cutmix": 0.0, "copy_paste": 0.0, "close_mosaic": 0},
    **{"degrees": 0.0, "translate": 0.0, "scale": 0.0, "shear": 0.0, "perspective": 0.0, "flipud": 0.0, "fliplr": 0.0},
    **{"hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0, "workers": 0},
}
AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "flips": {"fliplr": 0.5, "flipud": 0.5},
    "affine": {"degrees": 30.0, "translate": 0.3, "scale": 0.5, "shear": 10.0},
    "perspective": {"perspective": 0.0008, "degrees": 10.0},
    "mosaic": {"mosaic": 1.0, "scale": 0.3, "translate": 0.1},
    "mixup": {"mixup": 1.0, "mosaic": 0.5},
    "cutmix": {"cutmix": 1.0},
    "copy-paste": {"copy_paste": 1.0},
    "copy-paste mixup": {"copy_paste": 1.0, "copy_paste_mode": "mixup"},
    "rect": {"rect": True, "scale": 0.2},
    "cache ram": {"cache": "ram", "mosaic": 1.0},
    "cache disk": {"cache": "disk", "mosaic": 1.0},
    "everything": {
        **{"mosaic": 1.0, "mixup": 0.3, "cutmix": 0.3, "copy_paste": 1.0, "degrees": 5.0, "translate": 0.1},
        **{"scale": 0.5, "shear": 2.0, "perspective": 0.0002, "fliplr": 0.5, "flipud": 0.5},
    },
}


def colour_of(image: int, box: int) -> tuple[int, int, int]:
    """A colour of its own for every box, far from the others and from black and grey."""
    return (40 + 30 * (image % 8), 255 - 60 * box, 20 + 25 * ((3 * image + 2 * box) % 9))


@pytest.fixture(scope="module", params=["boxes", "polygons"])
def painted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``data.yaml`` of images with four coloured rectangles; the first one is labelled, as a box or as a polygon."""
    root = tmp_path_factory.mktemp(request.param)
    for kind in ("images", "labels"):
        (root / kind).mkdir()
    for i in range(IMAGES):
        wide = SIDE if i % 3 else SIDE * 2 // 3
        pixels = np.zeros((SIDE, wide, 3), np.uint8)
        for j, (x0, y0, x1, y1) in enumerate(BOXES):
            rows = slice(round(y0 * SIDE), round(y1 * SIDE))
            pixels[rows, round(x0 * wide) : round(x1 * wide)] = colour_of(i, j)
        Image.fromarray(pixels).save(root / "images" / f"{i}.png")
        x0, y0, x1, y1 = BOXES[0]
        centre = f"{(x0 + x1) / 2} {(y0 + y1) / 2} {x1 - x0} {y1 - y0}"
        line = centre if request.param == "boxes" else f"{x0} {y0} {x1} {y0} {x1} {y1} {x0} {y1}"
        (root / "labels" / f"{i}.txt").write_text(f"0 {line}\n" if i else "")  # the first image is a background
    (root / "data.yaml").write_text(f"path: {root}\ntrain: images\nval: images\nnames: [a, b]\n")
    return root / "data.yaml"


def loader_of(data: Path, **options: Any) -> Any:
    """The weighted loader of a training with these augmentations."""
    task = options.pop("task", "detect")
    cfg = get_cfg(overrides={**PLAIN, "task": task, **options})
    known = check_det_dataset(str(data))
    dataset = WeightedDataset.of(build_yolo_dataset(cfg, known["train"], 4, known, rect=cfg.rect))
    return draw_by_weight(build_dataloader(dataset, 4, workers=0), num_replicas=1, rank=0, seed=0)


def gates_at(loader: Any, boxes: slice) -> Gates:
    """A gate at some boxes of every image; each with a factor of its own, to know it again."""
    images = sorted(loader.dataset.im_files, key=lambda name: int(Path(name).stem))
    chosen = range(len(BOXES))[boxes]
    image = np.repeat(np.arange(IMAGES), len(chosen))
    xyxy = np.array([BOXES[j] for _ in images for j in chosen])
    table = Detections(image, xyxy, np.ones_like(image), None, tuple(images), ("a", "b"))
    number = np.array([i * len(BOXES) + j for i in range(IMAGES) for j in chosen])
    return Gates.at(table, number / 64.0)


def seeded() -> None:
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002 - mix-up and cut-mix draw from it
    torch.manual_seed(5)


def epochs_of(loader: Any, count: int = 2) -> list[dict[str, Any]]:
    seeded()
    loader.sampler.set_epoch(0)
    return [batch for _ in range(count) for batch in loader]


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_box_that_is_carried_goes_where_a_label_at_the_same_place_goes(painted: Path, name: str) -> None:
    loader = loader_of(painted, **AUGMENTATIONS[name])
    polygons = "polygons" in str(painted)
    xyxy = np.array(BOXES, np.float32)
    for label in loader.dataset.labels:  # all four boxes are labels here, each of a class of its own
        label["bboxes"] = np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], axis=1)
        label["cls"] = np.arange(4, dtype=np.float32)[:, None] + 4 * int(Path(label["im_file"]).stem)
        label["segments"] = [box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2) for box in xyxy] if polygons else []
    loader.dataset.carry(gates_at(loader, slice(None)))
    seen, off = 0, 0.0
    for batch in epochs_of(loader):
        place = torch.cat([batch["batch_idx"][:, None], batch["cls"]], dim=1)
        carried = torch.stack([batch["gates"][:, 0], batch["gates"][:, 2] * 64], dim=1)
        same = torch.cdist(place, carried, p=float("inf")) < 0.1
        assert same.any(1).all()
        assert same.any(0).all()
        assert len(place) == len(carried)
        apart = torch.cdist(batch["bboxes"], batch["gates"][:, 3:], p=float("inf")).masked_fill(~same, 9.0)
        off = max(off, *apart.min(0).values.tolist(), *apart.min(1).values.tolist())
        seen += len(carried)
    assert seen > 2 * IMAGES
    assert off < 1e-4


@pytest.mark.parametrize("name", ["flips", "perspective", "mosaic", "cutmix", "copy-paste", "rect"])
def test_a_box_that_is_carried_lies_where_its_object_is_drawn(painted: Path, name: str) -> None:
    loader = loader_of(painted, **{**AUGMENTATIONS[name], "scale": 0.0})
    loader.dataset.carry(gates_at(loader, slice(1, None)))
    found = visible = lost = 0
    for batch in epochs_of(loader):
        for image, pixels in enumerate(batch["img"].permute(0, 2, 3, 1).numpy()):
            height, width = pixels.shape[:2]
            gates = batch["gates"][batch["gates"][:, 0] == image].numpy()
            numbers = (gates[:, 2] * 64).round().astype(int)
            for number, (x, y, w, h) in zip(numbers, gates[:, 3:] * (width, height, width, height), strict=True):
                crop = pixels[round(y - h / 4) : round(y + h / 4) + 1, round(x - w / 4) : round(x + w / 4) + 1]
                own = np.abs(crop.astype(int) - colour_of(*divmod(int(number), 4))).max(axis=-1) <= 3
                found += bool(own.mean() > 0.3)  # others may be pasted over it
            for number in range(IMAGES * 4):
                i, j = divmod(number, 4)
                size = (BOXES[j][2] - BOXES[j][0]) * (BOXES[j][3] - BOXES[j][1]) * SIDE * SIDE
                there = (np.abs(pixels.astype(int) - colour_of(i, j)).max(axis=-1) <= 3).sum()
                if j and there > 0.4 * size:
                    visible += 1
                    lost += number not in numbers
    assert visible > 20
    assert lost == 0
    assert found > 0.9 * visible


@pytest.mark.parametrize("name", ["affine", "mixup"])
def test_images_and_labels_are_what_they_are_without(painted: Path, name: str) -> None:
    plain, carrying = (loader_of(painted, **AUGMENTATIONS[name]) for _ in range(2))
    carrying.dataset.carry(gates_at(carrying, slice(1, None)))
    for one, other in zip(epochs_of(plain), epochs_of(carrying), strict=True):
        assert not len(one["gates"])
        assert len(other["gates"])
        for key in ("img", "cls", "bboxes", "batch_idx"):
            assert torch.equal(one[key], other[key]), key


def test_masks_are_those_of_the_labels_alone(tmp_path: Path, painted: Path) -> None:
    if "polygons" not in str(painted):
        pytest.skip("only polygons are drawn as masks")
    options = {**AUGMENTATIONS["mosaic"], "task": "segment", "mask_ratio": 2}
    plain, carrying = (loader_of(painted, **options) for _ in range(2))
    carrying.dataset.carry(gates_at(carrying, slice(1, None)))
    for one, other in zip(epochs_of(plain), epochs_of(carrying), strict=True):
        assert torch.equal(one["masks"], other["masks"])
        assert len(other["gates"]) > len(other["cls"])


def test_a_label_that_is_to_be_ignored_is_no_object_any_more_and_closing_mosaic_keeps_it(painted: Path) -> None:
    loader = loader_of(painted, **AUGMENTATIONS["mosaic"])
    gates = gates_at(loader, slice(0, 1))
    labelled = Detections(gates.image, gates.xyxy, np.zeros_like(gates.image), None, gates.images, ("a", "b"))
    every = gates.image % 2 == 0
    found = loader.dataset.carry(Gates.ignoring(labelled, every)).found
    assert found == IMAGES - 1  # the background has no label: a box is carried there
    loader.dataset.close_mosaic(get_cfg(overrides=PLAIN))
    for batch in epochs_of(loader, 1):
        assert len(batch["cls"]) == 0
        numbers = [int(Path(name).stem) for name in batch["im_file"]]
        assert batch["gates"][:, 1].tolist() == [-1.0 if number % 2 == 0 else 0.0 for number in numbers]
        assert torch.allclose(batch["gates"][:, 3], torch.tensor(0.225), atol=0.11)  # bars beside narrow images


def test_probable_labels_are_labels_and_no_file_is_written(painted: Path) -> None:
    before = {path: path.read_text() for path in painted.parent.glob("labels/*.txt")}
    loader = loader_of(painted)
    gates = gates_at(loader, slice(1, 2))
    table = Detections(gates.image, gates.xyxy, gates.label, None, gates.images, ("a", "b"))
    loader.dataset.carry(Gates.at(table, 0.2, np.ones(IMAGES, dtype=bool)))
    for batch in epochs_of(loader, 1):
        assert not len(batch["gates"])
        assert (batch["cls"] == 1).sum() == len(batch["im_file"])
    assert {path: path.read_text() for path in painted.parent.glob("labels/*.txt")} == before
