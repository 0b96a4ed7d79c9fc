"""The engine against others: a matcher of ten lines, pycocotools and tidecv; not one difference is tolerated."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from hnm_core import Detections, MiningSettings, classify_errors, match_detections
from hnm_core.boxes import xywh_to_xyxy, xyxy_to_xywh
from hnm_core.io import read_coco
from hnm_core.taxonomy import ROW_NAMES
from tests.scenes import CROWD, FAR, HERE, Tables, high, patient, random_scene, scene, scenes

IOU_THRESHOLDS = (0.5, 0.75)
SHARED = [
    *((f"{name}/coco/instances_{split}.json", f"{name}/preds/predictions_{split}.json")
      for name in ("bccd", "cards") for split in ("train", "val", "test")),
    *((f"{name}/gt.json", f"{name}/results.json") for name in ("voc100", "coco100")),
]  # fmt: skip


@pytest.fixture(params=SHARED, ids=[truth for truth, _ in SHARED])
def real(request: pytest.FixtureRequest, shared_data: Path) -> Tables:
    truth, predictions = request.param
    return countable(read_coco(shared_data / truth, shared_data / predictions))


def countable(tables: Tables) -> Tables:
    """Without truths that do not count here, and do there: repeated rows and boxes without size."""
    predictions, truth = tables
    sized = (truth.xyxy[:, 2:] > truth.xyxy[:, :2]).all(axis=1)
    truth = truth.take(sized)
    return predictions, truth.take(~truth.repeated())


# ------------------------------------------------------------------------------------------- ten lines of brute force


def brute_force(predictions: Detections, truth: Detections, chosen: MiningSettings) -> tuple[list[int], list[bool]]:
    """Truth row of every prediction (-1 for none), and whether it took a crowd: COCO's words, literally."""
    iou, crowd = all_ious(predictions, truth), truth.is_crowd()
    free, matched, on_crowd = set(range(len(truth))), [-1] * len(predictions), [False] * len(predictions)
    for p in sorted(range(len(predictions)), key=lambda p: -predictions.score[p]):
        may = [t for t in range(len(truth)) if truth.image[t] == predictions.image[p]]
        may = [t for t in may if chosen.class_agnostic or truth.label[t] == predictions.label[p]]
        may = [t for t in may if iou[p][t] >= min(chosen.iou_threshold, 1 - 1e-10)]
        normal = [t for t in may if t in free and not crowd[t]]
        if normal:
            matched[p] = max(normal, key=lambda t: (iou[p][t], t))
            free.discard(matched[p])
        on_crowd[p] = not normal and any(crowd[t] for t in may)
    return matched, on_crowd


def all_ious(predictions: Detections, truth: Detections) -> list[list[float]]:
    def overlap(a: Any, b: Any, crowd: bool) -> float:
        sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
        shared = float(np.prod(sides)) if (sides > 0).all() else 0.0
        own, other = (float(np.prod(box[2:] - box[:2])) for box in (a, b))
        return round(shared / (own if crowd else own + other - shared) * 1e10) / 1e10 if shared else 0.0

    return [[overlap(p, t, c) for t, c in zip(truth.xyxy, truth.is_crowd(), strict=True)] for p in predictions.xyxy]


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("iou_threshold", [0.1, 0.5, 1.0])
@patient
@given(tables=scenes())
def test_matches_are_those_of_brute_force(tables: Tables, iou_threshold: float, class_agnostic: bool) -> None:
    chosen = MiningSettings(iou_threshold=iou_threshold, class_agnostic=class_agnostic)
    tables = countable(tables)
    matches = match_detections(*tables, chosen)
    assert (matches.matched.tolist(), matches.ignored.tolist()) == brute_force(*tables, chosen)


@patient
@given(tables=scenes())
def test_nearest_boxes_are_those_of_brute_force(tables: Tables) -> None:
    predictions, truth = tables = countable(tables)
    matches, iou = match_detections(*tables), np.array(all_ious(*tables)).reshape(len(predictions), len(truth))
    together = predictions.image[:, None] == truth.image[None, :]
    same = predictions.label[:, None] == truth.label[None, :]
    normal = ~truth.is_crowd()[None, :]

    def best(mask: Any, axis: int) -> list[float]:
        return np.where(together & mask, iou, 0.0).max(axis=axis, initial=0.0).tolist()

    assert matches.same_iou.tolist() == best(same & normal, 1)
    assert matches.other_iou.tolist() == best(~same & normal, 1)
    assert matches.iou.tolist() == best(normal, 1)
    assert matches.best_iou.tolist() == best(same & normal, 0)
    for p, t in enumerate(matches.same_row.tolist()):
        assert (t == -1) == (matches.same_iou[p] == 0)
        assert t == -1 or iou[p, t] == matches.same_iou[p]
    scores = np.where((iou >= 0.5) & together & same, np.array(predictions.score)[:, None], 0.0)
    assert matches.best_score.tolist() == scores.max(axis=0, initial=0.0).tolist()
    scores = np.where((iou >= 0.3) & together & same & normal, np.array(predictions.score)[:, None], 0.0)
    assert matches.loose_score.tolist() == scores.max(axis=0, initial=0.0).tolist()


