"""The App's side: how long a form and the panel's events take on a large dataset, from request to answer.

Every event goes the way it goes in the App's server: the operator is looked up, its context made from JSON, its answer
turned into JSON. Each in a database of its own, in a process of its own. Files of images are never opened.
"""

from __future__ import annotations

import json
import statistics
import time
import uuid
from collections.abc import Callable
from typing import Any

from benchmarks.operator import FIELDS, isolated, make_dataset
from benchmarks.scenes import coco_like

IMAGES, TIMES = 100_000, 7
MUST, STRETCH = 0.2, 0.05
VERDICT, REVIEWED = 0.1, "a crop is reviewed"
"""Seconds that a verdict may take, and how the table calls it."""

THOUGHT = 2.0
"""Seconds that a person looks at a crop."""

LEAST_SCORE = 0.3
"""Predictions kept: about as many as there are truths and half as many again."""

PANEL = "@hnm/hard-negative-mining/hard_negatives_panel"
MINE = "@hnm/hard-negative-mining/mine_hard_negatives"


def table(images: int = IMAGES) -> list[str]:
    """Markdown lines."""
    found = isolated("app", f"measure({images})")
    lines = ["| event | median, ms | slowest, ms | answer, kB | must | stretch |", "|---|---|---|---|---|---|"]
    for name, middle, slowest, size in found["rows"]:
        must = VERDICT if name == REVIEWED else MUST
        goals = [f"< {1e3 * must:.0f} ms", f"< {1e3 * STRETCH:.0f} ms"] if size else ["–", "–"]
        lines.append(f"| {name} | {1e3 * middle:.0f} | {1e3 * slowest:.0f} | {size / 1e3:.0f} | {' | '.join(goals)} |")
    return [
        *lines,
        "",
        f"{images:,} samples, {found['boxes']:,} boxes, {found['objects']:,} objects stored in each run; median of "
        f"{TIMES}. Reading the results whole, which the panel does not do, takes {found['whole']:.1f} s. The grid's "
        f"own query for the first page after a click on an error type takes {found['page']:.1f} s.",
    ]


def measure(images: int) -> dict[str, Any]:
    """Rows of the table, and what they were measured on."""
    from fiftyone_plugin.actions import mine
    from fiftyone_plugin.panel import picks
    from fiftyone_plugin.runs import records

    predictions, truth = coco_like(images)
    assert predictions.score is not None
    predictions = predictions.take(predictions.score >= LEAST_SCORE)
    dataset = make_dataset(predictions, truth)
    for key, threshold in (("first", 0.5), ("second", 0.6)):
        mine.mine_samples(dataset, {**FIELDS, "run_key": key, "confidence_threshold": threshold})
    state = event(dataset, PANEL, "on_load")["state"]
    click = picks.of_error("false_positives", "background")
    form = {**FIELDS, "run_key": "third"}
    works: dict[str, Callable[[], dict[str, Any]]] = {
        "the panel opens": lambda: event(dataset, PANEL, "on_load"),
        "another run is chosen": lambda: event(dataset, PANEL, "choose_run", state, value="first"),
        "a bar is clicked": lambda: event(dataset, PANEL, "pick", state, id=click),
        REVIEWED: _reviewer(dataset, state),
        "a sheet of 24 crops is answered": (reader := _Reader(dataset, state)).answer,
        "the grid lists a sheet": reader.listed,
        "the grid shows another view": lambda: event(dataset, PANEL, "on_change_view", state),
        "the mining form opens": lambda: form_of(dataset, {}),
        "a key is pressed in the mining form": lambda: form_of(dataset, form),
        "of each, FiftyOne's own share": lambda: fiftyones_share(dataset),
    }
    start = time.perf_counter()
    results = records.load(dataset, "first")[1]
    whole = time.perf_counter() - start
    view = picks.view_of(dataset, records.settings_of(dataset, "first"), click)
    start = time.perf_counter()
    view[:20].values("id")
    page = time.perf_counter() - start
    return {
        "rows": [(name, *_timed(work)) for name, work in works.items()],
        "boxes": len(predictions) + len(truth),
        "objects": len(results.objects["label_id"]),
        "whole": whole,
        "page": page,
    }


