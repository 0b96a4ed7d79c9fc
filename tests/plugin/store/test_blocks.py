"""Values written, copied, renamed and erased block by block: in the right samples, and only with the right to write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone as fo
import pytest
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import OperationFailure

from fiftyone_plugin.store import access, blocks
from tests.datasets import dataset_of
from tests.scenes import random_scene

IMAGES = 5


class Counting:
    """The right to write, which ends after so many checks."""

    def __init__(self, lasts: int = 1_000) -> None:
        self.asked, self.lasts = 0, lasts

    def check(self) -> None:
        self.asked += 1
        if self.asked > self.lasts:
            raise PermissionError


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> Iterator[fo.Dataset]:
    """Five samples in blocks of two: boxes that nobody declared values on, none, null, and no list."""
    monkeypatch.setattr(blocks, "SAMPLES", 2)
    monkeypatch.setattr(blocks, "UPDATES", 2)
    made = dataset_of(random_scene(3, images=IMAGES))
    for number, i in enumerate(ids_of(made)):
        boxes: Any = [[{"_id": ObjectId(), "a": number, "b": 2, "x": 3}, {"_id": ObjectId(), "x": 1}, "no box"]] * 5
        value = {0: {"detections": []}, 1: None}.get(number, {"_cls": "Detections", "detections": boxes[number]})
        made._sample_collection.update_one({"_id": i}, {"$set": {"boxes": value, "a": number}})
    made._sample_collection.update_one({"_id": ids_of(made)[4]}, {"$unset": {"boxes": "", "a": ""}})
    yield made
    fo.delete_dataset(made.name)


def ids_of(dataset: fo.Dataset) -> list[ObjectId]:
    return [found["_id"] for found in dataset._sample_collection.find({}, ["_id"]).sort("_id", 1)]


def values(dataset: fo.Dataset, name: str) -> list[Any]:
    return [found.get(name, "absent") for found in dataset._sample_collection.find().sort("_id", 1)]


def stamps(dataset: fo.Dataset) -> list[Any]:
    return values(dataset, "last_modified_at")


def changed(before: list[Any], after: list[Any]) -> list[int]:
    return [i for i, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]


def without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_ids(each) for name, each in value.items() if name != "_id"}
    return [without_ids(each) for each in value] if isinstance(value, list) else value


def test_blocks_find_every_sample_once(dataset: fo.Dataset) -> None:
    found = [[each["_id"] for each in dataset._sample_collection.find(query)] for query in blocks.ranges(dataset)]
    assert [len(some) for some in found] == [2, 2, 1]
    assert sorted(i for some in found for i in some) == ids_of(dataset)


def test_each_block_is_written_with_the_right_to_and_no_further_one(dataset: fo.Dataset) -> None:
    updates = [UpdateOne({"_id": i}, {"$set": {"new": 1}}) for i in ids_of(dataset)]
    fence = Counting(lasts=2)
    with pytest.raises(PermissionError):
        blocks.write(fence, dataset, updates)
    assert values(dataset, "new").count(1) == 4
    fence = Counting()
    assert blocks.write(fence, dataset, updates) == 1, "the others have it"
    assert fence.asked == 4
    fence = Counting(lasts=1)
    with pytest.raises(PermissionError):
        blocks.change(fence, dataset, {}, {"$set": {"next": 1}})
    assert values(dataset, "next").count(1) == 2, "lost in the block, seen after it"
    fence = Counting()
    blocks.change(fence, dataset, {"a": {"$gte": 2}}, {"$set": {"next": 2}})
    assert fence.asked == 6
    assert values(dataset, "next") == [1, 1, 2, 2, "absent"]


def test_those_of_some_samples_are_changed(dataset: fo.Dataset) -> None:
    fence, ids = Counting(), ids_of(dataset)
    blocks.change_those(fence, dataset, [ids[0], ids[2], ids[3]], {"a": {"$gte": 2}}, {"$set": {"new": 1}})
    assert values(dataset, "new") == ["absent", "absent", 1, 1, "absent"]
    assert fence.asked == 4
    boxes = [{"box.b": 2}]
    blocks.change_those(fence, dataset, ids[2:3], {}, {"$set": {"boxes.detections.$[box].b": 5}}, boxes)
    assert [box.get("b") for box in values(dataset, "boxes")[2]["detections"][:2]] == [5, None]
    assert values(dataset, "boxes")[3]["detections"][0]["b"] == 2
    with pytest.raises(OperationFailure, match="No array filter found"):
        blocks.change_those(fence, dataset, ids[2:3], {}, {"$set": {"boxes.detections.$[box].b": 5}})


def test_what_is_erased_is_gone_and_nothing_else(dataset: fo.Dataset) -> None:
    before, old = stamps(dataset), without_ids(values(dataset, "boxes"))
    blocks.erase(Counting(), dataset, ["boxes.detections.a", "boxes.detections.b", "boxes.detections.a"])
    assert changed(before, stamps(dataset)) == [2, 3]
    left: Any = [{"x": 3}, {"x": 1}, "no box"]
    for now, then in zip(without_ids(values(dataset, "boxes")), old, strict=True):
        assert now == ({**then, "detections": left} if isinstance(then, dict) and then["detections"] else then)
    before = stamps(dataset)
    blocks.erase(Counting(), dataset, ["a"])
    assert values(dataset, "a") == ["absent"] * IMAGES
    assert changed(before, stamps(dataset)) == [0, 1, 2, 3]
    before = stamps(dataset)
    blocks.erase(Counting(), dataset, ["a", "boxes.detections.a"])
    assert stamps(dataset) == before, "twice is as good as once"


def test_values_are_erased_in_some_samples_alone(dataset: fo.Dataset) -> None:
    ids, before, old = ids_of(dataset), stamps(dataset), without_ids(values(dataset, "boxes"))
    blocks.erase_in(Counting(), dataset, [ids[1], ids[2], ids[4]], ["boxes.detections.a", "boxes.detections.b", "a"])
    now = without_ids(values(dataset, "boxes"))
    assert now[2]["detections"] == [{"x": 3}, {"x": 1}, "no box"]
    assert now[:2] + now[3:] == old[:2] + old[3:], "other samples, and what holds no list"
    assert values(dataset, "a") == [0, "absent", "absent", 3, "absent"]
    assert changed(before, stamps(dataset))[:2] == [1, 2]
    assert stamps(dataset)[3] == before[3]


def test_what_is_renamed_keeps_its_values_and_what_is_absent_stays_absent(dataset: fo.Dataset) -> None:
    before = stamps(dataset)
    names = {"boxes.detections.a": "boxes.detections.new", "boxes.detections.b": "boxes.detections.other", "a": "new"}
    for _ in range(2):
        blocks.rename(Counting(), dataset, names)
        assert values(dataset, "new") == [0, 1, 2, 3, "absent"]
        assert values(dataset, "a") == ["absent"] * IMAGES
        assert without_ids(values(dataset, "boxes")) == [
            {"detections": []},
            None,
            {"_cls": "Detections", "detections": [{"x": 3, "new": 2, "other": 2}, {"x": 1}, "no box"]},
            {"_cls": "Detections", "detections": [{"x": 3, "new": 3, "other": 2}, {"x": 1}, "no box"]},
            "absent",
        ]
    assert changed(before, stamps(dataset)) == [0, 1, 2, 3]


@pytest.mark.parametrize("without", [[], ["a", "x"]])
def test_a_copy_is_made_where_there_is_something(dataset: fo.Dataset, without: list[str]) -> None:
    before, old = stamps(dataset), values(dataset, "boxes")
    blocks.copy(Counting(), dataset, "boxes", "copy", without)
    assert values(dataset, "boxes") == old
    copies = values(dataset, "copy")
    assert copies[1] == copies[4] == "absent"
    for now, then in ((copies[i], old[i]) for i in (0, 2, 3)):
        kept = [
            {name: value for name, value in box.items() if name not in without} if isinstance(box, dict) else box
            for box in then["detections"]
        ]
        assert now == {**then, "detections": kept}
    assert changed(before, stamps(dataset)) == [0, 2, 3]


def test_a_column_is_set_on_its_samples(dataset: fo.Dataset) -> None:
    before, ids = stamps(dataset), ids_of(dataset)
    blocks.set_column(Counting(), dataset, "score", {str(ids[0]): 1.5, str(ids[3]): None})
    assert values(dataset, "score") == [1.5, "absent", "absent", None, "absent"]
    assert changed(before, stamps(dataset)) == [0, 3]


def test_a_block_that_takes_too_long_is_stopped_by_the_server(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(access, "run_update", lambda _, command, milliseconds: asked.append((command, milliseconds)))
    blocks.change(Counting(), dataset, {"a": 1}, {"$set": {"b": 1}}, [{"box.a": 1}])
    assert {milliseconds for _, milliseconds in asked} == {20_000}
    assert [command["multi"] for command, _ in asked] == [True] * 3
    assert asked[0][0]["arrayFilters"] == [{"box.a": 1}]