# -------------------------------------------------------------------------------------------------------- pycocotools


def pycocotools_matches(predictions: Detections, truth: Detections, iou_thresholds: Any, **params: Any) -> list[Any]:
    """Per threshold, ``(truth row of every prediction, whether it took a crowd)`` by COCO's own evaluation."""
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    with contextlib.redirect_stdout(io.StringIO()):
        world = coco.COCO()
        world.dataset = {
            "images": [{"id": i} for i in range(len(truth.images))],
            "categories": [{"id": i} for i in range(len(truth.classes))],
            "annotations": [  # ids from 1: pycocotools writes 0 for "no match"
                {
                    "id": i + 1,
                    "image_id": image,
                    "category_id": label,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": c,
                }
                for i, (image, label, box, c) in enumerate(columns(truth, truth.is_crowd().astype(int)))
            ],
        }
        world.createIndex()
        results = [
            {"image_id": image, "category_id": label, "bbox": box, "score": score}
            for image, label, box, score in columns(predictions, predictions.score)
        ]
        found = world.loadRes(results) if results else coco.COCO()
        evaluation = cocoeval.COCOeval(world, found, "bbox")
        evaluation.params.iouThrs = np.array(iou_thresholds)
        evaluation.params.maxDets = [10**6]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        for name, value in params.items():
            setattr(evaluation.params, name, value)
        evaluation.evaluate()
    outcome = [(np.full(len(predictions), -1), np.zeros(len(predictions), bool)) for _ in iou_thresholds]
    for of_image in filter(None, evaluation.evalImgs):
        rows = np.array(of_image["dtIds"], dtype=int) - 1
        for (matched, on_crowd), taken, ignored in zip(
            outcome, of_image["dtMatches"].astype(int), of_image["dtIgnore"].astype(bool), strict=True
        ):
            matched[rows] = np.where(ignored, -1, taken - 1)
            on_crowd[rows] = ignored
    return outcome


def columns(table: Detections, last: Any) -> Any:
    boxes = xyxy_to_xywh(table.xyxy).tolist()
    return zip(table.image.tolist(), table.label.tolist(), boxes, np.asarray(last).tolist(), strict=True)


def assert_same_matches(tables: Tables, expected: tuple[Any, Any], chosen: MiningSettings) -> None:
    matches = match_detections(*tables, chosen)
    assert np.flatnonzero(matches.matched != expected[0]).tolist() == []
    assert np.flatnonzero(matches.ignored != expected[1]).tolist() == []
    took = np.flatnonzero(matches.matched >= 0)
    assert np.array_equal(matches.found_by[matches.matched[took]], took)
    assert np.count_nonzero(matches.found_by >= 0) == len(took)


def test_matches_on_real_detections_are_pycocotools_matches(real: Tables) -> None:
    expected = pycocotools_matches(*real, IOU_THRESHOLDS)
    assert any((matched >= 0).any() for matched, _ in expected)
    for iou_threshold, outcome in zip(IOU_THRESHOLDS, expected, strict=True):
        assert_same_matches(real, outcome, MiningSettings(iou_threshold=iou_threshold))


def test_the_real_sets_hold_what_matters(shared_data: Path) -> None:
    """Crowds that take detections, boxes of zero height: else the parity above would say less."""
    crowded = read_coco(shared_data / "coco100/gt.json", shared_data / "coco100/results.json")
    assert crowded[1].is_crowd().sum() == 9
    assert match_detections(*crowded, MiningSettings(iou_threshold=0.75)).ignored.sum() > 0
    flat, _ = read_coco(
        *(shared_data / "bccd" / name for name in ("coco/instances_val.json", "preds/predictions_val.json"))
    )
    assert np.count_nonzero(flat.xyxy[:, 1] == flat.xyxy[:, 3]) == 90


@pytest.mark.parametrize("seed", range(60))
def test_matches_on_random_scenes_are_pycocotools_matches(seed: int) -> None:
    tables = countable(random_scene(seed, images=6, crowds=0.15, levels=4))
    expected = pycocotools_matches(*tables, IOU_THRESHOLDS)
    agnostic = pycocotools_matches(*tables, IOU_THRESHOLDS, useCats=0)
    for iou_threshold, outcome, outcome_agnostic in zip(IOU_THRESHOLDS, expected, agnostic, strict=True):
        assert_same_matches(tables, outcome, MiningSettings(iou_threshold=iou_threshold))
        chosen = MiningSettings(iou_threshold=iou_threshold, class_agnostic=True)
        assert_same_matches(tables, outcome_agnostic, chosen)


