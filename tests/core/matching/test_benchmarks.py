"""What does not count, against each benchmark's own evaluation, or its documented rule in a few lines.

Compared are the false positives and the misses; where a reference differs by its own choice, the test lists the
difference.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core import Detections, MiningSettings, classify_errors, match_detections, mine
from hnm_core.columns import DIFFICULT, OBJECT
from hnm_core.io import read_lvis
from tests.scenes import FAR, HERE, Tables, high, scene

NAMES = ("cup", "dog", "hat", "pen")


def errors_of(tables: Tables, **settings: Any) -> tuple[set[int], set[int]]:
    """Rows of the false positives and of the misses."""
    chosen = MiningSettings(confidence_threshold=0.0, **settings)
    errors = classify_errors(*tables, match_detections(*tables, chosen), chosen)
    return set(np.flatnonzero(errors.false_positive).tolist()), set(np.flatnonzero(errors.false_negative).tolist())


def iou(a: Any, b: Any, *, by_first: bool = False) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(sides)) if (sides > 0).all() else 0.0
    own, other = (float(np.prod(box[2:] - box[:2])) for box in (a, b))
    return shared / (own if by_first else own + other - shared)


def boxes(rng: np.random.Generator, n: int, side: int = 40) -> Any:
    corner, size = rng.integers(0, side, (n, 2)), rng.integers(4, 16, (n, 2))
    return np.concatenate([corner, corner + size], axis=1)


def near(rng: np.random.Generator, others: Any, n: int) -> Any:
    """Boxes of which most lie near one of the others."""
    moved = others[rng.integers(0, len(others), n)] + rng.integers(-2, 3, (n, 4))
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    return np.where(rng.random((n, 1)) < 0.75, moved, boxes(rng, n))


def unique(table: Detections) -> Detections:
    return table.take(~table.repeated())


# --------------------------------------------------------------------------------------------------------------- LVIS


def lvis_files(folder: Path, seed: int) -> tuple[Path, Path]:
    rng = np.random.default_rng(seed)
    images = [
        {
            **{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100},
            "neg_category_ids": rng.choice(4, 2, replace=False).tolist(),
            "not_exhaustive_category_ids": rng.choice(4, 1).tolist(),
        }
        for i in range(1, 7)
    ]
    annotations: list[dict[str, Any]] = []
    results = []
    for image in images:
        labels = np.repeat(rng.choice([c for c in range(4) if c not in image["neg_category_ids"]]), 5)  # type: ignore
        truth = np.unique(boxes(rng, 5), axis=0)
        for label, (x0, y0, x1, y1) in zip(labels.tolist(), truth.tolist(), strict=False):
            box = {"image_id": image["id"], "category_id": label, "bbox": [x0, y0, x1 - x0, y1 - y0]}
            outline = [[x0, y0, x1, y0, x1, y1]]
            more = {"id": len(annotations) + 1, "area": (x1 - x0) * (y1 - y0), "segmentation": outline}
            annotations.append({**box, **more})
        for x0, y0, x1, y1 in near(rng, truth, 25).tolist():
            box = {"image_id": image["id"], "category_id": int(rng.integers(4)), "bbox": [x0, y0, x1 - x0, y1 - y0]}
            results.append({**box, "score": round(float(rng.random()), 4)})
    categories = [{"id": i, "name": name, "frequency": "f"} for i, name in enumerate(NAMES)]
    paths = folder / "lvis.json", folder / "results.json"
    paths[0].write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    paths[1].write_text(json.dumps(results))
    return paths


@pytest.mark.filterwarnings("ignore")  # of what lvis itself imports
@pytest.mark.parametrize("seed", range(8))
def test_errors_are_those_of_lvis_own_evaluation(tmp_path: Path, seed: int) -> None:
    lvis = pytest.importorskip("lvis")
    paths = lvis_files(tmp_path, seed)
    evaluation = lvis.LVISEval(str(paths[0]), str(paths[1]), "bbox")
    evaluation.params.iou_thrs = np.array([0.5])
    evaluation.params.area_rng = [[0, 1e10]]
    evaluation.evaluate()
    wrong: set[int] = set()
    missed: set[int] = set()
    seen: set[int] = set()
    for found in filter(None, evaluation.eval_imgs):
        ids, took = np.array(found["dt_ids"], dtype=int), found["dt_matches"][0]
        wrong |= set((ids[(took == 0) & ~found["dt_ignore"][0].astype(bool)] - 1).tolist())
        missed |= set((np.array(found["gt_ids"], dtype=int)[found["gt_matches"][0] == 0] - 1).tolist())
        seen |= set(ids.tolist())
    tables = read_lvis(*paths)
    assert errors_of(tables) == (wrong, missed)
    everything = errors_of(tables, ignored=())
    assert len(wrong) < len(everything[0])
    assert len(seen) < len(tables[0])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.filterwarnings("ignore:labels of")  # they are random
def test_error_types_of_lvis_files_are_counted_as_hotcoco_counts_them(tmp_path: Path, seed: int) -> None:
    """TIDE's types where classes are not checked or not labelled exhaustively."""
    hotcoco = pytest.importorskip("hotcoco", reason="hotcoco is the oracle (extra bench)")
    paths = lvis_files(tmp_path, seed)
    truth = hotcoco.COCO(str(paths[0]))
    evaluation = hotcoco.COCOeval(truth, truth.load_res(str(paths[1])), "bbox", lvis_style=True)
    evaluation.params.iouThrs = np.array([0.5])
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.params.maxDets = [10_000]
    evaluation.evaluate()
    theirs = evaluation.tide_errors()["counts"]
    names = {"Cls": "classification", "Loc": "localization", "Both": "both", "Dupe": "duplicate", "Bkg": "background"}
    errors = mine(*read_lvis(*paths), MiningSettings(confidence_threshold=0.0)).report.errors
    assert {name: errors[name]["false_positives"] for name in names.values()} == {
        name: theirs[short] for short, name in names.items()
    }
    assert errors["missed"]["false_negatives"] == theirs["Miss"]


