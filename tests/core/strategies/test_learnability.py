"""Learnability: by hand, against a slow oracle that knows no column, and against what each image does to AP."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hnm_core import Detections, HardNegativeMiner, MiningSettings, mine
from hnm_core.engines import Local, Shard, mine_shards
from hnm_core.strategies.learnability import LEARNABILITY
from hnm_core.training.plan import TrainingPlan
from tests.scenes import CROWD, FAR, HERE, Row, Tables, apart, high, random_scene, scene

NAN = float("nan")
ALL: dict[str, Any] = {"strategy": LEARNABILITY, "hard_negative_ratio": 1.0}


def both(
    first: list[Row], second: list[Row], truth: list[Row], **world: Any
) -> tuple[Detections, Detections, Detections]:
    """The first model's predictions, the truth, and the second model's predictions, over one world."""
    names = {"images": "a", "classes": ["cat", "dog"], **world}
    found, true = scene(first, truth, **names)
    return found, true, scene(second, (), **names)[0]


def difficulties(tables: tuple[Detections, Detections, Detections], **chosen: Any) -> tuple[list[float], list[float]]:
    result = mine(*tables[:2], MiningSettings(**{**ALL, **chosen}), second_predictions=tables[2])
    return result.prediction_difficulty.tolist(), result.truth_difficulty.tolist()


def approx(*values: float) -> Any:
    return pytest.approx(list(values), nan_ok=True)


# ------------------------------------------------------------------------------------------------------------ by hand


@pytest.mark.parametrize(
    ("second", "difficulty"),
    [
        ([], 0.9),  # right: it says nothing there
        ([("a", "cat", 0.6, FAR)], 0.0),  # the same false positive
        ([("a", "cat", 0.5, (100, 100, 110, 105))], 0.0),  # at IoU .5 and at the threshold, both inclusive
        ([("a", "cat", 0.6, (100, 100, 110, 104.9))], 0.9),  # at IoU .49
        ([("a", "cat", 0.49, FAR)], 0.9),  # below the confidence threshold
        ([("a", "dog", 0.6, FAR)], 0.9),  # of another class
        ([("a", "cat", 0.6, HERE)], 0.9),  # right elsewhere
    ],
)
def test_a_false_positive_counts_where_the_second_model_has_none_of_its_class(
    second: list[Row], difficulty: float
) -> None:
    tables = both([("a", "cat", 0.9, FAR)], second, [("a", "cat", HERE)])
    assert difficulties(tables)[0] == approx(difficulty)


@pytest.mark.parametrize(
    ("second", "difficulty"),
    [
        ([("a", "cat", 0.6, high(9))], 0.5 * (1 - 0.3)),  # found
        ([], 0.0),  # missed by both
        ([("a", "cat", 0.49, high(9))], 0.0),  # below the confidence threshold
        ([("a", "cat", 0.6, high(4.9))], 0.0),  # too loose
        ([("a", "dog", 0.6, high(9))], 0.0),  # of another class
    ],
)
def test_a_miss_counts_where_the_second_model_finds_the_truth(second: list[Row], difficulty: float) -> None:
    tables = both([("a", "cat", 0.3, HERE)], second, [("a", "cat", HERE)])
    assert difficulties(tables) == (approx(NAN), approx(difficulty))


def test_it_is_the_difficulty_by_confidence_of_every_type_of_error() -> None:
    first = [
        ("a", "cat", 0.8, high(4)),  # localization, u = .4, and the truth is missed
        ("b", "dog", 0.7, HERE),  # classification, and the truth is missed
        ("c", "cat", 0.9, HERE),  # right
        ("c", "cat", 0.6, high(9)),  # duplicate
    ]
    truth = [(image, "cat", HERE) for image in "abc"]
    right = [(image, "cat", 0.9, HERE) for image in "abc"]
    tables = both(first, right, truth, images="abc")
    plain = mine(*tables[:2], MiningSettings(hard_negative_ratio=1.0))
    assert difficulties(tables) == (approx(*plain.prediction_difficulty), approx(*plain.truth_difficulty))
    same = both(first, first, truth, images="abc")
    assert difficulties(same) == (approx(0, 0, NAN, 0), approx(0, 0, NAN))


def test_both_models_are_judged_by_the_same_thresholds_and_rules() -> None:
    alarm = both([("a", "cat", 0.9, FAR)], [("a", "cat", 0.4, FAR)], [])
    assert difficulties(alarm)[0] == approx(0.9)
    assert difficulties(alarm, class_confidence={"cat": 0.4})[0] == approx(0)
    loose = both([], [("a", "cat", 0.6, high(7))], [("a", "cat", HERE)])
    assert difficulties(loose)[1] == approx(0.5)
    assert difficulties(loose, class_iou={"cat": 0.75})[1] == approx(0)
    at_crowd = both(
        [("a", "cat", 0.9, (0, 7, 10, 14))], [("a", "cat", 0.9, (0, 6.5, 10, 12.5))], [("a", "cat", HERE, CROWD)]
    )
    assert difficulties(at_crowd)[0] == approx(0.9)  # most of the second box lies on the crowd: it is ignored
    assert difficulties(at_crowd, ignored=())[0] == approx(0)


def test_class_agnostic_matching_asks_for_no_class() -> None:
    alarm = both([("a", "cat", 0.9, FAR)], [("a", "dog", 0.9, FAR)], [])
    assert difficulties(alarm, class_agnostic=True)[0] == approx(0)
    miss = both([], [("a", "dog", 0.9, HERE)], [("a", "cat", HERE)])
    assert difficulties(miss, class_agnostic=True)[1] == approx(0.5)


def test_what_both_get_wrong_is_not_mined_and_stays_an_error() -> None:
    tables = both([("a", "cat", 0.9, FAR)], [("a", "cat", 0.9, FAR)], [("a", "cat", HERE)])
    result = mine(*tables[:2], MiningSettings(**ALL), second_predictions=tables[2])
    assert not result.prediction_hard.any()
    assert not result.truth_hard.any()
    assert result.weights.tolist() == [1.0]
    assert result.report.as_dict()["statistics"]["false_positives"] == 1
    assert result.report.as_dict()["statistics"]["false_negatives"] == 1
    assert result.report.as_dict()["statistics"]["hard_negatives"] == 0


def test_lucky_hits_have_no_difficulty_here() -> None:
    tables = both([("a", "cat", 0.9, high(5.5))], [], [("a", "cat", HERE)])
    assert difficulties(tables, candidates=("lucky_hit", "false_positive"))[0] == approx(NAN)


# ----------------------------------------------------------------------------------------- a slow oracle on 20 images


def shared(a: Any, b: Any) -> float:
    """IoU of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inner = width * height if width > 0 and height > 0 else 0.0
    return inner / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner) if inner else 0.0


