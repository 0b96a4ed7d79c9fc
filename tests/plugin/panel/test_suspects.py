"""Labels that the model contradicts: the panel counts them and shows the hardest in the grid."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest

from fiftyone_plugin.actions import evidence
from fiftyone_plugin.store import access
from hnm_core.evidence.label_suspects import LabelSuspects
from tests.datasets import APPLY, FIELDS, MINE, dataset_of
from tests.plugin.panels import event
from tests.plugin.review.test_session import button_of
from tests.scenes import FAR, HERE, scene


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> fo.Dataset:
    """Four labels; the model calls two of them otherwise, the third most, and sees nothing at the last one."""
    made = dataset_of(scene([(f"s{i}", "cat", 0.9, FAR) for i in range(4)], [(f"s{i}", "cat", HERE) for i in range(4)]))
    columns = [0.2, -0.5, 0.9, -0.1], [0.1, 0.5, 0.2, np.nan], [-2.0, -1.0, 0.0, 3.0]
    suspects = LabelSuspects(*map(np.array, columns))

    def told(samples: Any, tables: Any, result: Any, *_: Any) -> tuple[dict[str, Any], LabelSuspects]:
        return {"views": np.zeros(len(result.predictions))}, suspects

    monkeypatch.setattr(evidence, "_views", told)
    monkeypatch.setattr(evidence, "model_of", lambda *_: None)
    foo.get_operator(MINE)(made, **FIELDS, run_key="run", views=True)
    return made


def test_counts_and_a_click_that_shows_the_hardest_first(dataset: fo.Dataset) -> None:
    shown = event(dataset, "on_load")
    assert "contradicts labels (4 were compared)" in shown.text
    assert button_of(shown, "suspects_wrong_label")["label"] == "2 wrong class"
    assert button_of(shown, "suspects_wrong_box")["disabled"], "an IoU of .5 still matches"
    assert button_of(shown, "suspects_bogus_label")["label"] == "1 on nothing"
    assert "contradicts some of 4 labels: 2 of another class, 0 in another place, 1 on nothing" in shown.text
    ids = dataset.values("ground_truth.detections.id", unwind=True)
    for way, rows in (("wrong_label", [2, 0]), ("bogus_label", [3])):
        pressed = event(dataset, "show_suspects", shown.state, **button_of(shown, f"suspects_{way}")["params"])
        assert access.view_of(dataset, pressed.requests["set_view"]["view"]).values("id") == [ids[row] for row in rows]
        assert len(pressed.state["past"]) == 1


def test_they_outlive_applying_reviews_and_a_label_that_is_gone_is_said(dataset: fo.Dataset) -> None:
    foo.get_operator(APPLY)(dataset, run_key="run")
    shown = event(dataset, "on_load")
    button = button_of(shown, "suspects_bogus_label")["params"]
    dataset.set_values("ground_truth.detections", [[] for _ in dataset])
    gone = event(dataset, "show_suspects", shown.state, **button)
    assert "no label of 'ground_truth' is left" in gone.requests["notify"]["message"]


def test_without_views_the_panel_says_nothing_of_it(dataset: fo.Dataset) -> None:
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="plain")
    shown = event(dataset, "on_load")
    assert shown.state["suspects"] == {}
    assert "contradicts" not in shown.text