@pytest.mark.parametrize("seed", range(10))
def test_a_threshold_per_class_is_pycocotools_with_one_class_at_a_time(seed: int) -> None:
    tables = countable(random_scene(seed, images=6, crowds=0.15, levels=4))
    first, second = (
        pycocotools_matches(*tables, [iou_threshold], catIds=[label])[0]
        for label, iou_threshold in enumerate((0.3, 0.75))
    )
    of_first = tables[0].label == 0
    expected = tuple(np.where(of_first, a, b) for a, b in zip(first, second, strict=True))
    assert_same_matches(tables, expected, MiningSettings(iou_threshold=0.3, class_iou={"class 1": 0.75}))


def test_decimals_differ_where_an_overlap_is_within_rounding_of_the_threshold() -> None:
    """The one known difference: overlaps are rounded to 10 decimals, pycocotools compares their last bits.

    It shows only where an overlap is within 1e-10 of the threshold or of another overlap: .5 by decimal reckoning is
    .5 here in every unit, there a hair below or above. Whole pixels and dyadic fractions have no such bit to lose.
    """
    mask = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    truth = np.column_stack([rng.integers(0, 80, (300, 2)), rng.integers(1, 20, (300, 1)), 2 * rng.integers(1, 9, 300)])
    found = truth * [1, 1, 1, 0.5]
    scale = np.array([97, 83, 97, 83])  # fractions of an image of 97 x 83 pixels
    theirs = np.array(
        [mask.iou(p[None], t[None], [0])[0, 0] for p, t in zip(found / scale, truth / scale, strict=True)]
    )
    names = [f"{i:03}" for i in range(300)]
    boxes = (xywh_to_xyxy(side / scale) for side in (found, truth))
    tables = scene(
        *(
            [(name, "cat", *extra, tuple(box)) for name, box in zip(names, side, strict=True)]
            for extra, side in zip(((0.9,), ()), boxes, strict=True)
        )
    )
    matches = match_detections(*tables)
    assert (matches.matched >= 0).all()
    assert set(matches.same_iou.tolist()) == {0.5}
    differ = np.flatnonzero((theirs >= 0.5) != (matches.matched >= 0))
    assert 0 < len(differ) < 300
    np.testing.assert_allclose(theirs[differ], 0.5, atol=1e-10, rtol=0)


# ------------------------------------------------------------------------------------------------------------- tidecv

NAMES = {"Cls": "classification", "Loc": "localization", "Both": "both", "Dupe": "duplicate", "Bkg": "background"}


def tide_run(predictions: Detections, truth: Detections, iou_threshold: float = 0.5) -> Any:
    tidecv = pytest.importorskip("tidecv")
    real, found = tidecv.Data("real", max_dets=10**6), tidecv.Data("found", max_dets=10**6)
    for image in range(len(truth.images)):
        for data in (real, found):
            data.add_image(image, str(image))
    for label in range(len(truth.classes)):
        real.add_class(label, str(label))
    for image, label, box, crowd in columns(truth, truth.is_crowd()):
        add = real.add_ignore_region if crowd else real.add_ground_truth
        add(image, label, np.array(box))
    for image, label, box, score in columns(predictions, predictions.score):
        found.add_detection(image, label, score, np.array(box))
    return tidecv.TIDE(pos_threshold=iou_threshold).evaluate(real, found, mode=tidecv.TIDE.BOX)


def tide_names(run: Any, predictions: int) -> tuple[list[str], set[int]]:
    """Error type of every prediction ("" for right or ignored), and the truths to which no error points."""
    errors = [e for e in run.errors if e.short_name != "Miss" and e.pred["used"] is not None]  # None: quirk, see below
    names = dict.fromkeys(range(predictions), "") | {e.pred["_id"]: NAMES[e.short_name] for e in errors}
    pointed_at = {e.gt["_id"] for e in errors if e.short_name in ("Cls", "Loc")}
    return list(names.values()), {t["_id"] for of_class in run.false_negatives.values() for t in of_class} - pointed_at


def own_missed(run: Any) -> set[int]:
    """The truths that TIDE itself calls missed."""
    return {error.gt["_id"] for error in run.errors if error.short_name == "Miss"}