def mistakes(found: list[Row], true: list[Row], threshold: float) -> tuple[list[Row], list[Row]]:
    """The confident predictions of one image that match nothing, and the truths that none of them matches."""
    free, alarms = list(true), []
    for box in sorted((row for row in found if row[1] >= threshold), key=lambda row: -row[1]):
        near = [row for row in free if row[0] == box[0] and shared(row[-1], box[-1]) >= 0.5]
        if near:
            best = max(range(len(near)), key=lambda i: (shared(near[i][-1], box[-1]), i))
            free.remove(near[best])
        else:
            alarms.append(box)
    return alarms, free


def rows_of(table: Detections, image: int) -> list[Row]:
    """Class, score, number and box of what the table has in an image; a truth has no score."""
    at = np.flatnonzero(table.image == image).tolist()
    score = np.ones(len(table)) if table.score is None else table.score
    return [(int(table.label[i]), float(score[i]), i, tuple(table.xyxy[i].tolist())) for i in at]


def learnable(tables: Tables, second: Detections, threshold: float) -> tuple[set[int], set[int]]:
    """Rows of the predictions and of the truths that the first model gets wrong and the second one does not."""
    alarms, misses = set(), set()
    for image in range(len(second.images)):
        first, true, other = (rows_of(table, image) for table in (*tables, second))
        own, theirs = mistakes(first, true, threshold), mistakes(other, true, threshold)
        alarms |= {
            box[2] for box in own[0] if not any(b[0] == box[0] and shared(b[-1], box[-1]) >= 0.5 for b in theirs[0])
        }
        misses |= {box[2] for box in own[1] if box not in theirs[1]}
    return alarms, misses


