"""The panel as the App's server drives it, without a browser."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators.executor import ExecutionContext, Executor

from tests.datasets import FIELDS, MINE, dataset_of

PANEL = "@hnm/hard-negative-mining/hard_negatives_panel"


class Shown(NamedTuple):
    """What an event of the panel sends to the browser."""

    state: dict[str, Any]
    data: dict[str, Any]
    output: dict[str, Any]
    requests: dict[str, dict[str, Any]]

    @property
    def text(self) -> str:
        """Everything that is laid out, with its words."""
        return json.dumps(self.output)

    def job(self, number: int) -> dict[str, Any]:
        """How one operation in the background is laid out."""
        return dict(self.output["type"]["properties"][f"job_{number}"]["type"]["properties"])

    @property
    def ticks(self) -> bool:
        """Whether the panel will look again by itself."""
        return "clock" in self.output["type"]["properties"]

    @property
    def steps(self) -> dict[str, str]:
        """The buttons of the steps, in order, and how they look."""
        buttons = self.output["type"]["properties"]["steps"]["type"]["properties"].values()
        return {button["view"]["label"]: button["view"]["variant"] for button in buttons}

    @property
    def enabled(self) -> list[str]:
        """The steps that can be taken."""
        buttons = self.output["type"]["properties"]["steps"]["type"]["properties"].values()
        return [button["view"]["label"] for button in buttons if not button["view"]["disabled"]]

    @property
    def next_step(self) -> str:
        """The highlighted one."""
        (name,) = (label for label, variant in self.steps.items() if variant == "contained")
        return name

    @property
    def marks(self) -> list[tuple[str, dict[str, Any], int]]:
        """Every bar and point that has an extent: its chart, its trace, its place in it."""
        return [
            (chart, trace, index)
            for chart, traces in self.data["charts"].items()
            for trace in traces
            for index in range(len(trace["ids"]))
            if size_of(chart, trace, index)
        ]


def size_of(chart: str, trace: dict[str, Any], index: int) -> int:
    """How many objects a mark claims to stand for."""
    lengths = {
        "scatter": "customdata",
        "errors": "x",
        "classes": "x",
        "confusions": "x",
        "difficulty": "x",
        "weights": "x",
    }
    return int(trace[lengths.get(chart, "y")][index])


def event(
    dataset: fo.Dataset, method: str, state: dict[str, Any] | None = None, view: Any = None, **params: Any
) -> Shown:
    """Let the panel handle an event, as the App's server does."""
    state = json.loads(json.dumps(state or {}))  # it comes from the browser
    sent = {"panel_id": "panel", "panel_state": state, "__method__": method, **params}
    request = {"dataset_name": dataset.name, "view": view._serialize() if view is not None else [], "params": sent}
    context = ExecutionContext(request_params=request, executor=Executor(), operator_uri=PANEL)
    foo.get_operator(PANEL).execute(context)
    requests = {asked.operator_uri: asked.params for asked in context.executor._requests}
    data: dict[str, Any] = {}
    for asked in context.executor._requests:
        if asked.operator_uri == "patch_panel_data":
            data |= json.loads(json.dumps(asked.params["data"]))
    output = json.loads(json.dumps(requests["show_panel_output"]["output"]))
    return Shown(json.loads(json.dumps(context.panel_state)), data, output, requests)


def mined(key: str = "run", dataset: fo.Dataset | None = None, **settings: Any) -> fo.Dataset:
    dataset = dataset or dataset_of()
    foo.get_operator(MINE)(dataset, **FIELDS, run_key=key, **settings)
    return dataset
