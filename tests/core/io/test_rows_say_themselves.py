"""What the rows of a results file say themselves, and ids that name exactly one image or class."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core import Detections
from hnm_core.io import read_coco
from hnm_core.io.doubts import fitting_names
from hnm_core.io.image_ids import ImageIndex
from hnm_core.io.model_names import read_model_names
from tests.scenes import FAR, HERE

pytestmark = pytest.mark.filterwarnings("ignore:.*images with objects have no predictions")

FILES = ("day/0007.jpg", "day/0012.jpg", "night/0012.jpg", "night/owl.png")


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Reads rows against one truth of class *barn* on every image; images are numbered from 10 downwards."""

    def read_rows(rows: list[dict[str, Any]], names: Any = FILES, **more: Any) -> tuple[Detections, Detections]:
        content = {
            "images": [{"id": 10 - i, "file_name": name} for i, name in enumerate(names)],
            "categories": [{"id": 4, "name": "barn"}, {"id": 5, "name": "tree"}],
            "annotations": [{"image_id": 10 - i, "category_id": 4, "bbox": HERE} for i in range(len(names))],
        }
        for name, text in (("gt.json", content), ("found.json", rows)):
            (tmp_path / name).write_text(json.dumps(text))
        return read_coco(tmp_path / "gt.json", tmp_path / "found.json", **more)

    return read_rows


def row(**of: Any) -> dict[str, Any]:
    return {"category_id": 4, "bbox": HERE, "score": 0.9, **of}


@pytest.mark.parametrize(
    ("rows", "images"),
    [
        ([row(file_name="0007.jpg"), row(file_name="owl.png")], [0, 3]),  # without an id at all
        ([row(file_name="/home/me/night/0012.jpg")], [2]),
        ([row(file_name="day\\0012.jpg", image_id=12)], [1]),
        ([row(image_id="10"), row(image_id=7.0)], [0, 3]),  # ids as text and as float
        ([row(image_id=7), row(image_id="owl")], [0, 3]),  # not all are ids, so they are names: 0007 and owl
        ([row(image_id="night/0012.jpg"), row(image_id="day/0012.jpg")], [2, 1]),
    ],
)
def test_what_names_one_image_is_understood(read: Any, rows: list[dict[str, Any]], images: list[int]) -> None:
    assert read(rows)[0].image.tolist() == images


def test_ids_may_be_larger_than_64_bits(read: Any, tmp_path: Path) -> None:
    read([row(image_id=10)])
    truth = (tmp_path / "gt.json").read_text().replace('id": 10,', f'id": {2**64},')
    (tmp_path / "gt.json").write_text(truth)
    (tmp_path / "found.json").write_text(json.dumps([row(image_id=2**64)]))
    assert read_coco(tmp_path / "gt.json", tmp_path / "found.json")[0].image.tolist() == [0]


def test_a_file_name_is_believed_against_an_id_and_that_is_said(read: Any) -> None:
    rows = [row(image_id=7, file_name="0007.jpg"), row(image_id=8, file_name="night/owl.png")]
    with pytest.warns(UserWarning, match=r"2 of 2 rows have the file_name of one image of .* the image_id of another"):
        assert read(rows)[0].image.tolist() == [0, 3]


def test_names_that_fit_several_images_are_refused(read: Any) -> None:
    with pytest.raises(
        ValueError, match=r"1 of 2 boxes have a file_name that fits several .*'0012\.jpg': day/0012\.jpg, night"
    ):
        read([row(file_name="owl.png"), row(file_name="0012.jpg")])
    assert read([row(file_name="0012.jpg", image_id=8)])[0].image.tolist() == [2]  # the id tells them apart
    with pytest.raises(ValueError, match=r"image_id that fits several images"):
        read([row(image_id=12)])


@pytest.mark.parametrize("key", ["file_name", "image_id"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("night/owl.png", "dusk/owl.png"),  # a folder that is not of the ground truth, and has an owl too
        ("/old/night/owl.png", "/new/night/owl.png"),
        ("owl.png", "owl.jpg"),
    ],
)
def test_images_that_are_none_of_the_truth_are_not_taken_for_one(read: Any, key: str, first: str, second: str) -> None:
    with pytest.raises(ValueError, match=f"'night/owl.png' as '{first}' and as '{second}'"):
        read([row(**{key: first}), row(**{key: second})])


