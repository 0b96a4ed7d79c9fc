"""An index that somebody made on fields of a run: it follows them, and ends with them."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from tests.datasets import DELETE, FIELDS, MINE, RENAME, dataset_of

ERROR = "predictions.detections.{}_error"
COMPARE, PROPOSE = "@hnm/hard-negative-mining/compare_mining_runs", "@hnm/hard-negative-mining/mine_without_truth"


@pytest.fixture
def dataset() -> fo.Dataset:
    made = dataset_of()
    mine(made, "run")
    return made


def mine(dataset: fo.Dataset, key: str, **more: Any) -> None:
    foo.get_operator(MINE)(dataset, **FIELDS, run_key=key, hard_negative_ratio=1.0, **more)
    dataset.reload()


def indexes(dataset: fo.Dataset) -> dict[str, dict[str, Any]]:
    """The keys and the options of every index that is not FiftyOne's own, by name."""
    found = dataset._sample_collection.index_information()
    own = set(dataset_of()._sample_collection.index_information())
    return {name: {k: v for k, v in each.items() if k != "v"} for name, each in found.items() if name not in own}


def test_renaming_a_run_keeps_indexes_and_their_options(dataset: fo.Dataset) -> None:
    dataset.create_index(ERROR.format("run"))
    dataset.create_index([("filepath", 1), ("run_weight", -1)], unique=True)
    some = {"name": "of mine", "partialFilterExpression": {"run_count": {"$gt": 0}, "filepath": {"$exists": True}}}
    dataset._sample_collection.create_index([("run_count", -1)], **some)
    foo.get_operator(RENAME)(dataset, "run", "first")
    error = ERROR.format("first")
    assert indexes(dataset) == {
        "first_score_1": {"key": [("first_score", 1)]},
        f"{error}_1": {"key": [(error, 1)]},
        "filepath_1_first_weight_-1": {"key": [("filepath", 1), ("first_weight", -1)], "unique": True},
        "first_count_-1": {
            "key": [("first_count", -1)],
            "partialFilterExpression": {"first_count": {"$gt": 0}, "filepath": {"$exists": True}},
        },
    }
    foo.get_operator(DELETE)(dataset, "first")
    assert indexes(dataset) == {}


def test_what_is_in_a_field_of_the_run_is_indexed_still() -> None:
    dataset = dataset_of()
    foo.get_operator(PROPOSE)(dataset, "predictions", "run")
    dataset.reload()
    dataset._sample_collection.create_index("run_missed.detections.label")
    dataset._sample_collection.create_index("run_missed_by_me")
    foo.get_operator(RENAME)(dataset, "run", "first")
    assert {"first_missed.detections.label_1", "run_missed_by_me_1"} < set(indexes(dataset))
    assert "run_missed.detections.label_1" not in indexes(dataset)
    foo.get_operator(DELETE)(dataset, "first")
    assert set(indexes(dataset)) == {"run_missed_by_me_1"}


def test_mining_again_keeps_the_indexes(dataset: fo.Dataset) -> None:
    dataset.create_index(ERROR.format("run"))
    before = indexes(dataset)
    for more in ({"hard_negative_ratio": 0.5}, {"strategy": "iou_based"}):
        foo.get_operator(MINE)(dataset, **FIELDS, run_key="run", overwrite=True, **more)
        assert indexes(dataset) == before
    foo.get_operator(PROPOSE)(dataset, "predictions", "run", overwrite=True)
    assert indexes(dataset) == before, "the field is there still"


def test_comparing_again_keeps_the_indexes(dataset: fo.Dataset) -> None:
    mine(dataset, "later", confidence_threshold=0.7)
    foo.get_operator(COMPARE)(dataset, "run", "later")
    dataset.reload()
    dataset.create_index("predictions.detections.later_change")
    before, seen = indexes(dataset), dataset.values("predictions.detections.later_change")
    foo.get_operator(COMPARE)(dataset, "run", "later")
    dataset.reload()
    assert (indexes(dataset), dataset.values("predictions.detections.later_change")) == (before, seen)
