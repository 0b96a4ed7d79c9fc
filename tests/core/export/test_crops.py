"""Crops around mistakes: no truth is ever blanked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnm_core import Detections, MiningSettings
from hnm_core.export import ExportImage, ExportSettings, export_weighted
from hnm_core.export.crops import HALF, MAX_SHARE, crop_window
from tests.scenes import patient

SIZE = (400, 300)
NONE = np.zeros((0, 4))


@st.composite
def boxes(draw: st.DrawFn, most: int) -> np.ndarray:
    n = draw(st.integers(0, most))
    corner = st.tuples(st.floats(-20, 390), st.floats(-20, 290), st.floats(1, 150), st.floats(1, 150))
    rows = [draw(corner) for _ in range(n)]
    return np.array([[x, y, x + w, y + h] for x, y, w, h in rows]).reshape(-1, 4)


def overlap(truths: np.ndarray, window: Any) -> np.ndarray:
    sides = np.minimum(truths[:, 2:], window[2:]) - np.maximum(truths[:, :2], window[:2])
    return np.where((sides > 0).all(axis=1), np.prod(sides, axis=1), 0.0)


@settings(patient, max_examples=200)
@given(boxes(1).filter(len), boxes(12), boxes(2))
def test_a_crop_shows_at_least_half_of_every_truth_it_touches_and_no_crowd(
    box: np.ndarray, truths: np.ndarray, crowds: np.ndarray
) -> None:
    inside = np.clip(box[0], 0, [*SIZE, *SIZE])
    window = crop_window(inside, truths, crowds, SIZE)
    if window is None:
        return
    x0, y0, x1, y1 = window
    assert 0 <= x0 < x1 <= SIZE[0]
    assert 0 <= y0 < y1 <= SIZE[1]
    assert (x1 - x0) * (y1 - y0) <= MAX_SHARE * SIZE[0] * SIZE[1]
    assert (inside[:2] >= (x0, y0)).all()
    assert (inside[2:] <= (x1, y1)).all()
    seen_of_image = np.clip(truths, 0, [*SIZE, *SIZE])
    area = np.prod(seen_of_image[:, 2:] - seen_of_image[:, :2], axis=1)
    seen = overlap(seen_of_image, window)
    assert ((seen == 0) | (seen >= HALF * area - 1e-3)).all()
    assert (overlap(crowds, window) == 0).all()


def test_a_crop_grows_to_hold_a_truth_whole() -> None:
    assert crop_window(np.array([10.0, 10, 30, 30]), np.array([[90.0, 20, 130.5, 60]]), NONE, SIZE) == (0, 0, 131, 96)


def test_where_growing_takes_most_of_the_image_a_truth_stays_cut() -> None:
    chain = np.array([[90.0 + 60 * i, 10, 158.0 + 60 * i, 250] for i in range(5)])
    near = np.array([[40.0, 5, 110, 80]])  # mostly inside
    assert crop_window(np.array([10.0, 10, 30, 30]), np.concatenate([near, chain]), NONE, SIZE) is None
    assert crop_window(
        np.array([10.0, 10, 30, 30]), np.array([[40.0, 5, 110, 80], [109, 0, 400, 300]]), NONE, SIZE
    ) == (*(0, 0, 96, 96),)


def test_a_crop_next_to_a_crowd_is_none() -> None:
    assert crop_window(np.array([10.0, 10, 30, 30]), NONE, np.array([[60.0, 60, 90, 90]]), SIZE) is None


class TestExport:
    @pytest.fixture
    def world(self, tmp_path: Path) -> tuple[list[ExportImage], Detections, Detections]:
        """Two train images and one of val; mistakes in all of them, one beside a truth, two on nothing."""
        pixels = pytest.importorskip("PIL.Image", reason="Pillow makes the images")
        random = np.random.default_rng(2)
        for name in ("a", "b", "v"):
            pixels.fromarray(random.integers(0, 255, (300, 400, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
        images = [ExportImage(str(tmp_path / f"{n}.png"), n, "val" if n == "v" else "train") for n in ("a", "b", "v")]
        scale = np.array([400.0, 300, 400, 300])
        truth = Detections(
            [0, 1, 2], np.array([[60.0, 20, 120, 80], [0, 0, 50, 50], [0, 0, 50, 50]]) / scale, [0, 1, 0], None,
            ["a", "b", "v"], ["cat", "dog"],
        )  # fmt: skip
        mistakes = Detections(
            [0, 0, 1, 1, 2],
            np.array(
                [[20.0, 20, 50, 50], [300, 200, 330, 230], [200, 200, 230, 230], [205, 205, 225, 225], [9, 9, 40, 40]]
            )
            / scale,
            *([0] * 5, [0.9, 0.8, 0.7, 0.6, 1.0], ["a", "b", "v"], ["mistake"]),
        )
        return images, truth, mistakes

    def export(self, to: Path, world: Any, layout: str, background_share: float) -> Any:
        images, truth, mistakes = world
        mining = MiningSettings(background_share=background_share)
        chosen = ExportSettings(layout=layout, crops=True)
        facts: dict[str, Any] = {"report": {}, "run_key": "one", "mistakes": mistakes}
        return export_weighted(to, images, truth, settings=chosen, mining=mining, **facts)

    def test_crops_are_pixels_of_the_image_with_its_truths(self, tmp_path: Path, world: Any) -> None:
        pixels = pytest.importorskip("PIL.Image")
        summary = self.export(tmp_path / "out", world, "coco", 0.5)
        content = json.loads((tmp_path / "out/annotations/train.json").read_text())
        crops = {i["sample_id"]: i for i in content["images"] if "#" in i["sample_id"]}
        assert list(crops) == ["a#crop1", "a#crop2", "b#crop3"]  # one of b's two lies in the other's crop; none of val
        first = crops["a#crop1"]
        assert (first["file_name"], first["width"], first["height"], first["weight"]) == (
            *("images/train/a__c1.png", 120, 96, 1.0),
        )
        crop = np.asarray(pixels.open(tmp_path / "out" / first["file_name"]))
        assert np.array_equal(crop, np.asarray(pixels.open(tmp_path / "a.png"))[0:96, 0:120])
        of_crop = [a for a in content["annotations"] if a["image_id"] == first["id"]]
        assert [(a["bbox"], a["category_id"]) for a in of_crop] == [([60.0, 20.0, 60.0, 60.0], 1)]
        assert summary.images == {"train": 5, "val": 1}
        assert "3 crops around mistakes are added" in summary.warnings
        assert set(summary.sample_ids) == {"a", "b"}

    def test_crops_of_nothing_are_background_within_its_share(self, tmp_path: Path, world: Any) -> None:
        summary = self.export(tmp_path / "out", world, "ultralytics", 0.25)
        assert summary.images["train"] == 4
        assert "1 crops without truths are left out: at most 25% are background images" in summary.warnings
        assert (tmp_path / "out/labels/train/a__c1.txt").read_text() == "0 0.750000 0.520833 0.500000 0.625000\n"
        assert (tmp_path / "out/labels/train/a__c2.txt").read_text() == ""

    def test_a_crop_of_a_turned_image_in_printers_colours(self, tmp_path: Path, world: Any) -> None:
        pixels = pytest.importorskip("PIL.Image")
        images, truth, mistakes = world
        exif = pixels.Exif()
        exif[274] = 6
        turned = pixels.open(tmp_path / "a.png").rotate(90, expand=True).convert("CMYK")
        turned.save(tmp_path / "a.jpg", exif=exif, quality=100)
        images[0] = ExportImage(str(tmp_path / "a.jpg"), "a")
        self.export(tmp_path / "out", (images, truth, mistakes), "coco", 0.5)
        with pixels.open(tmp_path / "out/images/train/a__c1.png") as crop:
            assert (crop.mode, crop.size) == ("RGB", (120, 96))
            found = np.asarray(crop, dtype=float)
        expected = np.asarray(pixels.open(tmp_path / "a.png"), dtype=float)[0:96, 0:120]
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.8
