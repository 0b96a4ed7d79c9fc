"""Work that the App is told of while it runs."""

from __future__ import annotations

import json
from collections.abc import Generator
from threading import Event
from typing import Any

import fiftyone.operators as foo
import pytest
from fiftyone import ViewField as F
from fiftyone.operators.executor import ExecutionContext

from fiftyone_plugin.actions import mine
from fiftyone_plugin.operators import long
from fiftyone_plugin.runs import records
from hnm_core.io.progress import tracked
from tests.datasets import MINE, dataset_of
from tests.plugin.operators.test_operators import RUN, asked_by_the_app, in_the_app


def stream(samples: Any, **params: Any) -> Generator[tuple[str, dict[str, Any]], None, None]:
    """Mine as the App's server does: operators the App is to run, and their parameters, one by one."""
    for message in foo.get_operator(MINE).execute(asked_by_the_app(samples, MINE, **params)):
        requests = json.loads(message.to_json_line())
        body = (
            requests["body"]
            if requests["cls"] == "InvocationRequest"
            else {"operator_uri": "", "params": requests["body"]}
        )
        yield body["operator_uri"].rpartition("/")[2], body["params"]


def test_progress_comes_first_and_the_outcome_takes_its_place() -> None:
    dataset = dataset_of()
    names, params = zip(*stream(dataset, **RUN), strict=True)
    shares = [each["progress"] for name, each in zip(names, params, strict=True) if name == "set_progress"]
    assert names[: len(shares)] == ("set_progress",) * len(shares)
    assert shares == sorted(shares)
    assert (len(shares) > 2, shares[0], shares[-1]) == (True, 0, 1)
    assert names[-2:] == ("show_output", "")
    assert params[-2]["results"]["run_key"] == params[-1]["run_key"] == "run"
    assert "Mining finished" in json.dumps(params[-2]["outputs"])
    context = ExecutionContext(request_params={"results": params[-1]}, operator_uri=MINE)
    assert foo.get_operator(MINE).resolve_output(context) is None  # it is not shown twice


def test_the_app_is_told_of_every_stage_but_not_of_every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long, "PAUSE", 3600.0)
    told: list[tuple[float, str]] = []
    progress = long.paced(lambda share, label: told.append((share, label)))
    for what in ("reading labels", "writing images"):
        assert list(tracked(range(1000), what, progress)) == list(range(1000))
    progress(1.0, "Done")
    assert told == [
        (0.0, "Reading labels: 0 of 1,000"),
        (1.0, "Reading labels: 1,000 of 1,000"),
        (0.0, "Writing images: 0 of 1,000"),
        (1.0, "Writing images: 1,000 of 1,000"),
        (1.0, "Done"),
    ]


def test_who_closes_the_tab_waits_for_nothing_and_the_work_is_done_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed, done = Event(), Event()

    def work(samples: Any, params: Any, progress: Any) -> dict[str, Any]:
        progress(0.0, "Waiting")
        assert closed.wait(30)
        done.set()
        return {}

    monkeypatch.setattr(mine, "mine_samples", work)
    requests = stream(dataset_of(), **RUN)
    assert next(requests) == ("set_progress", {"label": "Waiting", "progress": 0.0})
    requests.close()
    assert not done.is_set()
    closed.set()
    assert done.wait(30)


def test_an_error_takes_the_place_of_the_bar() -> None:
    dataset = dataset_of()
    sample = dataset.match(F("predictions.detections").length() > 0).first()
    sample.predictions.detections[0].confidence = None
    sample.save()
    result, requests = in_the_app(dataset, MINE, **RUN)
    assert result == {}
    shown = json.dumps(requests["show_output"]["outputs"])
    assert "Mine hard negatives failed" in shown
    assert "no confidence" in shown
    assert "Traceback" not in shown  # the sentence says what to do
    assert not {"set_view", "open_panel", "reload_dataset"} & set(requests)
    assert not records.keys(dataset)


def test_an_error_that_nobody_foresaw_tells_the_way_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(mine, "mine_samples", fail)
    _, requests = in_the_app(dataset_of(), MINE, **RUN)
    shown = json.dumps(requests["show_output"]["outputs"])
    assert "Traceback" in shown
    assert "lost" in shown
