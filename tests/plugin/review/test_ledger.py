"""The review ledger: no review is lost, what is undone is kept, and it outlives runs, rounds and clones."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin.review import json_file
from fiftyone_plugin.review.ledger import Ledger, ReviewEntry
from hnm_core.io.reviews_file import read_reviews
from tests.datasets import DELETE, FIELDS, MINE, dataset_of


def entry(image: str, state: str = "ignore", box: tuple[float, ...] = (0, 0, 0.5, 0.5)) -> ReviewEntry:
    return ReviewEntry(image, "prediction", "cat", box, state, "run", "some label")


@pytest.fixture
def dataset() -> fo.Dataset:
    return dataset_of()


def states(dataset: fo.Dataset) -> list[str]:
    return [entry["state"] for entry in Ledger(dataset).entries()]


def test_reviews_are_read_in_order_with_who_and_when(dataset: fo.Dataset) -> None:
    book, sample = Ledger(dataset), dataset.first().id
    book.add([entry(sample, "hard_negative")], "ann")
    book.add(
        [entry(sample, "missing_label"), entry(sample, "ignore", (0, 0, 1, 1))], "bob", "2026-01-02T03:04:05+00:00"
    )
    first, second, third = book.entries()
    assert [first["state"], second["state"], third["state"]] == ["hard_negative", "missing_label", "ignore"]
    assert (first["who"], second["who"], second["when"]) == ("ann", "bob", "2026-01-02T03:04:05+00:00")
    assert first["when"].startswith("20")
    assert {**first, "who": "", "when": ""} == {**entry(sample, "hard_negative").as_dict(), "who": "", "when": ""}
    assert third["bbox"] == [0, 0, 1, 1]


def test_only_the_samples_asked_for(dataset: fo.Dataset) -> None:
    book, (one, other) = Ledger(dataset), dataset.limit(2).values("id")
    book.add([entry(one), entry(other, "missing_label")])
    assert [entry["state"] for entry in book.entries([other])] == ["missing_label"]


def test_undo_takes_back_the_last_act_of_that_person_and_keeps_it(dataset: fo.Dataset) -> None:
    book, sample = Ledger(dataset), dataset.first().id
    book.add([entry(sample, "hard_negative")], "ann")
    book.add([entry(sample, "wrong_label"), entry(sample, "wrong_label", (0, 0, 1, 1))], "ann")
    book.add([entry(sample, "ignore")], "bob")
    undone = book.undo("ann")
    assert undone is not None
    assert len(undone.entries) == 2
    assert states(dataset) == ["hard_negative", "ignore"]
    assert [bool(action.withdrawn) for action in book.actions(withdrawn=True)] == [False, True, False]
    assert book.undo("ann")
    assert book.undo("ann") is None
    assert states(dataset) == ["ignore"]


def test_two_reviewers_at_once_lose_nothing(dataset: fo.Dataset) -> None:
    sample = dataset.first().id

    def review(who: str) -> None:
        book = Ledger(dataset)
        for number in range(20):
            book.add([entry(sample, "ignore", (0, 0, 1, number / 20))], who)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(review, "abcd"))
    assert len(Ledger(dataset).entries()) == 80

    with ThreadPoolExecutor(4) as pool:  # four windows of one person, all clicking undo: each takes back another act
        list(pool.map(lambda _: Ledger(dataset).undo("a"), range(12)))
    assert sum(entry["who"] == "a" for entry in Ledger(dataset).entries()) == 8


def test_changes_are_told_since_what_is_known(dataset: fo.Dataset) -> None:
    book, sample = Ledger(dataset), dataset.first().id
    action = book.add([entry(sample)], "ann")
    known = {key: stamp for key, (stamp, _) in book.changed({}).items()}
    assert list(known) == [action.key]
    assert book.changed(known) == {}
    book.undo("ann")
    assert [bool(action.withdrawn) for _, action in book.changed(known).values()] == [True]


def test_it_outlives_runs_and_is_cloned_and_deleted_with_its_dataset(dataset: fo.Dataset) -> None:
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run")
    Ledger(dataset).add([entry(dataset.first().id)])
    foo.get_operator(DELETE)(dataset, run_key="run")
    assert states(dataset) == ["ignore"]
    clone = dataset.clone()
    assert states(clone) == ["ignore"]
    Ledger(clone).undo()
    assert (states(clone), states(dataset)) == ([], ["ignore"])
    dataset_id = dataset._doc.id
    dataset.delete()
    gone = Ledger(dataset_of())
    gone._dataset_id = dataset_id
    assert gone.entries() == []


def test_a_view_has_the_ledger_of_its_dataset(dataset: fo.Dataset) -> None:
    Ledger(dataset.limit(1)).add([entry(dataset.first().id)])
    assert states(dataset) == ["ignore"]


def test_json_carries_it_to_another_dataset_by_file(dataset: fo.Dataset, tmp_path: Path) -> None:
    first, second = dataset.limit(2).values("id")
    Ledger(dataset).add([entry(first, "missing_label")], "ann", "2026-01-02T03:04:05+00:00")
    Ledger(dataset).add([entry(second)], "bob")
    assert json_file.save_json(dataset, tmp_path / "reviews.json") == 2
    listed = json.loads((tmp_path / "reviews.json").read_text())
    assert [entry["image"] for entry in listed] == dataset.limit(2).values("filepath")

    read = read_reviews(tmp_path / "reviews.json", [*reversed(dataset.values("filepath"))])  # as hnm mine does
    assert [entry["state"] for entry in read.as_entries()] == ["missing_label", "ignore"]
    assert [entry["image"] for entry in read.as_entries()] == dataset.limit(2).values("filepath")

    other = dataset_of()
    other.delete_samples(other.values("id")[1:2])
    assert json_file.load_json(other, tmp_path / "reviews.json") == (1, 1)
    (found,) = Ledger(other).entries()
    assert (found["image"], found["state"], found["who"], found["when"]) == (
        other.first().id,
        "missing_label",
        "ann",
        "2026-01-02T03:04:05+00:00",
    )


def test_what_is_no_review_is_refused(dataset: fo.Dataset, tmp_path: Path) -> None:
    sample = dataset.first().id
    with pytest.raises(ValueError, match=r"state must be one of unreviewed, hard_negative, .*, got 'maybe'"):
        entry(sample, "maybe")
    with pytest.raises(ValueError, match="bbox must be x0, y0, x1, y1 as fractions of the image"):
        entry(sample, "ignore", (0.5, 0, 0.2, 1))
    with pytest.raises(ValueError, match="side must be one of prediction, truth, got 'left'"):
        ReviewEntry(sample, "left", "cat", (0, 0, 1, 1), "ignore")
    with pytest.raises(ValueError, match="one action reviews 1 to 10,000 objects, got 0"):
        Ledger(dataset).add([])
    with pytest.raises(ValueError, match="one action reviews 1 to 10,000 objects, got 10,001"):
        Ledger(dataset).add([entry(sample)] * 10_001)
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(ValueError, match="is not a JSON list of reviews"):
        json_file.load_json(dataset, tmp_path / "no.json")
    (tmp_path / "half.json").write_text(json.dumps([{"image": dataset.first().filepath, "state": "ignore"}]))
    with pytest.raises(ValueError, match=r"a review needs .*; missing: side, class, bbox"):
        json_file.load_json(dataset, tmp_path / "half.json")
    assert Ledger(dataset).actions() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ([1], r"odd\.json: review 1 is \[1\], expected its values by name"),
        ({"image": ["a"]}, r"odd\.json: review 1 has image \['a'\], expected text"),
        ({"sample_id": {"a": 1}}, r"odd\.json: review 1 has sample_id \{'a': 1\}, expected text"),
        ({"when": 5}, r"odd\.json: review 1 has when 5, expected text"),
        ({"who": True}, r"odd\.json: review 1 has who True, expected text"),
        ({"state": ["ignore"]}, r"state must be a text, got \['ignore'\]"),
        ({"class": None}, "class must be a text, got None"),
        ({"label_id": 3}, "label_id must be a text, got 3"),
        ({"bbox": 1}, "bbox must be x0, y0, x1, y1 as fractions of the image, got 1"),
        ({"bbox": [0, 0, 1]}, r"bbox must be x0, .*, got \[0, 0, 1\]"),
        ({"bbox": [0, 0, "x", 1]}, r"bbox must be x0, .*, got \[0, 0, 'x', 1\]"),
        ({"bbox": [0, 0, float("nan"), 1]}, r"bbox must be x0, .*, got \[0, 0, nan, 1\]"),
        ({"bbox": [0, 0, float("inf"), 1]}, r"bbox must be x0, .*, got \[0, 0, inf, 1\]"),
    ],
)
def test_values_of_other_kinds_in_a_file_are_refused(
    dataset: fo.Dataset, tmp_path: Path, change: Any, said: str
) -> None:
    good = {"image": dataset.first().filepath, "side": "prediction", "class": "cat", "bbox": [0, 0, 1, 1]}
    odd = {**good, "state": "ignore", "sample_id": dataset.first().id, **change} if isinstance(change, dict) else change
    (tmp_path / "odd.json").write_text(json.dumps([{**good, "state": "ignore"}, odd]))
    with pytest.raises(ValueError, match=said):
        json_file.load_json(dataset, tmp_path / "odd.json")
    assert Ledger(dataset).actions() == [], "nothing of the file"


def test_a_file_that_nests_without_end_is_no_list_of_reviews(dataset: fo.Dataset, tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"deep\.json is not a JSON list of reviews"):
        json_file.load_json(dataset, tmp_path / "deep.json")