# ----------------------------------------------------------------------------------------------------------------- VOC


def voc(predictions: Detections, truth: Detections, threshold: float) -> tuple[set[int], set[int]]:
    """False positives and misses as in ``VOCevaldet.m``: each detection is judged by its best truth alone."""
    difficult, wrong, taken = truth.kinds() == DIFFICULT, set(), set()
    for p in np.argsort(-predictions.score, kind="stable").tolist():  # type: ignore[operator]
        same = (truth.image == predictions.image[p]) & (truth.label == predictions.label[p])
        best = max(np.flatnonzero(same).tolist(), key=lambda t: iou(predictions.xyxy[p], truth.xyxy[t]), default=None)
        if best is None or iou(predictions.xyxy[p], truth.xyxy[best]) < threshold:
            wrong.add(p)
        elif not difficult[best]:
            wrong |= {p} if best in taken else set()
            taken.add(best)
    return wrong, set(np.flatnonzero(~difficult).tolist()) - taken


def random_tables(seed: int, classes: tuple[str, ...], truths: int = 30, found: int = 120) -> Tables:
    rng = np.random.default_rng(seed)
    images = tuple("abcdef")
    xyxy = boxes(rng, truths)
    truth = Detections(rng.integers(0, 6, truths), xyxy, rng.integers(0, len(classes), truths), None, images, classes)
    truth = unique(truth)
    of = rng.integers(0, len(truth), found)
    moved = truth.xyxy[of] + rng.integers(-2, 3, (found, 4))
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    label = np.where(rng.random(found) < 0.7, truth.label[of], rng.integers(0, len(classes), found))
    score = rng.permutation(found) / found
    return Detections(truth.image[of], moved, label, score, images, classes), truth