def test_names_of_one_image_may_be_shorter_or_longer(read: Any) -> None:
    said = ("owl.png", "night/owl.png", "/home/me/night/owl.png", "night\\owl", "owl")
    rows = [row(file_name=name, score=0.1 * i) for i, name in enumerate(said)]
    assert read(rows)[0].image.tolist() == [3] * len(said)


def test_unknown_names_are_refused_unless_ids_are_known(read: Any) -> None:
    with pytest.raises(ValueError, match=r"1 of 2 boxes have a file_name that .*, first 'cat\.jpg'; listed are 'day/"):
        read([row(file_name="owl.png"), row(file_name="cat.jpg", image_id=10)])
    with pytest.warns(UserWarning, match="none of the file names of its rows"):
        assert read([row(file_name="cat.jpg", image_id=10)])[0].image.tolist() == [0]


def test_where_an_id_is_two_images_the_boxes_decide(read: Any) -> None:
    names = [f"{10 - i + 1}.jpg" if i else "1.jpg" for i in range(4)]  # 1, 10, 9, 8 have the ids 10, 9, 8, 7
    ids = [10, 9, 8]
    assert read([row(image_id=i) for i in ids], names)[0].image.tolist() == [0, 1, 2]  # a tie: ids
    index = ImageIndex(names, ["10", "9", "8", "7"])
    assert [index.named(str(i)) for i in ids] == [1, 2, 3]


def test_category_names_are_believed(read: Any) -> None:
    rows = [row(image_id=10, category_name="tree", category_id=0), row(image_id=9, category_name="barn", category_id=1)]
    predictions, _ = read(rows)
    assert [predictions.classes[c] for c in predictions.label] == ["tree", "barn"]
    rows[0] = {key: value for key, value in rows[0].items() if key != "category_id"}
    assert read(rows)[0].label.tolist() == [1, 0]


def test_a_foreign_category_name_is_a_class_of_its_own_or_translated(read: Any) -> None:
    rows = [row(image_id=10, category_name="shed")]
    with pytest.warns(
        UserWarning, match=r"1 of 1 predictions are of classes that .*gt\.json .*first 'shed'.*--class-map shed=CLASS"
    ):
        assert read(rows)[0].classes == ("barn", "tree", "shed")
    assert read(rows, class_map={"shed": "barn"})[0].label.tolist() == [0]


