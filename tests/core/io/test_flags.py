"""Flags that say what does not count, as files, dicts and converters write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core import mine
from hnm_core.columns import CROWD, DIFFICULT, GROUP_OF, KINDS, OBJECT, REGION
from hnm_core.io import read_coco, read_parquet, read_records, write_coco, write_parquet
from hnm_core.io.classes import in_classes
from hnm_core.io.flags import read_flag
from hnm_core.io.mining_folder import load_mining, save_mining

SET = [True, 1, 1.0, "1", "1.0", "true", "True", " YES ", np.True_, np.int64(1)]
UNSET = [False, 0, 0.0, "0", "0.0", "false", "False", "no", "", None, float("nan"), np.False_, np.float32(0), -1]
NO_FLAGS = [2, 0.5, "maybe", [1], {}, b"1"]


@pytest.mark.parametrize(("values", "expected"), [(SET, True), (UNSET, False), (NO_FLAGS, None)])
def test_a_flag_is_a_bool_a_number_or_a_text(values: list[Any], expected: bool | None) -> None:
    assert [read_flag(value) for value in values] == [expected] * len(values)


ANNOTATIONS: list[tuple[dict[str, Any], int]] = [
    ({}, OBJECT),
    ({"iscrowd": "0"}, OBJECT),
    ({"iscrowd": 1}, CROWD),
    ({"iscrowd": "true"}, CROWD),
    ({"attributes": {"iscrowd": True}}, CROWD),
    ({"attributes": {"crowd": "1"}}, CROWD),
    ({"attributes": ["of another tool"]}, OBJECT),
    ({"iscrowd": 1, "ignore": 1}, CROWD),
    ({"iscrowd": 0, "ignore": 1}, REGION),
    ({"difficult": "1"}, DIFFICULT),
    ({"IsGroupOf": 1.0}, GROUP_OF),
]


def coco(folder: Path, annotations: list[dict[str, Any]], **image: Any) -> tuple[Path, Path]:
    truth = {
        "images": [{"id": 1, "file_name": "a.jpg", **image}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(("cat", "dog", "hat"), 1)],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "bbox": [20 * i, 0, 10, 10], **more}
            for i, more in enumerate(annotations)
        ],
    }
    results = [{"image_id": 1, "category_id": 2, "bbox": [0, 50, 10, 10], "score": 0.9}]
    paths = folder / "truth.json", folder / "results.json"
    for path, content in zip(paths, (truth, results), strict=True):
        path.write_text(json.dumps(content), encoding="utf-8")
    return paths


def test_annotations_say_what_they_are(tmp_path: Path) -> None:
    _, truth = read_coco(*coco(tmp_path, [more for more, _ in ANNOTATIONS]))
    assert [KINDS[k] for k in truth.kinds()] == [KINDS[kind] for _, kind in ANNOTATIONS]


def test_text_for_a_flag_is_no_crowd(tmp_path: Path) -> None:
    """Converters that write every value as text once made a crowd of every truth."""
    counts = mine(*read_coco(*coco(tmp_path, [{"iscrowd": "0"}] * 3))).report.counts
    assert (counts.false_negatives, counts.ignored) == (3, 0)


def test_what_is_no_flag_is_refused_with_number_place_and_value(tmp_path: Path) -> None:
    paths = coco(tmp_path, [{"iscrowd": 0}, {"iscrowd": "maybe"}, {"iscrowd": 7}])
    expected = r"truth.json: 2 of 3 boxes have 'iscrowd' that is not a flag, first number 1: 'maybe'; expected true or"
    with pytest.raises(ValueError, match=expected):
        read_coco(*paths)
    with pytest.raises(ValueError, match=r"ground truth: 1 of 1 boxes have 'crowd' that is not a flag, .* 0: 5"):
        read_records([], [{"bbox": [0, 0, 1, 1], "class": "cat", "crowd": 5}])


def test_dicts_say_it_too_and_get_it_back() -> None:
    from hnm_core.io.records import RecordView

    box = {"bbox": [0, 0, 1, 1], "class": "cat"}
    given = [{**box, name: True} for name in ("crowd", "IsGroupOf", "difficult", "ignore")]
    _, truth = read_records([], [box, *given])
    assert truth.kinds().tolist() == [OBJECT, CROWD, GROUP_OF, DIFFICULT, REGION]
    assert read_records([], list(RecordView(truth)))[1].kinds().tolist() == truth.kinds().tolist()


LVIS = {"neg_category_ids": [2], "not_exhaustive_category_ids": [1]}


def test_files_keep_what_does_not_count(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    predictions, truth = read_coco(*coco(tmp_path, [more for more, _ in ANNOTATIONS], **LVIS))
    write_parquet(truth, tmp_path / "truth.parquet")
    result = mine(predictions, truth)
    save_mining(tmp_path / "run", result, {}, {})
    write_coco(predictions, truth, tmp_path / "t.json", tmp_path / "p.json")
    again = (
        read_parquet(tmp_path / "truth.parquet"),
        load_mining(tmp_path / "run")[0].truth,
        read_coco(tmp_path / "t.json", tmp_path / "p.json")[1],
    )
    crowds = np.where(truth.kinds() == REGION, CROWD, truth.kinds())  # COCO has but one flag that trainers know
    for table, kinds in zip(again, (truth.kinds(), truth.kinds(), crowds), strict=True):
        assert table.kinds().tolist() == kinds.tolist()
        assert table.verified is not None
        assert table.verified.tolist() == [[0, 0], [0, 1]]
        assert table.not_exhaustive is not None
        assert table.not_exhaustive.tolist() == [[0, 0]]


def test_lvis_says_which_classes_were_checked(tmp_path: Path) -> None:
    predictions, truth = read_coco(*coco(tmp_path, [{}], **LVIS))
    assert mine(predictions, truth).report.counts.false_positives == 1
    chosen = in_classes(predictions, truth, classes=["hat", "dog"])
    assert chosen[1].verified is not None
    assert chosen[1].verified.tolist() == [[0, 1]]
    as_text = read_coco(*coco(tmp_path, [{}], **{**LVIS, "neg_category_ids": ["2"]}))[1]
    assert truth.verified is not None
    assert as_text.verified is not None
    assert as_text.verified.tolist() == truth.verified.tolist()


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ([9], "1 of 1 neg_category_ids are none of its 3 categories, first 9"),
        ([[2]], r"1 of 1 neg_category_ids are none of its 3 categories, first \[2\]"),
        (2, "1 of 1 images have neg_category_ids that are no list of category ids, first number 0: 2"),
    ],
)
def test_what_lists_no_classes_is_refused(tmp_path: Path, listed: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_coco(*coco(tmp_path, [{}], **{**LVIS, "neg_category_ids": listed}))


def test_images_without_a_file_name_have_the_end_of_their_address(tmp_path: Path) -> None:
    paths = coco(tmp_path, [{}], file_name=None, coco_url="http://somewhere/else/val2017/000000000139.jpg")
    assert read_coco(*paths)[1].images == ("val2017/000000000139.jpg",)


def test_chosen_classes_keep_what_is_neutral_beside_them() -> None:
    box = {"bbox": [0, 0, 10, 10], "confidence": 0.9}
    near = {"class": "Van", "bbox": [0, 0, 10, 10]}
    region = {"class": "DontCare", "bbox": [50, 0, 90, 40]}
    found = [{**box, "class": "Car"}, {**box, "class": "Tram"}, {**box, "class": "Car", "bbox": [60, 0, 70, 10]}]
    tables = in_classes(*read_records(found, [near, region, {**near, "class": "Tram"}]), classes=["Car"])
    assert tables[0].classes == tables[1].classes == ("Car", "Van", "DontCare")
    result = mine(*tables)
    assert result.prediction_error.tolist() == ["ignored", "ignored"]
    assert result.truth_error.tolist() == ["ignored", "ignored"]
