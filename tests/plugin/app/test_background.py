"""Work in the background: the panel follows it from the queue to its end, and says what must be done."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionContext, ExecutionProgress

from fiftyone_plugin.app import background
from fiftyone_plugin.app.background import error_sentence
from fiftyone_plugin.operators import OPERATORS
from tests.datasets import FIELDS, MINE, dataset_of
from tests.plugin.panels import event, mined


def queued(dataset: fo.Dataset, key: str) -> Any:
    """Schedule a mining, as the App's button does."""
    asked = {"dataset": dataset, "params": {**FIELDS, "run_key": key}, "request_delegation": True}
    foo.execute_operator(MINE, asked)
    return DelegatedOperationService().list_operations(dataset_id=dataset._doc.id)[0]


def work_on(dataset: fo.Dataset) -> None:
    """What ``fiftyone delegated launch`` does when it finds something in the queue."""
    DelegatedOperationService().execute_queued_operations(dataset_name=dataset.name)


def test_a_mining_in_the_background_is_followed_from_the_queue_to_the_charts() -> None:
    made = dataset_of()
    operation, service = queued(made, "night"), DelegatedOperationService()
    shown = event(made, "on_load")
    assert [(job["state"], job["run_key"]) for job in shown.state["jobs"]] == [("queued", "night")]
    assert "Mine hard negatives (night) is queued" in shown.text
    assert "when `fiftyone delegated launch` runs" in shown.text
    assert shown.ticks

    service.set_running(operation.id)
    service.set_progress(operation.id, ExecutionProgress(progress=0.4, label="Mining 9 predictions"))
    shown = event(made, "refresh", shown.state)
    assert "**Mine hard negatives (night)** is running. Mining 9 predictions" in shown.text
    assert shown.job(0)["share"]["default"] == 0.4
    assert "reload_dataset" not in shown.requests

    service.set_queued(operation.id)
    work_on(made)
    shown = event(made, "refresh", shown.state)
    assert (shown.state["jobs"], shown.state["head"]["run"]) == ([], "night")
    assert shown.data["charts"]["errors"]
    assert "reload_dataset" in shown.requests, "the grid learns of the new fields"
    assert not shown.ticks


def test_a_failure_in_the_background_says_why_until_it_is_put_away() -> None:
    made = dataset_of()
    queued(made, "taken")
    mined("taken", made)
    work_on(made)
    shown = event(made, "on_load")
    (job,) = shown.state["jobs"]
    assert (job["state"], job["label"]) == ("failed", "Mine hard negatives")
    assert job["error"].startswith("run 'taken' exists: choose another run_key")
    assert "Mine hard negatives (taken) failed" in shown.text
    assert f"fiftyone delegated info {job['id']}" in shown.text
    assert shown.state["head"]["run"] == "taken", "the run that exists is shown all the same"
    assert not shown.ticks, "a failure changes no more"
    shown = event(made, "dismiss", shown.state, id=job["id"])
    assert shown.state["jobs"] == []
    assert "failed" not in shown.text


@pytest.mark.parametrize("operator", [each for each in OPERATORS if each().config.allow_delegated_execution])
def test_what_was_scheduled_has_no_results_to_show_yet(operator: Any) -> None:
    context = ExecutionContext({"results": {"id": "1", "run_state": "queued"}})  # what the App's *Schedule* gets back
    assert operator().resolve_output(context) is None


def test_work_on_other_datasets_is_not_shown() -> None:
    queued(dataset_of(), "elsewhere")
    assert event(dataset_of(), "on_load").state["jobs"] == []


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("Traceback (most recent call last):\n  File 'x', line 1\n    f()\nValueError: mine first", "mine first"),
        (
            "Traceback (most recent call last):\n  File 'x'\na.b.Error: two\nlines: here",
            "two lines: here",
        ),
        (
            "Traceback (most recent call last):\n  a\nKeyError: 1\n\nDuring handling of the above exception, another "
            "exception occurred:\n\nTraceback (most recent call last):\n  b\nValueError: the last one",
            "the last one",
        ),
        ("killed", "killed"),
        ("It was stopped: out of memory", "It was stopped: out of memory"),
        ("", ""),
        ("x" * 600, "x" * 500 + " …"),
    ],
)
def test_of_an_error_people_read_what_it_says(error: str, sentence: str) -> None:
    assert error_sentence(error) == sentence


@pytest.mark.parametrize("allowed", [True, False])
def test_what_must_be_done_is_said_in_the_form_and_in_the_panel(monkeypatch: Any, allowed: bool) -> None:
    monkeypatch.setattr(fo.config, "allow_legacy_orchestrators", allowed)
    help_text = background.background_help()
    assert ("FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS=true" in help_text) is not allowed
    assert "fiftyone delegated launch" in help_text
    made = mined()
    shown = event(made, "show_section", event(made, "on_load").state, section="rounds")
    assert help_text in shown.text
    context = ExecutionContext(request_params={"dataset_name": made.name, "params": {}})
    form = foo.get_operator(MINE).resolve_input(context).type.properties
    assert form["background"].view.label == help_text
