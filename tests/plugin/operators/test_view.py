"""What view_hard_negatives can be asked for beyond the hardest: each filter finds what is stored, each order holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor

from tests.datasets import FIELDS, MINE, TRIAGE, VIEW, by_name, dataset_of
from tests.plugin.operators.test_operators import in_the_app
from tests.scenes import FAR, HERE, apart, high, scene

COMPARE = "@hnm/hard-negative-mining/compare_mining_runs"
RUN = {**FIELDS, "run_key": "run", "hard_negative_ratio": 1.0}


@pytest.fixture(scope="module")
def dataset() -> Iterator[fo.Dataset]:
    """Four background errors, a localization error whose truth is missed by it, a missed dog; two are reviewed."""
    rows = [(f"s{i}", "cat" if i < 3 else "dog", 0.9 - i / 10, FAR) for i in range(4)] + [
        ("near", "cat", 0.95, high(4))
    ]
    made = dataset_of(scene(rows, [("near", "cat", HERE), ("miss", "dog", HERE)]))
    foo.get_operator(MINE)(made, **RUN)
    for name, state in (("s0", "missing_label"), ("s1", "hard_negative")):
        label_ids = [by_name(made)[name].predictions.detections[0].id]
        foo.get_operator(TRIAGE)(made, run_key="run", state=state, label_ids=label_ids)
    yield made
    made.delete()


def shown(dataset: fo.Dataset, **filters: Any) -> list[str]:
    """Names of the samples in the order of the grid."""
    view = foo.get_operator(VIEW)(dataset, run_key="run", **filters)
    return [path.rsplit("/", 1)[-1].removesuffix(".jpg") for path in view.values("filepath")]


@pytest.mark.parametrize("patches", [False, True])
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {"s0", "s1", "s2", "s3", "near"}),
        ({"side": "prediction"}, {"s0", "s1", "s2", "s3", "near"}),
        ({"side": "truth"}, {"near", "miss"}),
        ({"type": "false_negative", "error": "missed"}, {"miss"}),
        ({"error": "missed"}, {"miss"}),
        ({"size": "small"}, {"s0", "s1", "s2", "s3", "near"}),
        ({"size": "large"}, set()),
        ({"most": 2}, {"s0", "s1"}),
        ({"most": 1, "label": "dog"}, {"s3"}),
        ({"most": 200}, {"s0", "s1", "s2", "s3", "near"}),
        ({"label": "dog"}, {"s3"}),
        ({"label": "dog", "side": "truth"}, {"miss"}),
        ({"state": "missing_label"}, {"s0"}),
        ({"state": "unreviewed"}, {"s2", "s3", "near"}),
        ({"min_suspicion": 1.0}, {"s0"}),
        ({"max_suspicion": 0.0}, {"s1"}),
        ({"min_suspicion": 0.4, "max_suspicion": 0.6}, {"near"}),
        ({"min_difficulty": 0.75}, {"s0", "s1"}),
        ({"state": "ignore"}, set()),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),  # the same in every process
)
def test_filters_find_what_is_stored(
    dataset: fo.Dataset, filters: dict[str, Any], expected: set[str], patches: bool
) -> None:
    assert set(shown(dataset, **filters, patches=patches)) == expected


@pytest.mark.parametrize("patches", [False, True])
def test_the_largest_comes_first(dataset: fo.Dataset, patches: bool) -> None:
    by_confidence = shown(dataset, sort_by="confidence", patches=patches)
    assert by_confidence == ["near", "s0", "s1", "s2", "s3"]
    by_suspicion = shown(dataset, sort_by="suspicion", patches=patches)
    assert by_suspicion[0] == "s0"
    assert by_suspicion[-2:] == ["near", "s1"]


@pytest.mark.parametrize("patches", [False, True])
def test_of_those_suspected_alike_the_hardest_comes_first(patches: bool) -> None:
    rows = [("a", "cat", 0.6, FAR), ("b", "cat", 0.9, FAR), ("c", "cat", 0.7, FAR)]
    made = dataset_of(scene(rows, [("d", "cat", HERE)]))
    foo.get_operator(MINE)(made, **FIELDS, run_key="run", hard_negative_ratio=1.0)
    assert shown(made, sort_by="suspicion", patches=patches) == ["b", "c", "a"]


def test_errors_that_are_new_or_persist() -> None:
    rows = [("a", "cat", 0.9, FAR), ("b", "cat", 0.9, FAR)]
    made = dataset_of(scene(rows, [("a", "cat", HERE)]))
    before = made.limit(1).clone_sample_field("predictions", "then")
    assert before is None
    foo.get_operator(MINE)(made, pred_field="then", gt_field="ground_truth", run_key="earlier", hard_negative_ratio=1.0)
    foo.get_operator(MINE)(made, **RUN)
    with pytest.raises(
        ValueError, match="run 'run' was not compared with an earlier run: run compare_mining_runs first"
    ):
        shown(made, change="new")
    foo.get_operator(COMPARE)(made, earlier_run_key="earlier", later_run_key="run")
    assert shown(made, change="new") == ["b"]
    assert shown(made, change="persistent") == ["a"]


def test_classes_are_asked_for_as_the_run_names_them() -> None:
    made = dataset_of(scene([("a", "kitten", 0.9, FAR), ("b", "dog", 0.9, apart(1))], [("a", "cat", HERE)]))
    foo.get_operator(MINE)(made, **RUN, class_map={"kitten": "cat"})
    assert shown(made, label="cat") == ["a"]


def test_a_view_is_kept_under_a_name(dataset: fo.Dataset) -> None:
    kept = dataset.clone()
    shown(kept, label="dog", save_as="wrong dogs")
    assert [sample.id for sample in kept.load_saved_view("wrong dogs")] == [by_name(kept)["s3"].id]
    with pytest.raises(ValueError, match="is taken by saved view 'wrong dogs': choose another name"):
        shown(kept, save_as="wrong dogs")


def test_what_cannot_be_is_said(dataset: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="no false_positive is on side 'truth': name one of the two"):
        shown(dataset, type="false_positive", side="truth")
    with pytest.raises(ValueError, match="a truth has no confidence: sort by difficulty or suspicion"):
        shown(dataset, side="truth", sort_by="confidence")
    with pytest.raises(ValueError, match="sort_by must be one of difficulty, suspicion, confidence, got 'size'"):
        shown(dataset, sort_by="size")
    with pytest.raises(ValueError, match=r"state must be one of unreviewed, .*, got 'good'"):
        shown(dataset, state="good")
    with pytest.raises(ValueError, match="no box has label 'unicorn'; labels are cat, dog"):
        shown(dataset, label="unicorn")
    with pytest.raises(ValueError, match="no such filter: classes, limit; filters are type, side, label, error"):
        shown(dataset, classes="cat", limit=3)
    with pytest.raises(ValueError, match="no false_positive has error 'missed': it can have localization"):
        shown(dataset, type="false_positive", error="missed")
    with pytest.raises(ValueError, match="no false_negative has error 'background': it can have localization, class"):
        shown(dataset, type="false_negative", error="background")
    with pytest.raises(ValueError, match="most must be a whole number, 1 or more, got 0"):
        shown(dataset, most=0)
    with pytest.raises(ValueError, match="size must be one of small, medium, large, got 'tiny'"):
        shown(dataset, size="tiny")
    for name in ("min_difficulty", "min_suspicion", "max_suspicion"):
        for value in ("0.5", True, [0.5], float("nan"), 5):
            with pytest.raises(ValueError, match=rf"{name} must be a number in \[0, 1\], got "):
                shown(dataset, **{name: value})
    with pytest.raises(ValueError, match="no such filter: min_dificulty; filters are type"):
        in_the_app(dataset, VIEW, run_key="run", min_dificulty=0.5)


def test_sizes_are_those_of_the_report() -> None:
    boxes = {"small": (0, 0, 51, 51), "medium": (0, 0, 120, 120), "large": (0, 0, 160, 160)}
    made = dataset_of(scene([(name, "cat", 0.9, box) for name, box in boxes.items()], [("small", "dog", FAR)]))
    report = foo.get_operator(MINE)(made, **RUN)["report"]
    assert {name: count["false_positives"] for name, count in report["sizes"].items()} == dict.fromkeys(boxes, 1)
    for name in boxes:
        assert shown(made, size=name) == [name]
    foo.get_operator(MINE)(made, **RUN | {"run_key": "big"}, sizes=["large", "medium"])
    view = foo.get_operator(VIEW)(made, run_key="big")
    assert sorted(path.rpartition("/")[2] for path in view.values("filepath")) == ["large.jpg", "medium.jpg"]


def test_nothing_found_is_said_and_the_grid_stays(dataset: fo.Dataset) -> None:
    result, requests = in_the_app(dataset, VIEW, run_key="run", label="dog", state="ignore")
    assert result["count"] == 0
    assert "set_view" not in requests
    assert requests["notify"]["message"] == "No object of run 'run' matches these filters; the view is unchanged"


def test_views_hold_no_ids(dataset: fo.Dataset) -> None:
    view = foo.get_operator(VIEW)(dataset, run_key="run", state="unreviewed", sort_by="suspicion", label="cat")
    stages = json.dumps(view._serialize(), default=str)
    assert not any(sample_id in stages for sample_id in dataset.values("id"))


def test_the_form_offers_all_of_it_and_says_what_cannot_be(dataset: fo.Dataset) -> None:
    def form(**params: Any) -> str:
        request = {"dataset_name": dataset.name, "view": [], "params": params}
        context = ExecutionContext(request_params=request, executor=Executor(), operator_uri=VIEW)
        return str(foo.get_operator(VIEW).resolve_type(context, "inputs").to_json())

    assert "Review state" in form()
    assert "Minimum suspicion" not in form()
    assert "Minimum suspicion" in form(show_advanced=True)
    assert "was not compared with an earlier run" in form(show_advanced=True, change="new")
    assert "cannot be run yet" not in form(type="false_negative", sort_by="suspicion")
    assert "a truth has no confidence" in form(type="false_negative", sort_by="confidence")
