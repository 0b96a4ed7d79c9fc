"""Saved views of a run: they follow it, those made with it go with it, and every other one stays as it is."""

from __future__ import annotations

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone import ViewField as F

from fiftyone_plugin.runs import lifecycle
from fiftyone_plugin.store import saved_views
from tests.datasets import DELETE, FIELDS, MINE, RENAME, dataset_of
from tests.plugin.runs.test_records import other_object


@pytest.fixture
def dataset() -> fo.Dataset:
    made = dataset_of()
    foo.get_operator(MINE)(made, **FIELDS, run_key="run", hard_negative_ratio=1.0)
    made.reload()
    return made


def save(dataset: fo.Dataset) -> dict[str, list[str]]:
    """Save views of all kinds that name fields of the run; return what each shows."""
    field = "predictions.detections"
    shown = {
        "run_list": dataset.filter_labels("predictions", F("run_error") == "background"),
        "hardest first": dataset.match(F("run_score") > 0).sort_by("run_score", reverse=True),
        "by two": dataset.exists("run_score").sort_by([("run_score", -1), ("id", 1)]),
        "likeliest": dataset.sort_by(F(field).map(F("run_difficulty")).max(), reverse=True).limit(2),
        "raw": dataset.match({"run_score": {"$gt": 0.0}}),
        "chosen": dataset.select_fields(["predictions.detections.run_error", "run_score"]),
    }
    for name, view in shown.items():
        dataset.save_view(name, view)
    return {name: view.values("id") for name, view in shown.items()}


def other(dataset: fo.Dataset) -> None:
    """Save views that name no field of the run, though they hold its names as values."""
    dataset.save_view("tagged", dataset.match_tags("run_score"))
    dataset.save_view("called", dataset.match(F("filepath") != "run_score"))
    dataset.save_view("run_of_mine", dataset.limit(3))


def test_views_follow_a_run_that_is_renamed(dataset: fo.Dataset) -> None:
    shown = save(dataset)
    other(dataset)
    foo.get_operator(RENAME)(dataset, "run", "first")
    now = other_object(dataset)
    for name, ids in shown.items():
        assert now.load_saved_view(name.replace("run_list", "first_list")).values("id") == ids, name
    assert now.load_saved_view("first_list").distinct("predictions.detections.first_error") == ["background"]
    assert now.load_saved_view("chosen").first()["first_score"] is not None
    assert not now.has_saved_view("run_list")
    assert now.load_saved_view("called") == now.match(F("filepath") != "run_score")
    assert now.load_saved_view("tagged") == now.match_tags("run_score")
    assert now.has_saved_view("run_of_mine"), "it shows nothing of the run"


def test_a_view_keeps_its_name_where_another_has_the_new_one(dataset: fo.Dataset) -> None:
    shown = save(dataset)
    dataset.save_view("First list", dataset.limit(1))
    foo.get_operator(RENAME)(dataset, "run", "first_list")
    now = other_object(dataset)
    assert now.load_saved_view("first_list_list").values("id") == shown["run_list"]
    foo.get_operator(RENAME)(now, "first_list", "first")
    now = other_object(dataset)
    assert len(now.load_saved_view("First list")) == 1
    kept = now.load_saved_view("first_list_list")
    assert (kept.values("id"), kept.distinct("predictions.detections.first_error")) == (
        shown["run_list"],
        ["background"],
    )


def test_views_of_the_user_stay_and_are_named_and_those_made_with_a_run_go(dataset: fo.Dataset) -> None:
    shown = save(dataset)
    other(dataset)
    dataset.save_view("run_missed", dataset.match(F("run_score") > 0))
    done = foo.get_operator(DELETE)(dataset, "run")
    assert (done["saved_views"], done["broken_views"]) == (["run_missed"], sorted(shown))
    now = other_object(dataset)
    assert set(now.list_saved_views()) == {*shown, "called", "run_of_mine", "tagged"}
    foo.get_operator(MINE)(now, **FIELDS, run_key="run", hard_negative_ratio=1.0)
    again = other_object(dataset)
    assert {name: again.load_saved_view(name).values("id") for name in shown} == shown


def test_the_view_that_another_run_was_made_of_follows(dataset: fo.Dataset) -> None:
    view = dataset.match(F("run_score") > 0)
    shown = view.values("id")
    view.register_run("theirs", dataset.init_run())
    lifecycle.rename(dataset, "run", "first")
    assert other_object(dataset).load_run_view("theirs").values("id") == shown != []


def test_what_names_a_field_is_told_before_it_goes(dataset: fo.Dataset) -> None:
    shown = save(dataset)
    other(dataset)
    assert saved_views.naming(dataset, ["run_score"]) == ["by two", "chosen", "hardest first", "raw"]
    assert set(saved_views.naming(dataset, ["predictions.detections.run_error"])) == {"run_list", "chosen"}
    assert saved_views.naming(dataset, ["ground_truth.detections.other"]) == []
    assert len(shown) == 6