def our_names(predictions: Detections, truth: Detections, iou_threshold: float) -> tuple[list[str], set[int]]:
    chosen = MiningSettings(iou_threshold=iou_threshold, confidence_threshold=0.0)
    errors = classify_errors(predictions, truth, match_detections(predictions, truth, chosen), chosen)
    names = ["" if name in ("true_positive", "ignored") else name for name in row_names(errors.prediction)]
    return names, {row for row, name in enumerate(row_names(errors.truth)) if name == "missed"}


def row_names(codes: Any) -> list[str]:
    return [ROW_NAMES[code] for code in codes]


def confident(tables: Tables, confidence: float = 0.5) -> Tables:
    predictions, truth = tables
    return predictions.take(predictions.score >= confidence), truth


@pytest.mark.parametrize("iou_threshold", IOU_THRESHOLDS)
def test_error_types_on_real_detections_are_those_of_tide(real: Tables, iou_threshold: float) -> None:
    tables = confident(real)
    names, missed = our_names(*tables, iou_threshold)
    expected, expected_missed = tide_names(tide_run(*tables, iou_threshold), len(tables[0]))
    assert names == expected
    # Some cells are labelled twice, nearly. Of such twins TIDE takes the other one: one is missed all the same.
    assert per_image_and_class(tables[1], missed) == per_image_and_class(tables[1], expected_missed)
    assert len(set(names)) > 2


def per_image_and_class(table: Detections, rows: set[int]) -> Counter[tuple[int, int]]:
    return Counter((int(table.image[row]), int(table.label[row])) for row in rows)


def tie_free(tables: Tables) -> Tables:
    """Boxes moved a little, each by amounts of its own, so that no two overlaps are equal."""
    rng = np.random.default_rng(0)

    def moved(table: Detections) -> Detections:
        low, high = table.xyxy[:, :2], table.xyxy[:, 2:]
        low, high = low + rng.uniform(-0.2, 0.2, low.shape), high + rng.uniform(0.2, 0.4, high.shape)
        boxes = np.round(np.concatenate([low, high], axis=1) * 4096) / 4096  # widths survive as corners
        return Detections(
            *(table.image, boxes, table.label, table.score, table.images, table.classes), crowd=table.crowd
        )

    return moved(tables[0]), moved(tables[1])


@pytest.mark.parametrize("seed", range(60))
def test_error_types_on_random_scenes_are_those_of_tide(seed: int) -> None:
    tables = countable(tie_free(random_scene(seed, crowds=0.1, levels=1000)))
    assert our_names(*tables, 0.5) == tide_names(tide_run(*tables), len(tables[0]))


def test_tide_takes_the_earlier_of_equal_truths() -> None:
    """pycocotools takes the later one, and so do we; TIDE's argmax the earlier. Types then follow."""
    predictions = [("a", "cat", 0.9, (0, 0, 10, 10)), ("a", "cat", 0.8, (0, 0, 10, 5))]
    truth = [("a", "cat", (0, 0, 10, 6)), ("a", "cat", (0, 4, 10, 10))]
    tables = scene(predictions, truth)
    assert our_names(*tables, 0.5) == (["", ""], set())  # the second finds the first truth free
    assert tide_names(tide_run(*tables), 2) == (["", "duplicate"], {1})


def test_tide_ignores_only_above_the_threshold() -> None:
    """A prediction that shares exactly half of itself with a crowd: COCO's ≥ ignores it, TIDE's > does not."""
    tables = scene([("a", "cat", 0.9, HERE)], [("a", "cat", high(5), CROWD), ("a", "cat", FAR)])
    assert our_names(*tables, 0.5)[0] == [""]
    assert tide_names(tide_run(*tables), 1)[0] == ["background"]


def test_tide_lets_an_ignored_prediction_excuse_a_miss() -> None:
    """TIDE names errors of ignored predictions as well; one that points at a truth takes it off the missed."""
    tables = scene([("a", "cat", 0.9, HERE)], [("a", "cat", high(4)), ("a", "cat", (0, 0, 10, 20), CROWD)])
    run = tide_run(*tables)
    assert our_names(*tables, 0.5) == tide_names(run, 1) == ([""], {0})
    assert own_missed(run) == set()


def test_tide_takes_its_limit_of_detections_from_the_truth() -> None:
    """Its default is 100 an image, however many the predictions' own Data allows: above, both are given a million."""
    tidecv = pytest.importorskip("tidecv")
    real, found = tidecv.Data("real"), tidecv.Data("found", max_dets=10**6)
    real.add_class(0, "cat")
    real.add_ground_truth(0, 0, np.array([0.0, 0, 10, 10]))
    for i in range(150):
        found.add_detection(0, 0, 0.9, np.array([100.0 + i, 0, 10, 10]))
    run = tidecv.TIDE().evaluate(real, found, mode=tidecv.TIDE.BOX)
    assert sum(error.short_name == "Bkg" for error in run.errors) == 100
