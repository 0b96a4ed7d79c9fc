"""Raw batches and decoded documents give the same columns, whatever the documents hold."""

from __future__ import annotations

from typing import Any

import bson
import fiftyone as fo
import numpy as np
import pytest
from bson import Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from fiftyone_plugin.store import reading
from fiftyone_plugin.store.rawbson import Unusual
from fiftyone_plugin.store.reading import Columns
from hnm_core.io.flags import FLAGS
from tests.datasets import dataset_of
from tests.scenes import patient

WANTED = {"predictions": "score", "nested.truth": "kind"}

ids = st.binary(min_size=12, max_size=12).map(ObjectId)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
labels = texts | st.sampled_from(["cat", "a.b", "$x", "a\0_id"])
numbers = st.floats() | st.integers(-9, 9) | st.integers(-9, 9).map(Int64)
shapes = st.lists(numbers, min_size=4, max_size=4)
flags = st.booleans() | st.none() | st.sampled_from([0, 1, 0.0, 1.0, Int64(1), Int64(0), float("nan")])
anything = st.none() | st.booleans() | numbers | labels | ids | st.lists(numbers, max_size=5) | st.just({"_id": 1})


def boxes(odd: bool) -> st.SearchStrategy[Any]:
    """Boxes as FiftyOne stores them, attributes in any order; odd ones lack some, or hold what nobody expects."""
    values = {"_id": ids, "label": labels, "bounding_box": shapes, "confidence": numbers}
    if odd:
        keys = [*values, *FLAGS]
        return st.fixed_dictionaries({}, optional={k: values.get(k, flags) | anything for k in keys}).flatmap(_shuffled)
    return st.fixed_dictionaries(values, optional=dict.fromkeys(FLAGS, flags)).flatmap(_shuffled)


def _shuffled(box: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.permutations(list(box.items())).map(dict)


def documents(odd: bool) -> st.SearchStrategy[list[dict[str, Any]]]:
    lists = st.none() | st.lists(boxes(odd), max_size=12) | (st.lists(anything, max_size=3) if odd else st.nothing())
    field = st.none() | st.fixed_dictionaries({}, optional={"detections": lists}) | (anything if odd else st.nothing())
    document = st.fixed_dictionaries(
        {"_id": ids}, optional={"predictions": field, "nested": st.none() | st.fixed_dictionaries({"truth": field})}
    )
    return st.lists(document, max_size=5)


def sent(found: list[dict[str, Any]]) -> bytes:
    """These documents as MongoDB sends them: of a box only what was asked for."""

    def asked(document: dict[str, Any], field: str, extra: str) -> None:
        *above, name = field.split(".")
        for part in above:
            document = document.get(part) or {}
        listed = document.get(name)
        if isinstance(listed, dict) and isinstance(listed.get("detections"), list):
            keep = {"_id", "label", "bounding_box", *reading.EXTRAS[extra]}
            some = listed["detections"]
            some = [{k: v for k, v in b.items() if k in keep} if isinstance(b, dict) else b for b in some]
            document[name] = {"detections": some}

    for document in found:
        for field, extra in WANTED.items():
            asked(document, field, extra)
    return b"".join(map(bson.encode, found))


def named(columns: Columns) -> list[str]:
    return [columns.names[code] for code in columns.label]


def check_same(data: bytes) -> None:
    results = []
    for way in (reading.walk, reading.decode):
        names: dict[str, reading.Names] = {field: {} for field in WANTED}
        sample_ids, columns = way(data, WANTED, names)
        joined = {f: reading._join([columns[f]], names[f], extra) for f, extra in WANTED.items()}
        results.append((sample_ids, joined))
    (walked_ids, walked), (decoded_ids, decoded) = results
    assert walked_ids == decoded_ids
    for field in WANTED:
        ours, theirs = walked[field], decoded[field]
        assert named(ours) == named(theirs)
        for name in ("counts", "id", "xywh", "score", "kind"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=f"{field} {name}")
        for name in reading.NEEDED:
            assert not ours.lacks[name].any()
            assert not theirs.lacks[name].any()


@patient
@given(documents(odd=False))
def test_what_fiftyone_stores_is_walked_and_means_the_same_as_decoded(found: list[dict[str, Any]]) -> None:
    check_same(sent(found))


@patient
@given(documents(odd=True))
def test_what_nobody_expects_is_never_misread(found: list[dict[str, Any]]) -> None:
    data = sent(found)
    try:
        reading.walk(data, WANTED, {field: {} for field in WANTED})
    except Unusual:
        reading.decode(data, WANTED, {field: {} for field in WANTED})
    else:
        check_same(data)


def test_long_lists_keep_their_order() -> None:
    lists = [
        [{"_id": ObjectId(), "label": str(i), "bounding_box": [i, 0, 1, 1], "confidence": 0.5} for i in range(n)]
        for n in (1001, 0, 3, 120)
    ]
    found = [{"_id": ObjectId(), "predictions": {"detections": boxes}} for boxes in lists]
    _, columns = reading.walk(sent(found), WANTED, {field: {} for field in WANTED})
    assert columns["predictions"].counts.tolist() == [1001, 0, 3, 120]
    assert columns["nested.truth"].counts.tolist() == [-1] * 4
    assert columns["predictions"].xywh[:, 0].tolist() == [*range(1001), *range(3), *range(120)]


@pytest.mark.parametrize("plainly", [True, False])
def test_every_batch_is_read_in_its_own_way(plainly: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dataset_of()
    walk, calls = reading.walk, []
    monkeypatch.setattr(reading, "walk", lambda *args: calls.append(walk(*args)) or calls[-1])
    if plainly:
        sample = dataset.match(fo.ViewField("predictions.detections").length() > 0).first()
        place = {"predictions.detections.0.confidence": True}  # no number, and yet one to Python
        dataset._sample_collection.update_one({"_id": ObjectId(sample.id)}, {"$set": place})
    wanted = {"predictions": "score", "ground_truth": "kind"}
    sample_ids, columns = reading.read_columns(dataset, wanted)
    assert bool(calls) is not plainly
    assert list(map(str, sample_ids)) == dataset.values("id")
    for field, found in columns.items():
        assert named(found) == dataset.values(f"{field}.detections.label", unwind=True)
        boxes_of_samples = filter(None, dataset.values(f"{field}.detections.bounding_box"))
        assert found.xywh.tolist() == [box for boxes in boxes_of_samples for box in boxes]
    assert columns["predictions"].score.tolist() == dataset.values("predictions.detections.confidence", unwind=True)