@pytest.mark.parametrize("seed", range(20))
def test_errors_are_those_of_vocs_devkit_but_where_its_best_truth_decides(seed: int) -> None:
    predictions, truth = random_tables(seed, ("car", "person"))
    rng = np.random.default_rng(seed)
    truth = replace(truth, kind=np.where(rng.random(len(truth)) < 0.4, DIFFICULT, OBJECT))
    wrong, missed = errors_of((predictions, truth))
    expected = voc(predictions, truth, 0.5)
    same = (predictions.image[:, None] == truth.image) & (predictions.label[:, None] == truth.label)
    overlap = np.array([[iou(p, t) for t in truth.xyxy] for p in predictions.xyxy])
    several = ((overlap >= 0.5) & same).sum(axis=1) > 1
    one_by_one = {p for p in range(len(predictions)) if not several[p]}
    # VOC: a detection whose best truth is taken or difficult is a duplicate, or ignored, though another one is free.
    concerned = np.isin(np.arange(len(truth)), np.flatnonzero(((overlap >= 0.5) & same)[several].any(axis=0)))
    shared = {p for p in one_by_one if (((overlap[p] >= 0.5) & same[p]) & concerned).any()}
    assert {p for p in wrong ^ expected[0] if p in one_by_one - shared} == set()
    assert {t for t in missed ^ expected[1] if not concerned[t]} == set()
    assert len(one_by_one - shared) > 60
    assert len(errors_of((predictions, truth), ignored=())[0]) > len(wrong)


def test_a_free_normal_truth_comes_before_a_better_difficult_one_not_so_in_vocs_devkit() -> None:
    tables = scene([("a", "car", 0.9, HERE)], [("a", "car", high(6)), ("a", "car", high(9))])
    tables = tables[0], replace(tables[1], kind=np.array([OBJECT, DIFFICULT]))
    assert errors_of(tables) == (set(), set())
    assert voc(*tables, 0.5) == (set(), {0})


# --------------------------------------------------------------------------------------------------------------- KITTI


def kitti(predictions: Detections, truth: Detections, name: str, threshold: float) -> tuple[set[int], set[int]]:
    """False positives and misses of one class as in ``evaluate_object.cpp``, all difficulties, all scores.

    Truths take detections, in the order of the file; neighbouring classes take them off; what is left may lie in a
    DontCare region, by intersection over its own area.
    """
    neighbour = {"Car": "Van", "Pedestrian": "Person_sitting"}.get(name)
    class_of = [truth.classes[label] for label in truth.label]
    left = np.flatnonzero(predictions.label == truth.classes.index(name)).tolist()
    missed = set()
    for t, its in enumerate(class_of):
        if its not in (name, neighbour):
            continue
        may = [p for p in left if predictions.image[p] == truth.image[t]]
        may = [p for p in may if iou(predictions.xyxy[p], truth.xyxy[t]) > threshold]
        if may:
            left.remove(max(may, key=lambda p: iou(predictions.xyxy[p], truth.xyxy[t])))
        elif its == name:
            missed.add(t)
    for t in (t for t, its in enumerate(class_of) if its == "DontCare"):
        inside = [p for p in left if predictions.image[p] == truth.image[t]]
        inside = [p for p in inside if iou(predictions.xyxy[p], truth.xyxy[t], by_first=True) > threshold]
        left = [p for p in left if p not in inside]
    return set(left), missed


