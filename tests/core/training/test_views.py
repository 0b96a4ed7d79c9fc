"""A detector is shown views that change nothing around the border, and its boxes come back where they belong."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

pytest.importorskip("ultralytics", reason="views are drawn as Ultralytics draws images")
from PIL import Image

from hnm_core import Detections, mine
from hnm_core.training.asking import ask_again
from hnm_core.training.view_cache import ViewCache, cache_folder, digest_of
from hnm_core.training.views import VIEWS, View, ask_views

GREY = 114


class Columns(SimpleNamespace):
    """Boxes as Ultralytics gives them."""

    def cpu(self) -> Columns:
        return self

    def numpy(self) -> Columns:
        return self


class BrightSpots:
    """Takes what is bright for a cat, and remembers what it was shown."""

    names: ClassVar = {0: "cat"}
    overrides: ClassVar = {"imgsz": 128}

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []

    def predict(self, images: list[np.ndarray], imgsz: tuple[int, int], **options: Any) -> list[Any]:
        assert all(image.shape[:2] == imgsz for image in images), "an image of another shape gets bars of its own"
        self.shown += images
        return [SimpleNamespace(boxes=self._boxes(image)) for image in images]

    def _boxes(self, image: np.ndarray) -> Columns:
        y, x = np.nonzero(image[..., 0] > 200)
        if not len(x):
            return Columns(xyxy=np.zeros((0, 4)), conf=np.zeros(0), cls=np.zeros(0))
        box = [[x.min(), y.min(), x.max() + 1, y.max() + 1]]
        return Columns(xyxy=np.array(box, float), conf=np.array([0.9]), cls=np.array([0.0]))


def spot(path: Path, size: tuple[int, int] = (200, 150), box: tuple[int, int, int, int] = (20, 30, 60, 90)) -> Path:
    """An image, dark but for one spot."""
    pixels = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("size", [(200, 150), (150, 200), (128, 128), (333, 87)])
def test_boxes_of_every_view_lie_where_they_lie_in_the_image(tmp_path: Path, size: tuple[int, int]) -> None:
    box = (size[0] // 8, size[1] // 4, size[0] // 2, size[1] // 2)
    file = spot(tmp_path / "a.png", size, box)
    (found,) = ask_views(BrightSpots(), [file], 128)
    assert found is not None
    assert len(found) == len(VIEWS)
    for view in found:
        assert view[0, :4] * np.tile(size, 2) == pytest.approx(box, abs=size[0] / 40)
        assert view[0, 4:].tolist() == pytest.approx([0.9, 0])


def test_a_view_is_the_same_canvas_bars_and_all(tmp_path: Path) -> None:
    file = spot(tmp_path / "a.png", (100, 75))  # at 128 pixels 128 × 96, which 32 divides: no bars
    other = spot(tmp_path / "b.png", (100, 90))  # 128 × 115: 6 and 7 lines of bars
    model = BrightSpots()
    plain = View("same")
    list(ask_views(model, [file, other], 128, views=[plain, *VIEWS]))
    for name in (file, other):
        shown = []
        for number in range(1 + len(VIEWS)):
            model.shown.clear()
            list(ask_views(model, [name], 128, views=[(plain, *VIEWS)[number]]))
            shown.append(model.shown[0])
        same, across, upside_down, smaller, larger = shown
        assert np.array_equal(across, same[:, ::-1])
        assert np.array_equal(upside_down, same[::-1])
        share = (same == GREY).all(axis=2).mean()
        assert (share > 0) == (name == other)
        for scaled in (smaller, larger):
            assert (np.array(scaled.shape[:2]) % 32 == 0).all()
            assert (scaled == GREY).all(axis=2).mean() == pytest.approx(share, abs=0.02)


def test_the_plain_canvas_is_what_ultralytics_makes_of_an_image(tmp_path: Path) -> None:
    from ultralytics.data.augment import LetterBox
    from ultralytics.utils.patches import imread

    for size in ((100, 90), (575, 575), (360, 363), (378, 504), (960, 540)):
        file = spot(tmp_path / f"{size[0]}x{size[1]}.png", size)
        model = BrightSpots()
        list(ask_views(model, [file], 224, views=[View("same")]))
        assert np.array_equal(model.shown[0], LetterBox((224, 224), auto=True, stride=32)(image=imread(str(file))))


def test_an_image_that_cannot_be_read_is_left_out_of_its_batch(tmp_path: Path) -> None:
    broken = tmp_path / "b.png"
    broken.write_bytes(b"no picture")
    found = list(ask_views(BrightSpots(), [spot(tmp_path / "a.png"), broken, spot(tmp_path / "c.png")], 128))
    assert [views is None for views in found] == [False, True, False]


def tables(folder: Path, pixels: bool) -> tuple[Any, Detections, Path]:
    """Two images with a spot each, mined without predictions, and a file that stands for the model's."""
    names = [str(spot(folder / f"{name}.png")) for name in "ab"]
    unit = np.array([200, 150, 200, 150]) if pixels else np.ones(4)
    truth = Detections([0], [np.array([0.1, 0.2, 0.3, 0.6]) * unit], [0], None, names, ["dog", "cat"])
    none = Detections([], np.zeros((0, 4)), [], [], names, ["dog", "cat"])
    weights = folder / "model.pt"
    weights.write_bytes(b"weights")
    return mine(none, truth), truth, weights


