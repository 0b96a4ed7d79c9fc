"""JSON that is read in a stream gives what the standard library gives, and leaves to it whatever is unusual."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core.io import json_rows, json_stream, read_coco
from hnm_core.io.coded import Coded
from hnm_core.io.json_stream import stream_results, stream_truth
from tests.scenes import patient

pytest.importorskip("msgspec", reason="msgspec decodes the rows")

BOX = {"image_id": 1, "category_id": 1, "bbox": [1, 2.5, 3e0, 4]}
TRUTH: dict[str, Any] = {
    "info": {"year": 2026, "more": [[{}], {"a": "}, {"}]},
    "images": [{"id": 1, "file_name": "é.jpg", "width": 9, "height": 9, "license": [1]}, {"id": 2, "file_name": "b"}],
    "annotations": [
        {**BOX, "id": 7, "segmentation": [[1, 2, 3, 4]], "attributes": {"difficult": "1", "x": 1}},
        {**BOX, "image_id": 2, "iscrowd": 1, "segmentation": {"counts": "}, {", "size": [2, 2]}, "rotation": 9},
        {**BOX, "area": 3, "keypoints": [1, 2], "id": "x"},
    ],
    "categories": [{"id": 1, "name": "cat", "skeleton": [[1, 2]]}],
    "others": [{"any": 1}, {"thing": [{"a": 1}, {"b": 2}]}],
    "none": None,
}
RESULTS = [
    {**BOX, "score": 0.5},
    {**BOX, "score": 1, "file_name": "b", "category_name": "cat"},
    {**BOX, "image_id": "2", "score": 0.25, "segmentation": []},
]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut after every few bytes."""
    monkeypatch.setattr(json_stream, "AT_ONCE", 64)


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("at_once", [16, 50, 200, 1 << 20])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_both_ways_give_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None, at_once: int
) -> None:
    monkeypatch.setattr(json_stream, "AT_ONCE", at_once)
    (tmp_path / "gt.json").write_text(json.dumps(TRUTH, indent=indent), encoding="utf-8-sig")
    (tmp_path / "dt.json").write_text(json.dumps(RESULTS * 5, indent=indent), encoding="utf-8")
    assert stream_truth(tmp_path / "gt.json") is not None
    assert stream_results(tmp_path / "dt.json") is not None
    fast = read_coco(tmp_path / "gt.json", tmp_path / "dt.json")
    monkeypatch.setattr(json_rows, "stream_truth", lambda path: None)
    monkeypatch.setattr(json_rows, "stream_results", lambda path: None)
    for one, other in zip(fast, read_coco(tmp_path / "gt.json", tmp_path / "dt.json"), strict=True):
        for name in ("image", "xyxy", "label", "score", "kind", "ids", "verified"):
            a, b = getattr(one, name), getattr(other, name)
            assert (a is None and b is None) or np.array_equal(a, b), name
        assert (one.images, one.classes) == (other.images, other.classes)
    assert fast[1].kind is not None
    assert fast[1].kind.tolist() == [3, 1, 0]


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)


@patient
@given(st.lists(st.tuples(numbers, numbers, numbers, numbers, numbers), max_size=20), st.integers(8, 200))
def test_numbers_are_the_nearest_floats(tmp_path_factory: Any, rows: list[Any], at_once: int) -> None:
    path = tmp_path_factory.mktemp("json") / "dt.json"
    path.write_text(json.dumps([{"image_id": 1, "category_id": 2, "bbox": row[:4], "score": row[4]} for row in rows]))
    before, json_stream.AT_ONCE = json_stream.AT_ONCE, at_once
    try:
        read = stream_results(path)
    finally:
        json_stream.AT_ONCE = before
    if read is None:  # a whole number that no float64 holds
        return
    assert read.scores is not None
    assert read.take_boxes().tolist() == [[float(value) for value in row[:4]] for row in rows]
    assert read.scores.tolist() == [float(row[4]) for row in rows]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[",
        "[]x",
        '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3], "score": 1}]',
        '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, "4"], "score": 1}]',
        '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, NaN], "score": 1}]',
        '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": true}]',
        '[{"image_id": true, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]',
        '[{"category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]',
        '[{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]',
        '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1},]',
        '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1} {}]',
        '[[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]]',
        '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}] []',
        '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1, "file_name": "\\ud800"}]',
        "[" * 100_000,
    ],
)
@pytest.mark.usefixtures("small")
def test_unusual_results_are_left_to_the_standard_library(tmp_path: Path, text: str) -> None:
    (tmp_path / "dt.json").write_text(text)
    assert stream_results(tmp_path / "dt.json") is None


def test_what_is_no_utf8_is_left_even_where_it_is_not_wanted(tmp_path: Path) -> None:
    row = json.dumps({**BOX, "score": 1, "comment": "#"}).encode()
    (tmp_path / "dt.json").write_bytes(b"[" + row.replace(b"#", b"\xff") + b"]")
    assert stream_results(tmp_path / "dt.json") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"none"', '"images"'),  # a key twice
        lambda text: text.replace('"none": null', '"none": '),
        lambda text: text.replace('"none": null', '"none": null,'),
        lambda text: text.replace('"none": ', '"none" '),
        lambda text: text + "{}",
        lambda text: text[:-1],
        lambda text: text.replace('"id": 1, "file_name"', '"file_name"'),
    ],
)
@pytest.mark.usefixtures("small")
def test_an_unusual_truth_is_left_to_the_standard_library(tmp_path: Path, change: Callable[[str], str]) -> None:
    good = json.dumps(TRUTH)
    (tmp_path / "gt.json").write_text(good)
    assert stream_truth(tmp_path / "gt.json") is not None
    (tmp_path / "gt.json").write_text(change(good))
    assert stream_truth(tmp_path / "gt.json") is None


@pytest.mark.usefixtures("small")
def test_texts_that_look_like_the_end_of_a_row(tmp_path: Path) -> None:
    rows = [{**BOX, "score": 0.5, "file_name": name} for name in ("}, {", "},{", "]", '"}, {"', "\\", "a}, {}") * 20]
    (tmp_path / "dt.json").write_text(json.dumps(rows))
    read = stream_results(tmp_path / "dt.json")
    assert read is None or [row["file_name"] for row in read] == [row["file_name"] for row in rows]


def test_a_row_is_a_dict_again(tmp_path: Path) -> None:
    (tmp_path / "gt.json").write_text(json.dumps(TRUTH))
    content = stream_truth(tmp_path / "gt.json")
    assert content is not None
    first = content["annotations"][0]
    assert {name: first[name] for name in (*BOX, "id")} == {**BOX, "id": 7}
    assert first["attributes"] == {"difficult": "1"}
    assert content["images"][0] == {"id": 1, "file_name": "é.jpg", "width": 9, "height": 9}


def test_values_that_python_takes_for_one_stay_apart() -> None:
    column = Coded.of([1, 1.0, True, [1], [1], "1", None, 1])
    assert list(map(type, column.values)) == [int, float, bool, list, list, str, type(None)]
    assert list(column) == [1, 1.0, True, [1], [1], "1", None, 1]
    assert Coded.of([2**70, 3, 2**70]).values == [2**70, 3]
    some = column.take(np.array([3, 0, 7]))
    assert list(some) == [[1], 1, 1]
    assert len(some.values) == 2
