"""Named questions: the right boxes, the hardest first, and no list of ids on the way to the browser."""

from __future__ import annotations

import json

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin.panel import picks
from fiftyone_plugin.settings import RunSettings
from fiftyone_plugin.store import views
from tests.datasets import FIELDS, MINE, dataset_of
from tests.scenes import FAR, HERE, high, scene

SETTINGS = RunSettings.from_params({**FIELDS, "run_key": "run"})


def names(view: fo.DatasetView) -> list[str]:
    return [path.rsplit("/", 1)[-1].removesuffix(".jpg") for path in view.values("filepath")]


@pytest.fixture(scope="module")
def dataset() -> fo.Dataset:
    rows = [(f"s{i}", "cat", score, FAR) for i, score in enumerate((0.6, 0.99, 0.8))]
    rows += [("right", "cat", 0.9, HERE), ("near", "cat", 0.9, high(4)), ("faint", "cat", 0.3, FAR)]
    truth = [(name, "cat", HERE) for name in ("right", "near", "missed")]
    made = dataset_of(scene(rows, truth, images=["empty"]))
    foo.get_operator(MINE)(made, **FIELDS, run_key="run", hard_negative_ratio=1.0, use_suspicion=False)
    return made


def test_false_positives_come_hardest_first(dataset: fo.Dataset) -> None:
    view = views.hardest(dataset, SETTINGS)
    assert names(view) == ["s1", "s2", "near", "s0"]  # near is missed too
    assert view.count("predictions.detections") == 4
    assert view.values("run_score") == sorted(view.values("run_score"), reverse=True)


def test_false_negatives_stand_among_the_truths(dataset: fo.Dataset) -> None:
    view = views.hardest(dataset, SETTINGS, type="false_negative")
    assert sorted(names(view)) == ["missed", "near"]
    assert view.count("ground_truth.detections") == 2


@pytest.mark.parametrize("of", ["score", "patches", "confidence", "picked", "picked patches", "weight"])
def test_pages_of_equal_values_show_every_sample_once(of: str) -> None:
    """The App reads a view page by page; in MongoDB samples of equal value have no order of their own."""
    made = dataset_of(scene([(f"s{i:03}", "cat", 0.9, FAR) for i in range(120)], [("right", "cat", HERE)]))
    foo.get_operator(MINE)(made, **FIELDS, run_key="run", hard_negative_ratio=1.0, hard_image_share=1.0)
    view = {
        "score": lambda: views.hardest(made, SETTINGS),
        "patches": lambda: views.hardest(made, SETTINGS, patches=True),
        "confidence": lambda: views.hardest(made, SETTINGS, sort_by="confidence"),
        "picked": lambda: picks.view_of(made, SETTINGS, "error:false_positives:background"),
        "picked patches": lambda: picks.view_of(made, SETTINGS, "error:false_positives:background", patches=True),
        "weight": lambda: picks.view_of(made, SETTINGS, "weight:1.0"),
    }[of]()
    seen = [one for start in range(0, len(view), 10) for one in view[start : start + 10].values("id")]
    assert len(seen) >= 120
    assert sorted(seen) == sorted(view.values("id"))


def test_filters_narrow_it(dataset: fo.Dataset) -> None:
    assert names(views.hardest(dataset, SETTINGS, error="localization")) == ["near"]
    assert names(views.hardest(dataset, SETTINGS, min_difficulty=0.75)) == ["s1", "s2"]
    assert names(views.hardest(dataset, SETTINGS, error="duplicate")) == []
    assert names(views.hardest(dataset.match_tags("hard_negative"), SETTINGS)) == ["s1", "s2", "s0"]


def test_patches_show_one_object_a_tile(dataset: fo.Dataset) -> None:
    view = views.hardest(dataset, SETTINGS, patches=True)
    difficulty = view.values("predictions.run_difficulty")
    assert difficulty == sorted(difficulty, reverse=True)
    assert difficulty[0] == 0.99
    assert len(difficulty) == 4


def test_lucky_hits_are_a_type_of_their_own() -> None:
    made = dataset_of(
        scene([("a", "cat", 0.9, high(5)), ("b", "cat", 0.9, high(4))], [("a", "cat", HERE), ("b", "cat", HERE)])
    )
    foo.get_operator(MINE)(made, **FIELDS, run_key="run", strategy="iou_based", iou_band=0.2, hard_negative_ratio=1.0)
    assert names(views.hardest(made, SETTINGS, type="lucky_hit")) == ["a"]
    assert names(views.hardest(made, SETTINGS)) == ["b"]


def test_views_carry_no_ids(dataset: fo.Dataset) -> None:
    stages = json.dumps(
        views.hardest(dataset, SETTINGS, error="background", min_difficulty=0.1)._serialize(), default=str
    )
    assert not any(sample_id in stages for sample_id in dataset.values("id"))
    assert len(stages) < 2000


def test_unknown_names_are_answered_with_the_known(dataset: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="type must be one of false_positive, false_negative, lucky_hit, got 'fp'"):
        views.hardest(dataset, SETTINGS, type="fp")
    with pytest.raises(ValueError, match=r"error must be one of localization, .*, missed, got 'bg'"):
        views.hardest(dataset, SETTINGS, error="bg")