@pytest.mark.parametrize("pixels", [False, True])
def test_nothing_is_asked_twice_and_the_answers_are_the_same(tmp_path: Path, pixels: bool) -> None:
    result, truth, weights = tables(tmp_path, pixels)
    model, cache = BrightSpots(), tmp_path / "cache" / "views.sqlite3"
    first = ask_again(model, weights, result, cache=cache)
    assert (first.images, first.kept, len(model.shown)) == (2, 0, 2 * len(VIEWS))
    assert first.tables[0].label.tolist() == [1, 1], "classes by name, not by number"
    assert first.tables[0].xyxy[0] == pytest.approx(truth.xyxy[0], rel=0.1)
    model.shown.clear()
    second = ask_again(model, weights, result, cache=cache)
    assert (second.images, second.kept, model.shown) == (2, 2, [])
    for one, two in zip(first.tables, second.tables, strict=True):
        assert np.array_equal(one.xyxy, two.xyxy)
    assert second.cost.startswith("views: 0 images asked 4 times in 0 s, 2 known")
    spot(Path(truth.images[1]), box=(100, 30, 140, 90))
    third = ask_again(model, weights, result, cache=cache)
    assert (third.kept, len(model.shown)) == (1, len(VIEWS)), "a changed image is asked again"
    weights.write_bytes(b"other weights")
    assert ask_again(model, weights, result, cache=cache).kept == 0, "so is another model"
    assert ask_again(model, weights, result, cache=cache, imgsz=64).kept == 0, "and another size"


def test_a_model_of_other_classes_is_refused_and_a_map_helps(tmp_path: Path) -> None:
    result, _, weights = tables(tmp_path, pixels=False)
    cache = tmp_path / "views.sqlite3"
    with pytest.raises(ValueError, match=r"knows 'cow', and none of these is a class of the data \('dog', 'cat'\)"):
        ask_again(BrightSpots(), weights, result, names=["cow"], cache=cache)
    asked = ask_again(BrightSpots(), weights, result, names=["cow"], class_map={"cow": "dog"}, cache=cache)
    assert asked.tables[0].label.tolist() == [0, 0]


def test_images_that_are_not_there_are_said(tmp_path: Path) -> None:
    result, _, weights = tables(tmp_path, pixels=False)
    with pytest.warns(UserWarning, match="1 images have no views because they are no pictures that can be read: .*b.p"):
        asked = ask_again(
            *(BrightSpots(), weights, result),
            locate=lambda name: None if name.endswith("b.png") else name,
            cache=tmp_path / "views.sqlite3",
        )
    assert asked.images == 1


def test_the_cache_keeps_images_without_boxes_apart_from_unknown_ones(tmp_path: Path) -> None:
    kept = ViewCache(tmp_path / "deep" / "views.sqlite3", "model")
    assert kept.find(["a"]) == {}
    some, none = np.arange(12, dtype=np.float32).reshape(2, 6), np.zeros((0, 6), dtype=np.float32)
    kept.keep(["a", "b"], [[none, some], [none, none]])
    found = kept.find(["a", "b", "c"])
    assert list(found) == ["a", "b"]
    assert [view.tolist() for view in found["a"]] == [[], some.tolist()]
    assert [len(view) for view in found["b"]] == [0, 0]
    assert ViewCache(tmp_path / "deep" / "views.sqlite3", "other model").find(["a"]) == {}


def test_the_folder_of_the_cache_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HNM_CACHE_DIR", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("HNM_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "hnm"
    assert digest_of(spot(tmp_path / "a.png")) == digest_of(spot(tmp_path / "b.png"))


def test_the_command_asks_the_model_and_lists_what_it_contradicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two spots that are found, one of them without a label, and a label on nothing."""
    from hnm_core.cli import main
    from hnm_core.training import detecting

    root, found = tmp_path / "data", tmp_path / "found"
    for folder in (root / "images" / "train", root / "labels" / "train", found):
        folder.mkdir(parents=True)
    lines = {"a": "0 0.2 0.4 0.2 0.4\n", "b": "", "c": "0 0.8 0.8 0.2 0.2\n"}
    for name, text in lines.items():
        spot(root / "images" / "train" / f"{name}.png")
        (root / "labels" / "train" / f"{name}.txt").write_text(text)
        (found / f"{name}.txt").write_text("0 0.2 0.4 0.2 0.4 0.9\n")
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nnames: [cat]\n")
    weights = tmp_path / "best.pt"
    arguments = ["mine", "--data", str(root / "data.yaml"), "--predictions", str(found), "--views", str(weights)]
    monkeypatch.setenv("HNM_CACHE_DIR", str(tmp_path / "cache"))
    assert main([*arguments, "--output", str(tmp_path / "none")]) == 2
    assert f"--views {weights}: there is no such file" in capsys.readouterr().err
    weights.write_bytes(b"weights")
    monkeypatch.setattr(detecting, "load_detector", lambda path: BrightSpots())
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    assert "views: 3 images asked 4 times in" in capsys.readouterr().out
    with (tmp_path / "out" / "label_suspects.csv").open() as file:
        bogus = {Path(row["image"]).name: float(row["bogus_label"]) for row in csv.DictReader(file)}
    assert set(bogus) == {"a.png", "c.png"}
    assert bogus["c.png"] > 4 > 0 > bogus["a.png"]
    assert (tmp_path / "cache" / "views.sqlite3").is_file()
