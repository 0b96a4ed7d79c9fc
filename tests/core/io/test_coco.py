"""COCO json: what is read of it, and what is said of a file that is none."""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core import Detections
from hnm_core.io import read_coco
from hnm_core.io.json_rows import read_sizes

TRUTH: dict[str, Any] = {
    "images": [{"id": 7, "file_name": "a/1.jpg"}, {"id": 3, "file_name": "b/1.jpg"}, {"id": 5, "file_name": "c.jpg"}],
    "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "traffic/light.v2"}],
    "annotations": [
        {"id": 11, "image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0},
        {"id": 12, "image_id": 7, "category_id": 18, "bbox": [0.5, 0, 10, 0], "iscrowd": 1},
    ],
}
RESULTS: list[dict[str, Any]] = [
    {"image_id": 7, "category_id": 18, "bbox": [0, 0, 10, 20], "score": 0.25},
    {"image_id": 3, "category_id": 18, "bbox": [5, 6, 0, 7], "score": 1},
]


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Reads what it is given, from files; text is written as it is."""

    def read_files(truth: Any = TRUTH, results: Any = RESULTS) -> tuple[Detections, Detections]:
        paths = tmp_path / "gt.json", tmp_path / "results.json"
        for path, content in zip(paths, (truth, results), strict=True):
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return read_coco(*paths)

    return read_files


def test_what_is_read(read: Any) -> None:
    predictions, truth = read()
    for table in (predictions, truth):
        assert table.images == ("a/1.jpg", "b/1.jpg", "c.jpg")  # in the order of the file, empty ones too
        assert table.classes == ("dog", "traffic/light.v2")
    assert predictions.image.tolist() == [0, 1]
    assert predictions.label.tolist() == [0, 0]
    assert predictions.xyxy.tolist() == [[0, 0, 10, 20], [5, 6, 5, 13]]
    assert predictions.score.tolist() == [0.25, 1]
    assert truth.image.tolist() == [1, 0]
    assert truth.label.tolist() == [1, 0]
    assert truth.xyxy.tolist() == [[1, 2, 4, 6], [0.5, 0, 10.5, 0]]
    assert truth.is_crowd().tolist() == [False, True]
    assert truth.ids.tolist() == ["11", "12"]
    assert truth.score is None


def test_images_are_named_by_id_where_file_names_repeat_or_lack(read: Any) -> None:
    twins = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "a.jpg"}]
    nameless = [{"id": 1}, {"id": 2, "file_name": "a.jpg"}]
    assert read({**TRUTH, "images": twins, "annotations": []}, [])[0].images == ("1", "2")
    assert read({**TRUTH, "images": nameless, "annotations": []}, [])[0].images == ("1", "a.jpg")


def test_names_that_are_not_utf8_are_named(read: Any) -> None:
    odd = [{"id": 1, "file_name": "t\udcfc.jpg"}, {"id": 2, "file_name": "a.jpg"}]
    with pytest.raises(
        ValueError, match=r"gt\.json: 1 of 2 images have a name that is not UTF-8, first 't\\udcfc\.jpg'; r"
    ):
        read({**TRUTH, "images": odd, "annotations": []}, [])


def test_nothing_in_the_files(read: Any) -> None:
    for table in read({"images": [], "annotations": [], "categories": []}, []):
        assert (len(table), table.images, table.classes) == (0, (), ())
    predictions, truth = read({**TRUTH, "annotations": []}, [])
    assert (len(predictions), len(truth), len(truth.images)) == (0, 0, 3)
    assert predictions.score is not None


def test_annotations_without_id_or_crowd(read: Any) -> None:
    bare = [{"image_id": 7, "category_id": 18, "bbox": [0, 0, 1, 1]}]
    _, truth = read({**TRUTH, "annotations": bare})
    assert (truth.ids.tolist(), truth.is_crowd().tolist()) == (["0"], [False])


def changed(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy in which what lies at the path is another value, or gone (``None``)."""
    content = deepcopy(content)
    *way, last = path
    place = content
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("annotations",), None, "{gt} has no annotations: it is not a COCO annotation file"),
        (("annotations", 1, "bbox"), None, "{gt}: 1 of 2 annotations have no 'bbox', first number 1"),
        (("annotations", 0, "image_id"), None, "{gt}: 1 of 2 annotations have no 'image_id', first number 0"),
        (("annotations", 0), "cat", "{gt}: 1 of 2 annotations have no 'image_id', first number 0"),
        (("images", 2, "id"), None, "{gt}: 1 of 3 images have no 'id', first number 2"),
        (("categories", 0, "name"), None, "{gt}: 1 of 2 categories have no 'name', first number 0"),
        (("images", 2, "id"), 7, "{gt}: 1 of 3 images have a repeated id"),
        (("categories", 1, "id"), 18, "{gt}: 1 of 2 categories have a repeated id"),
        (
            ("annotations", 0, "image_id"),
            99,
            "{gt}: 1 of 2 boxes have an image_id that {gt} does not list among its images, first 99; listed are 7, 3, "
            "5. Do the two files belong together?",
        ),
        (
            ("annotations", 1, "bbox"),
            [10, 10, -5, 3],
            "{gt}: 1 of 2 boxes have a negative width or height, or NaN, first number 1: [10.0, 10.0, -5.0, 3.0]. COCO "
            "boxes are [x, y, width, height]; are these corners?",
        ),
        (("annotations", 1, "bbox"), [[1, 2]], "{gt}: 1 of 2 boxes are not [x, y, w, h], first number 1: [[1, 2]]"),
        (("annotations", 1, "bbox"), "1234", "{gt}: 1 of 2 boxes are not [x, y, w, h], first number 1: '1234'"),
        (("annotations", 1, "bbox"), [0, 0, "w", 1], "{gt}: 1 of 2 boxes are not [x, y, w, h], first number 1: [0, 0,"),
        (
            ("images", 2, "width"),
            {"a": 1},
            "{gt}: 1 of 3 images have a width or height that is no positive number, first",
        ),
        (("images", 1, "height"), -40, "{gt}: 1 of 3 images have a width or height that is no positive number, first"),
        (
            ("images", 0, "width"),
            "wide",
            "{gt}: 1 of 3 images have a width or height that is no positive number, first",
        ),
        (
            ("images", 0, "width"),
            True,
            "{gt}: 1 of 3 images have a width or height that is no positive number, first n",
        ),
        (
            ("images", 0, "width"),
            1e999,
            "{gt}: 1 of 3 images have a width or height that is no positive number, first n",
        ),
        (("annotations", 1, "bbox"), [0, 0, float("nan"), 1], "{gt}: 1 of 2 boxes have a negative width or height, or"),
    ],
)
def test_truth_that_is_none(read: Any, tmp_path: Path, path: tuple[Any, ...], value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^") as error:
        read(changed(TRUTH, path, value))
    assert str(error.value).startswith(message.format(gt=tmp_path / "gt.json"))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((1, "score"), None, "{results}: 1 of 2 results have no 'score', first number 1"),
        (
            (1,),
            {"": 0, "image_id": 3, "category_id": 1, "bbox": [1, 1, 2, 2]},
            "{results}: 1 of 2 results have no 'score',",
        ),
        ((0, "bbox"), None, "{results}: 1 of 2 results have no 'bbox', first number 0"),
        ((0, "score"), "high", "{results}: 1 of 2 results have a score that is not a number, first number 0: 'high'"),
        ((0, "score"), [0.5], "{results}: 1 of 2 results have a score that is not a number, first number 0: [0.5]"),
        ((0, "score"), 97, "{results}: 1 of 2 results have a score outside [0, 1], first number 0: 97.0. Are they "),
        ((1, "bbox"), [1, 2, 3], "{results}: 1 of 2 boxes are not [x, y, w, h], first number 1: [1, 2, 3]"),
        (
            (0, "image_id"),
            "77",
            "{results}: 1 of 2 boxes have an image_id that {gt} does not list among its images, first 77; listed are "
            "7, 3, 5. Do the two files belong together?",
        ),
        (
            (1, "category_id"),
            0,  # class index for a category id
            "{results}: 1 of 2 boxes have a category_id that {gt} does not list among its categories, first 0; listed "
            "are 18, 1. Do the two files belong together?",
        ),
    ],
)
def test_results_that_are_none(read: Any, tmp_path: Path, path: tuple[Any, ...], value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^") as error:
        read(results=changed(RESULTS, path, value))
    names = {"gt": tmp_path / "gt.json", "results": tmp_path / "results.json"}
    assert str(error.value).startswith(message.format(**names))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"results": TRUTH},
            "{results} is not a COCO results list: expected a JSON list of image_id, category_id, bbox, score, found "
            "'images', 'categories', 'annotations'. Is it an annotation file?",
        ),
        (
            {"results": "3"},
            "{results} is not a COCO results list: expected a JSON list of image_id, category_id, bbox, ",
        ),
        ({"truth": RESULTS}, "{gt} is a list, expected a COCO annotation file; are truth and predictions swapped?"),
        ({"truth": "3"}, "{gt} has no images, annotations, categories: it is not a COCO annotation file"),
        ({"truth": "{"}, "{gt} is not valid JSON: Expecting property name enclosed in double quotes: line 1 column 2"),
        ({"results": ""}, "{results} is not valid JSON: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_files_of_another_kind(read: Any, tmp_path: Path, files: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"^") as error:
        read(**files)
    names = {"gt": tmp_path / "gt.json", "results": tmp_path / "results.json"}
    assert str(error.value).startswith(message.format(**names))


def test_long_lists_of_ids_are_cut(read: Any) -> None:
    many = {**TRUTH, "images": [{"id": i} for i in range(9)], "annotations": []}
    with pytest.raises(ValueError, match=r"first 99; listed are 0, 1, 2, 3, 4 …\. Do the two"):
        read(many, [{**RESULTS[0], "image_id": 99}])


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.json"):
        read_coco(tmp_path / "gone.json", tmp_path / "gone.json")


def test_a_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(ValueError, match=r"best\.pt is not valid JSON: 'utf-8' codec can't decode byte 0xff"):
        read_coco(path, path)


@pytest.mark.parametrize(
    ("truth", "results", "images", "boxes", "found"),
    [
        ("bccd/coco/instances_train.json", "bccd/preds/predictions_train.json", 255, 3456, 18289),
        ("bccd/coco/instances_val.json", "bccd/preds/predictions_val.json", 55, 705, 3728),
        ("bccd/coco/instances_test.json", "bccd/preds/predictions_test.json", 54, 725, 3816),
        ("cards/coco/instances_train.json", "cards/preds/predictions_train.json", 252, 445, 1955),
        ("cards/coco/instances_val.json", "cards/preds/predictions_val.json", 44, 82, 415),
        ("cards/coco/instances_test.json", "cards/preds/predictions_test.json", 67, 143, 690),
        ("voc100/gt.json", "voc100/results.json", 100, 273, 452),
        ("coco100/gt.json", "coco100/results.json", 100, 839, 734),
    ],
)
def test_real_sets_hold_what_their_json_holds(
    shared_data: Path, truth: str, results: str, images: int, boxes: int, found: int
) -> None:
    predictions, real = read_coco(shared_data / truth, shared_data / results)
    world, rows = (json.loads((shared_data / name).read_text()) for name in (truth, results))
    assert (len(real.images), len(real), len(predictions)) == (images, boxes, found)
    for table, source in ((predictions, rows), (real, world["annotations"])):
        names = {image["id"]: image["file_name"] for image in world["images"]}
        kinds = {kind["id"]: kind["name"] for kind in world["categories"]}
        assert [table.images[i] for i in table.image] == [names[row["image_id"]] for row in source]
        assert [table.classes[i] for i in table.label] == [kinds[row["category_id"]] for row in source]
        boxes_read = np.concatenate([table.xyxy[:, :2], table.xyxy[:, 2:] - table.xyxy[:, :2]], axis=1)
        assert boxes_read == pytest.approx(np.array([row["bbox"] for row in source]))
    assert predictions.score.tolist() == [row["score"] for row in rows]  # type: ignore[union-attr]
    assert Counter(real.is_crowd().tolist())[True] == sum(row.get("iscrowd", 0) for row in world["annotations"])


def test_flat_detections_are_read(shared_data: Path) -> None:
    """Real detectors emit boxes of zero height; they must load."""
    for split, flat in (("train", 489), ("val", 90), ("test", 101)):
        paths = (f"bccd/coco/instances_{split}.json", f"bccd/preds/predictions_{split}.json")
        predictions, _ = read_coco(*(shared_data / path for path in paths))
        assert np.count_nonzero(predictions.xyxy[:, 1] == predictions.xyxy[:, 3]) == flat


def test_sizes_that_the_file_does_not_know_are_unknown(tmp_path: Path) -> None:
    images = [{"id": 0, "width": 640, "height": "480"}, {"id": 1, "width": 0}, {"id": 2, "width": None, "height": 2.5}]
    sizes = read_sizes(tmp_path / "gt.json", images)
    np.testing.assert_array_equal(sizes, [[640, 480], [np.nan, np.nan], [np.nan, 2.5]])
    assert read_sizes(tmp_path / "gt.json", []).shape == (0, 2)
