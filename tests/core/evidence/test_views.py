"""The model asked again: what views see, which views count, and what follows for mistakes and for labels."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hnm_core import Detections, MiningSettings, mine
from hnm_core.evidence.label_suspects import LabelSuspects, suspects_csv, suspects_of, with_suspects
from hnm_core.evidence.views import LEAST_SCORE, lost_in, seen_in, standardised, views_evidence
from hnm_core.labels.stats import logit
from hnm_core.report import MiningReport
from hnm_core.reporting.html import as_markdown
from tests.scenes import FAR, HERE, apart, random_scene, scene

ALL = MiningSettings(hard_negative_ratio=1)


def a_view(tables: tuple[Detections, Detections], rows: list[tuple[int, Any, int, float]]) -> Detections:
    """Detections in a view: image, box, class and score of each."""
    image, boxes, label, score = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])
    return Detections(image, np.reshape(boxes, (-1, 4)), label, score, tables[1].images, tables[1].classes)


def test_a_view_sees_the_best_box_of_each_kind() -> None:
    tables = scene([("a", "cat", 0.9, (0, 0, 10, 10))], [("a", "cat", (0, 0, 10, 10)), ("a", "dog", FAR)])
    view = a_view(
        tables,
        [
            (0, (0, 0, 10, 8), 0, 0.5),  # the best at IoU ≥ .5, and by score × IoU (.4)
            (0, (0, 0, 10, 4), 0, 0.7),  # a better score, at IoU .4 alone: near, and .28 by score × IoU
            (0, (0, 0, 10, 9), 1, 0.2),
            (0, (0, 0, 10, 2), 1, 0.9),  # IoU .2: not even near
        ],
    )
    seen = seen_in(view, tables[1])
    cat, dog = 0, 1
    assert (seen.own[cat], seen.other[cat], seen.near[cat], seen.iou[cat]) == (0.5, 0.2, 0.7, 0.8)
    assert (seen.own[dog], seen.other[dog], seen.near[dog]) == (LEAST_SCORE,) * 3
    assert np.isnan(seen.iou[dog])


@pytest.mark.parametrize("seed", range(5))
def test_what_a_view_sees_is_what_a_loop_over_all_pairs_sees(seed: int) -> None:
    view, boxes = random_scene(seed)
    seen = seen_in(view, boxes)
    for b in range(len(boxes)):
        own, near = LEAST_SCORE, LEAST_SCORE
        for v in np.flatnonzero(view.image == boxes.image[b]):
            low = np.maximum(view.xyxy[v, :2], boxes.xyxy[b, :2])
            high = np.minimum(view.xyxy[v, 2:], boxes.xyxy[b, 2:])
            both = np.prod(np.maximum(high - low, 0))
            areas = [np.prod(box[2:] - box[:2]) for box in (view.xyxy[v], boxes.xyxy[b])]
            iou = round(both / (sum(areas) - both), 10) if both else 0.0
            assert view.score is not None
            own = max(own, view.score[v]) if iou >= 0.5 and view.label[v] == boxes.label[b] else own
            near = max(near, view.score[v]) if iou >= 0.3 else near
        assert (seen.own[b], seen.near[b]) == (own, near)


def test_a_view_in_which_right_predictions_are_lost_does_not_count() -> None:
    alarms = [("a", "cat", 0.9, HERE), ("a", "cat", 0.8, FAR), ("b", "cat", 0.8, FAR)]
    tables = scene(alarms, [("a", "cat", HERE), ("b", "cat", HERE)])
    result = mine(*tables, ALL)
    good = a_view(tables, [(0, HERE, 0, 0.9), (0, FAR, 0, 0.7)])
    blind = a_view(tables, [(1, FAR, 0, 0.9)])
    assert lost_in(result, {"good": good, "blind": blind}) == {
        "good": 0.0,
        "blind": pytest.approx(logit(np.array([0.9]))[0] - logit(np.array([0.01]))[0]),
    }
    told = views_evidence(result, {"good": good, "blind": blind})  # the mistakes: .8 and .7; .8 and .01
    assert list(told.dropped) == ["blind"]
    assert told.notes == ["view 'blind' does not count: right predictions lose 6.8 log odds in it"]
    assert told.views[0].tolist() == pytest.approx([np.nan, 1.0, -1.0], nan_ok=True), "standardised over the mistakes"
    with pytest.raises(ValueError, match=r"lose 6\.8 log odds at least; is it the model that made the predictions\?"):
        views_evidence(result, {"blind": blind})


def test_evidence_of_views_ranks_and_keeps_the_prior_mean() -> None:
    """Before any review: log odds = log odds of the prior + 1.5 · z + a number that keeps the mean share."""
    tables = scene([(f"{i}", "cat", 0.9, apart(i)) for i in range(6)])
    result = mine(*tables, ALL)
    scores = [0.9, 0.7, 0.5, 0.3, 0.1, 0.02]
    view = a_view(tables, [(i, apart(i), 0, score) for i, score in enumerate(scores)])
    told = views_evidence(result, {"one": view})
    suspicion = result.with_evidence({"views": told.views}).prediction_suspicion
    assert (np.diff(suspicion) < 0).all()
    assert suspicion.mean() == pytest.approx(0.8, abs=0.005)
    z = standardised((logit(np.array(scores)) + logit(np.array([0.9]))) / 2)
    assert np.diff(logit(suspicion)) == pytest.approx(1.5 * np.diff(z), abs=1e-6)


def test_views_and_the_own_score_count_by_their_mean() -> None:
    tables = scene([("a", "cat", 0.5, HERE), ("b", "cat", 0.9, HERE)])
    result = mine(*tables, ALL)
    one = a_view(tables, [(0, HERE, 0, 0.5), (1, HERE, 0, 0.9)])
    two = a_view(tables, [(0, HERE, 0, 0.5)])
    told = views_evidence(result, {"one": one, "two": two})  # log odds 0, 0, 0; 2.2, -4.6, 2.2
    assert told.views[0].tolist() == pytest.approx([1.0, -1.0])
    assert told.steady[0].tolist() == pytest.approx([1.0, -1.0]), "IoU 1 and 1; 1 and none"


def test_a_badly_placed_box_that_is_steady_is_likelier_right() -> None:
    """IoU .4 with the label each; in the view the one box is found where it was, the other half as large."""
    boxes = [("a", "cat", 0.9, (0, 0, 10, 10)), ("b", "cat", 0.9, (0, 0, 10, 10))]
    tables = scene(boxes, [("a", "cat", (0, 0, 10, 4)), ("b", "cat", (0, 0, 10, 4))])
    result = mine(*tables, ALL)
    assert result.prediction_error.tolist() == ["localization"] * 2
    view = a_view(tables, [(0, (0, 0, 10, 10), 0, 0.6), (1, (0, 0, 10, 5), 0, 0.6)])
    told = views_evidence(result, {"one": view})
    assert told.views[0].tolist() == pytest.approx([1.0, -1.0])


def test_a_miss_is_as_suspect_as_the_way_in_which_its_label_is_likeliest_wrong() -> None:
    tables = scene([], [("a", "cat", HERE), ("b", "cat", HERE), ("c", "cat", HERE), ("c", "dog", FAR)])
    result = mine(*tables, ALL)
    # a is seen where it is; b is seen as a dog; at c nothing is seen
    view = a_view(tables, [(0, HERE, 0, 0.4), (1, HERE, 1, 0.4), (2, FAR, 1, 0.4)])
    seen, other, nothing, dog = views_evidence(result, {"one": view}).views[1].tolist()
    assert seen == pytest.approx(dog)
    assert min(other, nothing) > seen
    suspicion = result.with_evidence({"views": views_evidence(result, {"one": view}).views}).truth_suspicion
    assert suspicion[1:3].min() > 0.2 > suspicion[0]


def test_labels_are_suspect_in_three_ways() -> None:
    own, other = np.array([[0.9, 0.1, 0.01], [0.8, 0.2, 0.01]]), np.array([[0.1, 0.6, 0.01], [0.2, 0.6, 0.01]])
    iou = np.array([[0.9, 0.5, np.nan], [0.7, np.nan, np.nan]])
    suspects = suspects_of(own, other, np.maximum(own, other), iou, np.array([False, False, False]))
    assert suspects.wrong_label.tolist() == pytest.approx([-0.7, 0.45, 0.0])
    assert suspects.wrong_box.tolist() == pytest.approx([0.1, 0.5, np.nan], nan_ok=True)
    assert suspects.bogus_label.argmax() == 2
    assert suspects.order().tolist() == [1, 2, 0]
    ignored = suspects_of(own, other, np.maximum(own, other), iou, np.array([True, True, True]))
    assert ignored.order().tolist() == []


def test_the_table_of_suspects_begins_with_the_worst_and_leaves_unknown_numbers_empty() -> None:
    tables = scene([], [("=a", "cat", HERE), ("b", "cat", FAR)])
    column = np.array([[0.5, 0.01]])
    suspects = suspects_of(column, column, column, np.array([[0.9, np.nan]]), np.zeros(2, dtype=bool))
    head, first, second = suspects_csv(tables[1], suspects).splitlines()
    assert head == "image,class,x0,y0,x1,y1,unit,wrong_label,wrong_box,bogus_label"
    assert (first.startswith("'=a,cat,"), first.split(",")[-2:]) == (True, ["0.1", "0.0"])
    assert (second.startswith("b,cat,"), second.split(",")[-3:]) == (True, ["0.0", "", "4.5951"])


def test_no_boxes_are_no_evidence() -> None:
    world = {"images": ["a"], "classes": ["cat"]}
    none = Detections([], np.zeros((0, 4)), [], [], **world)
    result = mine(none, Detections([], np.zeros((0, 4)), [], None, **world))
    told = views_evidence(result, {"one": none})
    assert [len(side) for side in told.views] == [0, 0]
    assert told.suspects.order().tolist() == []
    assert result.with_evidence({"views": told.views}).weights.tolist() == [1.0]


def test_what_contradicts_a_label_follows_from_the_thresholds() -> None:
    columns = [0.0, 0.1, -0.4], [0.5, 0.51, np.nan], [0.0, 0.01, -3.0]
    suspects = LabelSuspects(*map(np.array, columns))
    assert suspects.contradicted(MiningSettings()) == {"wrong_label": 1, "wrong_box": 1, "bogus_label": 1}
    strict = MiningSettings(iou_threshold=0.75, confidence_threshold=0.9)
    assert suspects.contradicted(strict) == {"wrong_label": 1, "wrong_box": 2, "bogus_label": 2}


def test_the_report_says_how_many_labels_are_contradicted_in_every_format() -> None:
    tables = scene([("a", "cat", 0.9, HERE)], [("a", "cat", HERE), ("a", "cat", FAR)])
    suspects = LabelSuspects(np.array([0.5, -1.0]), np.array([0.0, np.nan]), np.array([-2.0, 3.0]))
    report = with_suspects(mine(*tables), suspects).report
    assert report.label_suspects == {"labels": 2, "wrong_label": 1, "wrong_box": 0, "bogus_label": 1}
    said = "contradicts some of 2 labels: 1 of another class, 0 in another place, 1 on nothing"
    assert any(said in note for note in report.as_dict()["notes"])
    assert said in " ".join(str(report).split())
    assert "| on nothing | 1 | 50.0 % |" in as_markdown(report)
    assert MiningReport.from_dict(json.loads(json.dumps(report.as_dict()))) == report
    assert (report + report).label_suspects == {"labels": 4, "wrong_label": 2, "wrong_box": 0, "bogus_label": 2}
    assert (report + mine(*tables).report).label_suspects == report.label_suspects