def far_apart(seed: int, classes: tuple[str, ...], sure: tuple[str, ...]) -> Tables:
    """Truths that lie far from each other, with at most one prediction near each, besides some near none."""
    rng = np.random.default_rng(seed)
    n = 60
    corner = 100 * np.stack([np.arange(n) % 6, np.arange(n) // 6], axis=1)
    size = rng.integers(12, 40, (n, 2))
    label = rng.integers(0, len(classes), n)
    truth = Detections(np.zeros(n, int), np.concatenate([corner, corner + size], axis=1), label, None, "a", classes)
    moved = truth.xyxy + rng.uniform(-5, 5, (n, 4))  # no overlap is the threshold exactly
    far = np.concatenate([corner[:9] + 60, corner[:9] + 80], axis=1)
    named = rng.choice([classes.index(name) for name in sure], n + 9)
    rows = np.concatenate([moved, far])
    return Detections(np.zeros(n + 9, int), rows, named, rng.permutation(n + 9) / (n + 9), "a", classes), truth


KITTI = ("Car", "Van", "Pedestrian", "Person_sitting", "Cyclist", "DontCare")


@pytest.mark.parametrize("seed", range(10))
def test_errors_are_those_of_kittis_devkit(seed: int) -> None:
    evaluated = {"Car": 0.7, "Pedestrian": 0.5, "Cyclist": 0.5}
    predictions, truth = far_apart(seed, KITTI, tuple(evaluated))
    wrong, missed = errors_of((predictions, truth), class_iou=evaluated)
    expected = [kitti(predictions, truth, name, threshold) for name, threshold in evaluated.items()]
    assert wrong == set().union(*(found for found, _ in expected))
    assert missed == set().union(*(lost for _, lost in expected))
    assert len(wrong) < len(errors_of((predictions, truth), class_iou=evaluated, ignored=())[0])


def test_kitti_counts_a_second_car_on_a_van_and_an_overlap_at_the_threshold() -> None:
    """Of its neighbours each takes one detection off; here all, as a difficult truth does. Its > is COCO's ≥ here."""
    tables = scene([("a", "Car", 0.9, HERE), ("a", "Car", 0.8, HERE)], [("a", "Van", HERE), ("a", "DontCare", FAR)])
    assert errors_of(tables) == (set(), set())
    assert kitti(*tables, "Car", 0.7) == ({1}, set())
    tables = scene([("a", "Car", 0.9, high(5))], [("a", "Car", HERE), ("a", "DontCare", FAR)])
    assert errors_of(tables) == (set(), set())
    assert kitti(*tables, "Car", 0.5) == ({0}, {0})


# ------------------------------------------------------------------------------------------------------------- VisDrone


def visdrone(predictions: Detections, truth: Detections) -> tuple[set[int], set[int]]:
    """Rows that ``dropObjectsInIgr.m`` leaves, by a mask of pixels; its class others is not evaluated."""
    label = truth.classes.index("ignored regions")
    kept = []
    for table in (predictions, truth):
        rows = set()
        for row, (x0, y0, x1, y1) in enumerate(table.xyxy.astype(int)):
            mask = np.zeros((200, 200), dtype=bool)
            for a, b, c, d in truth.xyxy[(truth.image == table.image[row]) & (truth.label == label)].astype(int):
                mask[b:d, a:c] = True
            inside = mask[y0:y1, x0:x1].sum() / ((x1 - x0) * (y1 - y0))
            if inside < 0.5 and truth.classes[table.label[row]] not in ("others", "ignored regions"):
                rows.add(row)
        kept.append(rows)
    return kept[0], kept[1]


@pytest.mark.parametrize("seed", range(10))
def test_what_counts_is_what_visdrones_toolkit_leaves(seed: int) -> None:
    predictions, truth = random_tables(seed, ("car", "van", "others", "ignored regions"), truths=24)
    predictions = predictions.take(predictions.label != 3)
    predictions, truth = (
        replace(table, xyxy=table.xyxy + 20) for table in (predictions, truth)
    )  # no box begins outside the mask
    matches = match_detections(predictions, truth)
    kept = visdrone(predictions, truth)
    assert set(np.flatnonzero(~matches.ignored).tolist()) == kept[0]
    assert set(np.flatnonzero(~matches.truth_ignored).tolist()) == kept[1]
    plain = tuple(t.take(np.array(sorted(rows))) for t, rows in zip((predictions, truth), kept, strict=True))
    again = match_detections(plain[0], plain[1], MiningSettings(ignored=()))
    assert (matches.matched >= 0).sum() == (again.matched >= 0).sum() > 0
    assert 0 < len(kept[0]) < len(predictions)
