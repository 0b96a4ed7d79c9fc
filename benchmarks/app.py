"""The App's side: how long a form and the panel's events take on a large dataset, from request to answer.

Every event goes the way it goes in the App's server: the operator is looked up, its context made from JSON, its answer
turned into JSON. Each in a database of its own, in a process of its own. Files of images are never opened.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.operator import FIELDS, isolated, make_dataset
from benchmarks.scenes import coco_like

IMAGES, TIMES = 100_000, 7
MUST, STRETCH = 0.2, 0.05
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
        goals = [f"< {1e3 * MUST:.0f} ms", f"< {1e3 * STRETCH:.0f} ms"] if size else ["–", "–"]
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
    from fiftyone_plugin import mining, runs
    from fiftyone_plugin.panel import picks

    predictions, truth = coco_like(images)
    assert predictions.score is not None
    predictions = predictions.take(predictions.score >= LEAST_SCORE)
    dataset = make_dataset(predictions, truth)
    for key, threshold in (("first", 0.5), ("second", 0.6)):
        mining.mine_samples(dataset, {**FIELDS, "run_key": key, "confidence_threshold": threshold})
    state = event(dataset, PANEL, "on_load")["state"]
    click = picks.of_error("false_positives", "background")
    form = {**FIELDS, "run_key": "third"}
    works: dict[str, Callable[[], dict[str, Any]]] = {
        "the panel opens": lambda: event(dataset, PANEL, "on_load"),
        "another run is chosen": lambda: event(dataset, PANEL, "choose_run", state, value="first"),
        "a bar is clicked": lambda: event(dataset, PANEL, "pick", state, id=click),
        "a crop is judged in the review": _reviewer(dataset, state),
        "the grid shows another view": lambda: event(dataset, PANEL, "on_change_view", state),
        "the mining form opens": lambda: form_of(dataset, {}),
        "a key is pressed in the mining form": lambda: form_of(dataset, form),
        "of each, FiftyOne's own share": lambda: fiftyones_share(dataset),
    }
    start = time.perf_counter()
    results = runs.load(dataset, "first")[1]
    whole = time.perf_counter() - start
    view = picks.view_of(dataset, runs.settings_of(dataset, "first"), click)
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
    """Let the panel handle an event; its state and the size of its answer in bytes."""
    import fiftyone.operators as foo
    from fiftyone.operators.executor import ExecutionContext, Executor

    sent = {"panel_id": "panel", "panel_state": json.loads(json.dumps(state or {})), "__method__": method, **params}
    request = {"dataset_name": dataset.name, "view": [], "params": sent}
    context = ExecutionContext(request_params=request, executor=Executor(), operator_uri=uri)
    foo.get_operator(uri).execute(context)
    return {"state": context.panel_state, "size": len(json.dumps(context.executor.to_json()))}


def _reviewer(dataset: Any, state: Any) -> Callable[[], dict[str, Any]]:
    """Somebody who says of every other crop that the label is missing; the run is read before."""
    shown = [event(dataset, PANEL, "show_section", state, section="review")["state"]]

    def judge() -> dict[str, Any]:
        now = shown[-1]["review"]
        verdict = ("missing_label", "hard_negative")[now["now"][0] % 2]
        start = time.perf_counter()
        done = event(dataset, PANEL, "give_verdict", shown[-1], verdict=verdict)
        done["seconds"] = time.perf_counter() - start
        assert done["state"]["review"]["now"][0] == now["now"][0] + 1
        shown.append(done["state"])
        time.sleep(THOUGHT)
        return done

    return judge


def form_of(dataset: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Resolve the mining form's inputs."""
    import fiftyone.operators as foo
    from fiftyone.operators.executor import ExecutionContext, Executor

    request = {"dataset_name": dataset.name, "view": [], "params": dict(params)}
    context = ExecutionContext(request_params=request, executor=Executor(), operator_uri=MINE)
    shown = foo.get_operator(MINE).resolve_type(context, "inputs")
    return {"size": len(json.dumps(shown.to_json()))}


def fiftyones_share(dataset: Any) -> dict[str, Any]:
    """What FiftyOne does before every event: it looks for plugins and loads the dataset."""
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
