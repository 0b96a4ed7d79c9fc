"""The operator: from Python a loop of answers, in the App the grid's patches all but the selected ones."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor

from fiftyone_plugin.review.ledger import Ledger
from fiftyone_plugin.store import access
from tests.datasets import FIELDS, MINE, SHEET, TRIAGE, dataset_of
from tests.scenes import FAR, HERE, scene


@pytest.fixture
def dataset() -> fo.Dataset:
    made = dataset_of(scene([(f"s{i}", "cat", 0.9, FAR) for i in range(8)], [("s0", "cat", HERE)]))
    foo.get_operator(MINE)(made, **FIELDS, run_key="run", hard_negative_ratio=1.0)
    return made


def asked(dataset: fo.Dataset, view: Any = None, selected: tuple[str, ...] = (), **params: Any) -> ExecutionContext:
    shown = dataset.view() if view is None else view
    request = {"dataset_name": dataset.name, "view": shown._serialize(), "selected": list(selected), "params": params}
    return ExecutionContext(request_params=request, executor=Executor(), operator_uri=SHEET)


def test_a_loop_reviews_everything(dataset: fo.Dataset) -> None:
    review, clicks = foo.get_operator(SHEET), 0
    done = review(dataset, run_key="run", reviewer="ann", sheet_size=3)
    while sheet := done["sheet"]:
        more = {"label_ids": sheet["keys"], "reviewer": "ann", "sheet_size": 3}
        done = review(dataset, run_key="run", state=sheet["answer"], **more)
        clicks += 1
    assert done["left"] == 0
    assert (done["label_errors"], done["clicks"]) == (9, clicks)
    foo.get_operator(TRIAGE)(dataset, undo=True, reviewer="ann")
    done = review(dataset, run_key="run", reviewer="ann", sheet_size=3)
    assert (len(done["sheet"]["keys"]), done["clicks"]) == (done["left"], clicks + 1)


def test_in_the_app_the_grid_is_the_sheet_and_the_selection_the_exceptions(dataset: fo.Dataset) -> None:
    context = asked(dataset, run_key="run", sheet_size=5)
    first = foo.get_operator(SHEET).execute(context)
    (shown,) = (r.params["view"] for r in context.executor._requests if r.operator_uri == "set_view")
    view = access.view_of(dataset, shown)
    ids = view.values("id")
    assert [key.partition(":")[2] for key in first["sheet"]["keys"]] == ids
    form = foo.get_operator(SHEET).resolve_type(asked(dataset, view, tuple(ids[:1]), run_key="run"), "inputs")
    assert "All 5 objects in the grid, but the 1 selected" in str(form.to_json())
    context = asked(dataset, view, tuple(ids[:1]), run_key="run", state="missing_label", sheet_size=5)
    done = foo.get_operator(SHEET).execute(context)
    assert (done["answered"]["count"], done["answered"]["exceptions"], done["clicks"]) == (4, 1, 2)
    assert {e.label_id for e in Ledger(dataset).actions()[0].entries if e.state == "unreviewed"} == {ids[0]}


def test_an_answer_without_a_sheet_is_refused(dataset: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="the grid shows no sheet: run review_sheet without a review first"):
        foo.get_operator(SHEET).execute(asked(dataset, run_key="run", state="missing_label"))
    with pytest.raises(ValueError, match="sheet_order must be one of"):
        foo.get_operator(SHEET)(dataset, run_key="run", sheet_order="newest")