def event(dataset: Any, uri: str, method: str, state: Any = None, **params: Any) -> dict[str, Any]:
    """Let the panel handle an event in this state, as of a browser window of its own; state and size of its answer."""
    import fiftyone.operators as foo
    from fiftyone.operators.executor import ExecutionContext, Executor

    from fiftyone_plugin.panel.turns import WINDOW

    known = {name: value for name, value in json.loads(json.dumps(state or {})).items() if name != WINDOW}
    sent = {"panel_id": uuid.uuid4().hex, "panel_state": known, "__method__": method, **params}
    request = {"dataset_name": dataset.name, "view": [], "params": sent}
    context = ExecutionContext(request_params=request, executor=Executor(), operator_uri=uri)
    foo.get_operator(uri).execute(context)
    return {"state": context.panel_state, "size": len(json.dumps(context.executor.to_json()))}


def _reviewer(dataset: Any, state: Any) -> Callable[[], dict[str, Any]]:
    """Somebody who says of every other crop that the label is missing or wrong; the run is read before."""
    shown = [event(dataset, PANEL, "show_section", state, section="review")["state"]]

    def review() -> dict[str, Any]:
        now = shown[-1]["review"]
        given = ("wrong_label" if now["of_truth"] else "missing_label", "hard_negative")[now["now"][0] % 2]
        start = time.perf_counter()
        done = event(dataset, PANEL, "give_review", shown[-1], review=given, key=now["key"])
        done["seconds"] = time.perf_counter() - start
        assert done["state"]["review"]["now"][0] == now["now"][0] + 1
        shown.append(done["state"])
        time.sleep(THOUGHT)
        return done

    return review


class _Reader:
    """Somebody who answers sheet after sheet, with the answer that is expected."""

    def __init__(self, dataset: Any, state: Any) -> None:
        self.dataset = dataset
        shown = event(dataset, PANEL, "show_section", state, section="review")["state"]
        self.state = event(dataset, PANEL, "review_by", shown, mode="sheets")["state"]

    def answer(self) -> dict[str, Any]:
        """Answer the sheet that is shown; the event chooses the next one and sends its view."""
        time.sleep(THOUGHT)
        sheet, start = self.state["review"]["sheet"], time.perf_counter()
        given = {"review": sheet["answer"], "first": sheet["keys"][0]}
        done = event(self.dataset, PANEL, "answer_sheet", self.state, **given)
        done["seconds"] = time.perf_counter() - start
        self.state = done["state"]
        assert self.state["review"]["sheet"]["keys"] != sheet["keys"]
        return done

    def listed(self) -> dict[str, Any]:
        """Ask for the samples of the sheet as the grid does: as patches, with their boxes."""
        from fiftyone_plugin.review import sheets
        from fiftyone_plugin.review.session import open_review

        sheet = sheets.HandedOut(**self.state["review"]["sheet"])
        view = sheets.view_of(self.dataset, open_review(self.dataset, sheet.run_key), sheet)
        start = time.perf_counter()
        found = list(view._aggregate(attach_frames=False))
        assert len(found) == len(sheet.keys)
        return {"size": 0, "seconds": time.perf_counter() - start}


def form_of(dataset: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Resolve the mining form's inputs."""
    import fiftyone.operators as foo
    from fiftyone.operators.executor import ExecutionContext, Executor

    request = {"dataset_name": dataset.name, "view": [], "params": dict(params)}
    context = ExecutionContext(request_params=request, executor=Executor(), operator_uri=MINE)
    shown = foo.get_operator(MINE).resolve_type(context, "inputs")
    return {"size": len(json.dumps(shown.to_json()))}


def fiftyones_share(dataset: Any) -> dict[str, Any]:
    """Do what FiftyOne does before every event: look for plugins and load the dataset."""
    import fiftyone.operators as foo
    from fiftyone.operators.executor import ExecutionContext, Executor

    foo.get_operator(PANEL)
    request = {"dataset_name": dataset.name, "view": [], "params": {}}
    assert ExecutionContext(request_params=request, executor=Executor(), operator_uri=PANEL).dataset
    return {"size": 0}


def _timed(work: Callable[[], dict[str, Any]]) -> tuple[float, float, int]:
    times, size = [], 0
    work()
    for _ in range(TIMES):
        start = time.perf_counter()
        answer = work()
        times.append(answer.get("seconds", time.perf_counter() - start))
        size = answer["size"]
    return statistics.median(times), max(times), size
