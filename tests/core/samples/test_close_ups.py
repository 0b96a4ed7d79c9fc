"""The hardest mistakes as pictures inside the report, whatever the unit of the boxes."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest

from hnm_core import Detections, MiningSettings, mine
from hnm_core.reporting.html import as_html
from tests.scenes import FAR, HERE, high, scene

Image = pytest.importorskip("PIL.Image", reason="Pillow draws")

from hnm_core.samples.close_ups import hardest_close_ups  # noqa: E402


def images(folder: Path, *names: str, size: tuple[int, int] = (200, 120)) -> None:
    for number, name in enumerate(names):
        Image.new("RGB", size, (60 * number % 256, 80, 120)).save(folder / name)


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))


def test_false_positives_come_first_each_kind_the_hardest_first(tmp_path: Path) -> None:
    images(tmp_path, "a.png", "b.png", "c.png")
    rows = [("a.png", "cat", 0.6, FAR), ("b.png", "cat", 0.9, FAR), ("b.png", "dog", 0.7, high(4))]
    result = mine(*scene(rows, [("b.png", "dog", HERE), ("c.png", "cat", HERE)]))
    found, notes = hardest_close_ups(result, lambda name: tmp_path / name)
    assert notes == []
    assert [(one.error, one.words, one.image) for one in found][:2] == [
        ("background", "cat 0.90", "b.png"),
        ("background", "cat 0.60", "a.png"),
    ]
    assert len(hardest_close_ups(result, lambda name: tmp_path / name, most=1)[0]) == 1


def test_pixels_and_fractions_give_the_same_picture(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    pixels = scene([("a.png", "cat", 0.9, (20, 30, 60, 90))], [("a.png", "cat", (120, 20, 160, 60))])

    def fractions(table: Detections) -> Detections:
        columns = (table.image, table.xyxy / [200, 120, 200, 120], table.label, table.score)
        return Detections(*columns, images=table.images, classes=table.classes)

    first, second = (
        hardest_close_ups(mine(*tables), lambda name: tmp_path / name)[0][0]
        for tables in (pixels, tuple(map(fractions, pixels)))
    )
    assert first == second
    color = np.array([0xD5, 0x5E, 0x00])
    assert (np.abs(decoded(first.picture).astype(int) - color).sum(axis=2) < 60).sum() > 100, "the box is drawn"


def test_a_picture_that_was_resized_after_labelling_shows_the_same_place(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    with Image.open(tmp_path / "a.png") as full:
        full.resize((100, 60)).save(tmp_path / "half.png")
    result = mine(*scene([("a.png", "cat", 0.9, (20, 30, 60, 90))], [("a.png", "cat", (120, 20, 160, 60))]))
    full, half, wrong = (
        hardest_close_ups(result, lambda _, name=name: tmp_path / name, sizes)[0][0]
        for name, sizes in (("a.png", None), ("half.png", {"a.png": (200, 120)}), ("half.png", None))
    )
    assert full.picture == half.picture
    assert wrong.picture != half.picture


def test_an_image_without_a_file_is_named(tmp_path: Path) -> None:
    found, notes = hardest_close_ups(mine(*scene([("a.png", "cat", 0.9, FAR)], images=["a.png"])), lambda name: None)
    assert found == []
    assert notes == ["1 of 1 pictures cannot be shown, first a.png: its name leads to no file of the data"]


def test_nothing_on_the_other_side_is_no_box_beside(tmp_path: Path) -> None:
    images(tmp_path, "a.png", "b.png")
    for tables in (scene([("a.png", "cat", 0.9, FAR)], images=["b.png"]), scene([], [("b.png", "cat", HERE)])):
        found, notes = hardest_close_ups(mine(*tables), lambda name: tmp_path / name)
        assert (len(found), notes) == (1, [])


def test_what_cannot_be_read_is_said_and_the_page_is_one_file(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    (tmp_path / "b.png").write_text("no image")
    rows = [(name, "<cat>", 0.9, FAR) for name in ("a.png", "b.png", "gone.png")]
    result = mine(*scene(rows, [("a.png", "<cat>", HERE)]), MiningSettings(hard_negative_ratio=1.0))
    found, notes = hardest_close_ups(result, lambda name: tmp_path / name)
    assert len(found) == 2
    assert notes[0].startswith("2 of 4 pictures cannot be shown, first ")
    pytest.importorskip("matplotlib", reason="the page has charts")
    page = as_html(result, close_ups=found, samples="samples/index.html")
    assert page.count("<img src='data:image/jpeg;base64,") == 2
    assert (tmp_path / "a.png").as_uri() in page
    assert "href='samples/index.html'" in page
    assert "&lt;cat&gt; 0.90" in page
    assert "prefers-color-scheme: dark" in page
    assert "<script" not in page
    loaded = re.findall(r"(?:src|href|url)\s*[=(]\s*['\"]?([^'\" )>]+)", page)
    assert {name.partition(":")[0] for name in loaded} <= {"data", "file", "samples/index.html"} | {
        name for name in loaded if name.startswith("#")
    }