def test_categories_of_one_name_are_told_apart_by_their_id(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 0, "name": "bird"}, {"id": 1, "name": "bird"}, {"id": 2, "name": "nest"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": HERE}],
    }
    (tmp_path / "gt.json").write_text(json.dumps(content))
    (tmp_path / "found.json").write_text(json.dumps([row(image_id=1, category_id=1)]))
    predictions, truth = read_coco(tmp_path / "gt.json", tmp_path / "found.json")
    assert truth.classes == ("bird (id 0)", "bird", "nest")
    assert predictions.label.tolist() == truth.label.tolist() == [1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"score": "much"}, "1 of 1 results have a score that is not a number, first number 0: 'much'"),
        ({"score": 1 + 2**-20}, r"a score outside \[0, 1\], first number 0: 1\.00000095"),
        ({"bbox": [0, float("nan"), 1, 1]}, "1 of 1 boxes reach beyond 1e[+]07 pixels, or are NaN or infinite, first"),
        ({"score": True}, "a score that is not a number, first number 0: True"),
        ({"bbox": [0, 0, "1_0", 1]}, r"1 of 1 boxes are not \[x, y, w, h\]"),
        ({"bbox": [1, 1, 1, int("9" * 400)]}, r"1 of 1 boxes are not \[x, y, w, h\]"),
        (
            {"image_id": {}},
            "1 of 1 results have an image_id that is neither a whole number nor text, first number 0: {}",
        ),
        ({"image_id": True}, "neither a whole number nor text, first number 0: True"),
        ({"category_id": [1]}, "1 of 1 results have a category_id that is neither"),
    ],
)
def test_what_is_no_number_is_refused_with_its_place(read: Any, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read([row(image_id=10, **change)] if "image_id" not in change else [row(**change)])


def test_text_that_is_plainly_a_number_is_read_as_it(read: Any) -> None:
    predictions, _ = read([row(image_id="10", score="0.5", bbox=["0", "1", "2", "3.5"], category_id="5")])
    assert predictions.score.tolist() == [0.5]
    assert predictions.xyxy.tolist() == [[0, 1, 2, 4.5]]
    assert predictions.label.tolist() == [1]


def swapped(n: int = 12) -> list[dict[str, Any]]:
    return [row(image_id=10 - i, category_id=5) for i in range(n)]


def test_classes_in_another_order_are_named(read: Any) -> None:
    names = [f"{i}.jpg" for i in range(100, 112)]
    with pytest.warns(
        UserWarning, match=r"agree with .* on 0% of 12 .*; this order would fit: 'tree' as 'barn'\. Give"
    ):
        read(swapped(), names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(swapped(), names, class_map={"tree": "barn", "barn": "tree"})
        rows = [row(image_id=10 - i, category_id=2) for i in range(12)]  # the model's second class, counted from 1
        assert set(read(rows, names, prediction_names=["tree", "barn"])[0].label.tolist()) == {0}


def test_one_class_taken_for_another_is_no_other_order() -> None:
    often = np.array([0] * 30 + [1] * 60), np.array([0] * 5 + [1] * 25 + [1] * 60)
    assert fitting_names(*often, ("ten", "nine")) is None
    two_of_many = np.array([0] * 6 + [1] * 6 + [2] * 90), np.array([1] * 6 + [0] * 6 + [2] * 90)
    assert fitting_names(*two_of_many, ("a", "b", "c")) == {"a": "b", "b": "a"}


def test_copies_parts_and_other_images_are_said(read: Any) -> None:
    names = [f"{i}.jpg" for i in range(100, 112)]
    rows = [row(image_id=10 - i) for i in range(12)]
    with pytest.warns(UserWarning, match=r"12 of 24 predictions are exact copies"):
        read([*rows, *rows], names)
    with pytest.warns(UserWarning, match=r"9 of the 12 images with objects have no predictions, first 100\.jpg"):
        read(rows[9:], names)
    with pytest.warns(UserWarning, match=r"holds no predictions: all objects of the 12 images with objects count as"):
        read([], names)
    with pytest.warns(UserWarning, match=r"only 0 of 12 predictions of .* lie on an object"):
        read([{**one, "bbox": FAR} for one in rows], names)


def test_names_of_a_model_come_from_a_list_or_a_file(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="data.yaml is read with PyYAML")
    assert read_model_names(["x", "y"]) == ("x", "y")
    (tmp_path / "data.yaml").write_text("names: {0: x, 1: y}\n")
    assert read_model_names(tmp_path / "data.yaml") == ("x", "y")
    with pytest.raises(FileNotFoundError, match=r"there is no .*gone\.pt"):
        read_model_names(tmp_path / "gone.pt")
    with pytest.raises(ValueError, match="'x' twice"):
        read_model_names(["x", "x"])


def test_names_in_a_checkpoint_are_read_without_running_it(tmp_path: Path) -> None:
    import pickle
    import zipfile

    class Boom:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "best.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "best/data.pkl", pickle.dumps({"ema": None, "model": {"names": {0: "x", 1: "y"}}, "bad": Boom()})
        )
    assert read_model_names(path) == ("x", "y")
    assert not (tmp_path / "ran").exists()
    path.write_bytes(b"no")
    with pytest.raises(ValueError, match=r"best\.pt holds no class names"):
        read_model_names(path)


def test_a_damaged_checkpoint_takes_no_memory_for_what_it_announces(tmp_path: Path) -> None:
    import tracemalloc
    import zipfile

    entries = (2**24).to_bytes(4, "little")  # of the unpickler's memory, which the one in C makes at once
    with zipfile.ZipFile(tmp_path / "best.pt", "w") as archive:
        archive.writestr("best/data.pkl", b"\x80\x02]r" + entries + b".")
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"best\.pt holds no class names"):
            read_model_names(tmp_path / "best.pt")
        assert tracemalloc.get_traced_memory()[1] < 1e7
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("names", [{}, [], {0: "a", 2: "b"}, [["a"]], {0: {"a": 1}}, "ab", None])
def test_names_that_are_no_text_are_none(tmp_path: Path, names: Any) -> None:
    import pickle
    import zipfile

    with zipfile.ZipFile(tmp_path / "best.pt", "w") as archive:
        archive.writestr("best/data.pkl", pickle.dumps({"ema": None, "model": {"names": names}}))
    with pytest.raises(ValueError, match=r"best\.pt holds no class names as an Ultralytics checkpoint does"):
        read_model_names(tmp_path / "best.pt")


def test_names_of_a_real_checkpoint() -> None:
    weights = Path(__file__).parents[3] / "fiftyone_plugin" / "demo" / "digits.pt"
    assert read_model_names(weights) == ("three", "seven")