def like(table: Detections, seed: int, **world: Any) -> Detections:
    """A second model: some boxes of the first, with other scores, and some of its own."""
    rng = np.random.default_rng(seed)
    same, own = table.take(rng.random(len(table)) < 0.5), random_scene(seed, images=len(table.images))[0]
    columns = [np.concatenate([getattr(each, name) for each in (same, own)]) for name in ("image", "xyxy", "label")]
    return Detections(*columns, rng.integers(0, 21, len(columns[0])) / 20, table.images, table.classes)


@pytest.mark.parametrize("seed", range(12))
def test_it_says_what_a_slow_oracle_says(seed: int) -> None:
    predictions, truth = random_scene(seed, images=20, crowds=0.0, levels=20)
    truth = truth.take((truth.xyxy[:, 2:] > truth.xyxy[:, :2]).all(axis=1))
    truth = truth.take(~truth.repeated())
    second = like(predictions, seed + 100)
    result = mine(predictions, truth, MiningSettings(**ALL), second_predictions=second)
    plain = mine(predictions, truth, MiningSettings(hard_negative_ratio=1.0))
    for hard, difficulty, before, rows in zip(
        (result.prediction_hard, result.truth_hard),
        (result.prediction_difficulty, result.truth_difficulty),
        (plain.prediction_difficulty, plain.truth_difficulty),
        learnable((predictions, truth), second, 0.5),
        strict=True,
    ):
        expected = [i for i in sorted(rows) if before[i] > 0]
        assert np.flatnonzero(hard).tolist() == expected
        assert difficulty[expected].tolist() == before[expected].tolist()


def average_precision(found: list[Row], truths: int) -> float:
    """Area below precision over recall, of rows of score and whether it is a hit."""
    hits = np.cumsum([hit for _, hit in sorted(found, reverse=True)])
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    return float((precision * np.diff(hits, prepend=0)).sum() / truths)


KINDS = ("right", "alarm", "miss", "alarm of both", "miss of both")


@pytest.mark.parametrize("seed", range(12))
def test_it_finds_the_images_that_cost_the_first_model_more_average_precision(seed: int) -> None:
    """Of 20 images: AP with and without each, by both models; what both get wrong, as a wrong label, costs both."""
    rng = np.random.default_rng(seed)
    first, second, truth = [], [], []
    for image, kind in enumerate(KINDS * 4):
        name, scores = f"{image:02}", rng.uniform(0.5, 0.99, 2)
        boxes = [(name, "cat", score, apart(i)) for i, score in enumerate(scores)]
        alarm = [(name, "cat", rng.uniform(0.99, 1.0), FAR)]
        wrong = {"alarm": [*boxes, *alarm], "miss": boxes[:1]}.get(kind.removesuffix(" of both"), boxes)
        first += wrong
        second += wrong if kind.endswith("of both") else boxes
        truth += [(name, "cat", apart(i)) for i in range(2)]
    names = [f"{image:02}" for image in range(20)]
    tables = both(first, second, truth, images=names, classes=["cat"])
    result = mine(*tables[:2], MiningSettings(**ALL, use_suspicion=False), second_predictions=tables[2])

    def cost(found: list[Row], without: str) -> float:
        rows = [(name, score, box != FAR) for name, _, score, box in found]
        kept = [row[1:] for row in rows if row[0] != without]
        return average_precision(kept, 38) - average_precision([row[1:] for row in rows], 40)

    more = [cost(first, name) - cost(second, name) for name in names]
    assert (np.array(more) > 0).tolist() == (result.image_scores > 0).tolist()
    assert (result.image_scores > 0).tolist() == [kind in ("alarm", "miss") for kind in KINDS * 4]


