"""What is edited in Annotate mode, in the corrected copy, arrives in the ledger as corrected, and stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin.review import editing, triage
from fiftyone_plugin.review.ledger import Ledger
from fiftyone_plugin.review.session import open_review
from fiftyone_plugin.runs import corrections, records
from fiftyone_plugin.store import access
from tests.datasets import APPLY, by_name
from tests.plugin.panels import Shown, event
from tests.plugin.review.test_mending import COPY, dataset, labels, mend, review
from tests.plugin.review.test_session import button_of, opened

__all__ = ["dataset"]  # the fixture: a missing label in a, a wrong class in b, a bad box in c, bogus in d


def opened_at(dataset: fo.Dataset, sample: str, side: str = "prediction") -> Any:
    """Open the first object of a sample for editing, as the panel's button does."""
    mend(dataset)
    settings = records.settings_of(dataset, "run")
    field = settings.pred_field if side == "prediction" else settings.gt_field
    of = by_name(dataset)[sample]
    return editing.open_label(dataset, settings, side, of[field].detections[0].id, of.id)


def edit(dataset: fo.Dataset, sample: str, change: Callable[[list[Any]], Any]) -> None:
    """What the App's Annotate mode does: change the boxes of one sample in the copy, and save it."""
    dataset.reload()
    found = by_name(dataset)[sample]
    boxes = list(found[COPY].detections) if found[COPY] else []
    change(boxes)
    found[COPY] = fo.Detections(detections=boxes)
    found.save()


def corrected(dataset: fo.Dataset) -> list[tuple[str, str, str]]:
    """Side, class and state of what the ledger calls corrected."""
    return [(e["side"], e["class"], e["state"]) for e in Ledger(dataset).entries() if e.get("corrected")]


def relabel(boxes: list[Any]) -> None:
    boxes[0].label = "fox"


def move(boxes: list[Any]) -> None:
    boxes[0].bounding_box = [0.0, 0.0, 0.01, 0.005]


@pytest.mark.parametrize(
    ("sample", "change", "state"),
    [("b", relabel, "wrong_label"), ("c", move, "wrong_box"), ("d", lambda boxes: boxes.clear(), "bogus_label")],
)
def test_an_edited_label_is_corrected_in_the_ledger_and_one_undo_takes_it_back(
    dataset: fo.Dataset, sample: str, change: Callable[[list[Any]], Any], state: str
) -> None:
    opened_at(dataset, sample, "truth")
    truth = labels(dataset, "ground_truth")
    edit(dataset, sample, change)
    edited = labels(dataset)
    assert edited[sample] != truth[sample]
    done = triage.take_edits(dataset, "run", "ann")
    assert done is not None
    assert (done["edited"], done["by_hand"]) == ([by_name(dataset)[sample].id], int(state != "bogus_label"))
    assert corrected(dataset) == [("truth", "cat", state)]
    (action,) = Ledger(dataset).actions()
    assert (action.who, action.entries[0].run_key) == ("ann", "run")
    assert labels(dataset) == edited, "mending leaves it as it was edited"
    assert labels(dataset, "ground_truth") == truth
    assert corrections.stale_note(dataset, "run")
    truths = by_name(dataset)[sample].ground_truth.detections
    assert truths[0].run_state == state
    assert triage.take_edits(dataset, "run", "ann") is None, "nothing twice"
    triage.undo(dataset, "ann")
    assert labels(dataset) == truth
    assert by_name(dataset)[sample].ground_truth.detections[0].run_state == "unreviewed"
    assert triage.take_edits(dataset, "run", "ann") is None


def test_a_label_that_is_drawn_makes_the_prediction_a_missing_label_and_is_not_there_twice(dataset: fo.Dataset) -> None:
    assert opened_at(dataset, "a").label_id is None, "there is no label to edit: draw one"
    box = [100 / 1024, 100 / 1024, 9 / 1024, 10 / 1024]
    edit(dataset, "a", lambda boxes: boxes.append(fo.Detection(label="cat", bounding_box=box)))
    triage.take_edits(dataset, "run", "ann")
    assert corrected(dataset) == [("truth", "cat", "unreviewed"), ("prediction", "cat", "missing_label")]
    assert labels(dataset)["a"] == [("cat", [100, 100, 9, 10])], "the prediction is not accepted beside it"
    assert open_review(dataset, "run").mended()[0] == 1
    triage.undo(dataset, "ann")
    assert labels(dataset)["a"] == []


def test_what_was_mended_and_then_edited_stays_as_it_was_edited(dataset: fo.Dataset) -> None:
    review(dataset, "b", "wrong_label")
    review(dataset, "a", "missing_label")
    found = opened_at(dataset, "b")
    assert (found.field, found.label_id) == (COPY, by_name(dataset)["b"].ground_truth.detections[0].id)
    assert labels(dataset)["b"][0][0] == "dog"
    edit(dataset, "b", relabel)
    accepted = opened_at(dataset, "a")
    assert accepted.label_id == by_name(dataset)["a"][COPY].detections[0].id
    edit(dataset, "a", lambda boxes: boxes.clear())
    mend(dataset)
    assert (labels(dataset)["b"][0][0], labels(dataset)["a"]) == ("fox", [])
    assert mend(dataset)["changed"] == 0
    triage.undo(dataset)
    assert labels(dataset)["a"], "the accepted label is back"


def test_what_reviews_change_is_no_edit(dataset: fo.Dataset) -> None:
    opened_at(dataset, "b")
    review(dataset, "b", "wrong_label")
    assert triage.take_edits(dataset, "run", "ann") is None
    mend(dataset)
    assert triage.take_edits(dataset, "run", "ann") is None
    assert corrected(dataset) == []


def test_applying_the_reviews_takes_edits_along(dataset: fo.Dataset) -> None:
    opened_at(dataset, "b", "truth")
    edit(dataset, "b", relabel)
    foo.get_operator(APPLY)(dataset, run_key="run")
    assert corrected(dataset) == [("truth", "cat", "wrong_label")]


def pressed(dataset: fo.Dataset) -> tuple[Shown, Shown]:
    shown = opened(dataset)
    return shown, event(dataset, "edit_label", shown.state, **button_of(shown, "edit_label")["params"])


def test_the_button_opens_annotate_mode_on_the_copy_and_the_next_draw_takes_the_edit(dataset: fo.Dataset) -> None:
    shown, after = pressed(dataset)
    key = shown.state["review"]["key"]
    sample = dataset[shown.state["review"]["sample_id"]]
    dataset.reload()
    assert COPY in dataset.active_label_schemas
    assert "cat" in dataset.label_schemas[COPY]["classes"]
    asked = after.requests.get("annotate") or after.requests["open_sample"]
    assert asked["id"] == sample.id
    assert asked.get("field_path", COPY) == COPY
    assert access.view_of(dataset, after.requests["set_view"]["view"]).values("id") == [sample.id]
    assert after.state["review"]["key"] == key, "it is still shown"
    name = next(name for name, each in by_name(dataset).items() if each.id == sample.id)
    edit(dataset, name, lambda boxes: boxes.append(fo.Detection(label="cat", bounding_box=[0.5, 0.5, 0.1, 0.1])))
    drawn = event(dataset, "start_review", after.state)
    assert "Edits are in the ledger" in drawn.requests["notify"]["message"]
    assert ("truth", "cat", "unreviewed") in corrected(dataset)
    assert "This run is stale" in drawn.text