# ------------------------------------------------------------------------------------------------- doors and refusals


def test_dicts_image_by_image_find_what_tables_find() -> None:
    found = HardNegativeMiner(**ALL).find_hard_negatives(
        [
            {"bbox": [0, 0, 10, 10], "confidence": 0.9, "class": "cat"},
            {"bbox": [100, 100, 110, 110], "confidence": 0.8, "class": "cat"},
        ],
        [{"bbox": [40, 40, 60, 60], "class": "dog"}],
        "a.jpg",
        [
            {"bbox": [0, 0, 10, 9], "confidence": 0.6, "class": "cat"},
            {"bbox": [40, 40, 60, 60], "confidence": 0.6, "class": "dog"},
            {"bbox": [40, 40, 60, 60], "confidence": 0.6, "class": "cow"},  # a class of its own
        ],
    )
    assert [(each["type"], each["difficulty"]) for each in found] == [("false_positive", 0.8), ("false_negative", 0.5)]
    tables = both([("a", "cat", 0.9, FAR)], [("a", "cat", 0.9, FAR)], [])
    miner = HardNegativeMiner(**ALL)
    assert miner.find_hard_negatives(*tables[:2], second_predictions=tables[2]) == []
    assert miner.find_hard_negatives(*tables[:2], second_predictions=tables[2].take([])) != []
    assert miner.generate_report()["statistics"]["false_positives"] == 2


NEEDS = (
    r"^strategy 'learnability_based' compares with a second model, and none is given: pass its predictions to mine\(\) "
    r"as second_predictions, to `hnm mine` as --second-predictions, or name their field in FiftyOne as second_field; "
    r"rounds during training and shards have none$"
)


def test_without_a_second_model_it_is_refused() -> None:
    tables = scene([("a", "cat", 0.9, FAR)], [("a", "cat", HERE)])
    with pytest.raises(ValueError, match=NEEDS):
        mine(*tables, MiningSettings(**ALL))
    with pytest.raises(ValueError, match=NEEDS):
        HardNegativeMiner(**ALL).find_hard_negatives([], [])
    with Local([lambda: Shard(*tables)]) as engine, pytest.raises(ValueError, match=NEEDS):
        mine_shards(engine, MiningSettings(**ALL))
    with pytest.raises(ValueError, match=NEEDS):
        TrainingPlan(settings=MiningSettings(**ALL)).check(["cat"])


def test_a_second_table_that_does_not_fit_is_refused() -> None:
    tables = scene([("a", "cat", 0.9, FAR)], [("a", "cat", HERE)])
    other = scene([("a", "dog", 0.9, FAR)])[0]
    with pytest.raises(ValueError, match=r"^second_predictions: predictions and ground truth differ in 1 of 1 classes"):
        mine(*tables, MiningSettings(**ALL), second_predictions=other)
    fractions = scene([("a", "cat", 0.9, (0.1, 0.1, 0.2 + i / 50, 0.3)) for i in range(3)])[0]
    true = scene((), [("a", "cat", apart(i)) for i in range(3)], images="a")[1]
    with pytest.raises(ValueError, match="fractions"):
        mine(fractions.take([]), true, MiningSettings(**ALL), second_predictions=fractions)
    with pytest.raises(ValueError, match=r"^second_predictions: prediction 0 has no 'confidence' and no 'class'"):
        HardNegativeMiner(**ALL).find_hard_negatives([], [], None, [{"bbox": [0, 0, 1, 1]}])
    with pytest.raises(ValueError, match="must both be tables or both be lists of dicts"):
        HardNegativeMiner(**ALL).find_hard_negatives([], [], None, other)
