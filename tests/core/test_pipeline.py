"""The whole staircase: tables in, names, difficulties, scores, weights and report out."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hnm_core import Detections, MiningResult, MiningSettings, mine
from hnm_core.counting import report_of
from hnm_core.io import read_coco
from hnm_core.pipeline import find_mistakes
from hnm_core.report import Counts
from tests.scenes import FAR, HERE, Tables, apart, everything_at_once, guides_example, high, random_scene, scene


def test_the_guides_example() -> None:
    result = mine(*guides_example(), MiningSettings(hard_negative_ratio=0.3))
    report = result.report.as_dict()
    assert report["statistics"] == {
        "total_predictions": 1000,
        "hard_negatives": 150,
        "false_positives": 120,
        "false_negatives": 30,
        "true_positives": 800,
    }
    assert {name: round(value, 2) for name, value in report["metrics"].items()} == {
        "precision": 0.87,
        "recall": 0.96,
        "f1_score": 0.91,
        "hard_negative_rate": 0.15,
    }
    assert (report["mining"]["cap"], report["mining"]["left_out"]) == (285, 0)
    assert Counter(result.prediction_error.tolist()) == {"true_positive": 800, "background": 120, "below_threshold": 80}
    assert Counter(result.truth_error.tolist()) == {"true_positive": 800, "missed": 30}


def test_every_name_a_row_can_have() -> None:
    result = mine(*everything_at_once(), MiningSettings(hard_negative_ratio=1))
    image = np.array(result.truth.images)
    assert list(zip(image[result.predictions.image], result.prediction_error, strict=True)) == [
        ("right", "true_positive"),
        ("localization", "localization"),
        ("classification", "classification"),
        ("duplicate", "true_positive"),
        ("duplicate", "duplicate"),
        ("background", "background"),
        ("both", "both"),
        ("below", "below_threshold"),
        ("crowd", "ignored"),
    ]
    assert list(zip(image[result.truth.image], result.truth_error, strict=True)) == [
        ("right", "true_positive"),
        ("localization", "localization"),
        ("classification", "classification"),
        ("duplicate", "true_positive"),
        ("background", "missed"),
        ("both", "missed"),
        ("below", "missed"),
        ("missed", "missed"),
        ("crowd", "ignored"),
    ]
    assert dict(zip(result.truth.images, result.hard_counts.tolist(), strict=True)) == {
        **{"none": 0, "right": 0, "localization": 2, "classification": 2, "duplicate": 1, "background": 2},
        **{"both": 2, "below": 1, "crowd": 0, "missed": 1},
    }


def test_columns_of_a_result_stand_at_their_rows() -> None:
    result = mine(
        *scene(
            [("b", "cat", 0.9, high(4)), ("a", "dog", 0.8, high(9)), ("a", "cat", 0.7, FAR), ("a", "cat", 0.6, HERE)],
            [("a", "cat", HERE), ("b", "cat", HERE)],
            images="ab",
        ),
        MiningSettings(hard_negative_ratio=1),
    )
    assert result.prediction_type.tolist() == ["false_positive"] * 3 + [""]
    assert result.truth_type.tolist() == ["", "false_negative"]
    assert result.prediction_iou.tolist() == pytest.approx([0.4, 0.9, 0, 1])
    assert result.prediction_near.tolist() == [1, 0, -1, 0]
    assert result.truth_iou.tolist() == pytest.approx([1, 0.4])
    assert result.truth_near.tolist() == [3, 0]
    assert result.prediction_difficulty.tolist() == pytest.approx([0.9 * 0.6, 0.8, 0.7, np.nan], nan_ok=True)
    assert result.truth_difficulty.tolist() == pytest.approx([np.nan, 0.5], nan_ok=True)
    assert result.prediction_suspicion.tolist() == pytest.approx([0.5, 0.2, 0.8, np.nan], nan_ok=True)
    assert result.truth_suspicion.tolist() == pytest.approx([np.nan, 0.5], nan_ok=True)
    assert result.hard_counts.tolist() == [2, 2]


def test_near_prefers_the_own_class_among_equals() -> None:
    truth = [("a", "dog", HERE), ("a", "cat", HERE)]
    result = mine(*scene([("a", "cat", 0.9, high(4)), ("a", "dog", 0.9, high(4))], truth))
    assert result.prediction_near.tolist() == [1, 0]


def test_score_of_an_image_is_of_effective_difficulty() -> None:
    """Background .9 at suspicion .8, class confusion .8 at .2, two misses ½ at .2: .18, .64, .4, .4."""
    tables = scene(
        [("a", "cat", 0.9, FAR), ("a", "dog", 0.8, HERE)],
        [("a", "cat", HERE), ("a", "cat", apart(0))],
        images=["a", *"bcdefghij"],
    )
    result = mine(*tables, MiningSettings(hard_negative_ratio=1))
    assert result.truth_error.tolist() == ["classification", "missed"]
    assert result.image_scores[0] == pytest.approx((4 * 0.64 + 2 * 0.4 + 0.4) / 7)  # the fourth doesn't count
    assert result.image_scores[1:].tolist() == [0] * 9
    plain = mine(*tables, MiningSettings(hard_negative_ratio=1, use_suspicion=False))
    assert plain.image_scores[0] == pytest.approx((4 * 0.9 + 2 * 0.8 + 0.5) / 7)
    assert plain.prediction_suspicion.tolist() == result.prediction_suspicion.tolist()  # shown all the same
    assert result.weights.tolist() == [2.0, *[1.0] * 9]
    assert result.hard_images.tolist() == [True, *[False] * 9]


# The cap


def false_alarms(*scores: float) -> Tables:
    """As many false alarms as scores, all in one image, beside one truth that is found."""
    found = [("a", "cat", score, apart(i)) for i, score in enumerate(scores)]
    return scene([*found, ("a", "cat", 0.95, HERE)], [("a", "cat", HERE)])


@pytest.mark.parametrize(
    ("ratio", "cap"),
    [
        (1.0, 5),
        (0.3, 2),  # ⌈1.5⌉
        (0.2, 1),  # 1 to the digit, not 1.0000000000000002
        (0.6, 3),
        (0.0, 1),  # the hardest one is always mined
    ],
)
def test_the_cap_is_a_share_of_confident_predictions_and_misses(ratio: float, cap: int) -> None:
    result = mine(*false_alarms(0.6, 0.9, 0.8, 0.7), MiningSettings(hard_negative_ratio=ratio))
    assert result.report.cap == cap
    assert np.flatnonzero(result.prediction_hard).tolist() == sorted([1, 2, 3, 0][:cap])
    assert result.report.left_out == max(0, 4 - cap)
    assert (result.prediction_difficulty[:4] > 0).all()  # what the cap cut is hard all the same


def test_the_cap_is_not_rounded_up_by_a_float() -> None:
    """.28 · 25 is 7.000000000000001."""
    assert mine(*false_alarms(*np.linspace(0.6, 0.9, 24)), MiningSettings(hard_negative_ratio=0.28)).report.cap == 7


def test_the_cap_counts_confident_predictions_of_all_kinds_and_misses_only() -> None:
    tables = scene(
        [("a", "cat", 0.9, HERE), ("a", "cat", 0.4, apart(0)), ("a", "cat", 0.9, FAR)],
        [("a", "cat", HERE), ("a", "cat", apart(1)), ("a", "cat", apart(2))],
    )
    assert mine(*tables, MiningSettings(hard_negative_ratio=1)).report.cap == 4  # two confident ones, two misses


def test_of_equally_hard_ones_false_positives_come_first_then_score_image_and_place() -> None:
    """All at difficulty .5: which of them the cap leaves depends on nothing else."""
    found = [
        ("b", "cat", 0.5, (0, 0, 4, 4)),
        ("a", "cat", 0.5, (7, 0, 9, 4)),
        ("a", "cat", 0.5, (7, 0, 8, 4)),
        ("a", "cat", 0.5, (6, 2, 9, 4)),
        ("a", "cat", 0.5, (6, 1, 9, 3)),
        ("a", "cat", 1.0, (20, 0, 30, 5)),  # 1 · (1 - .5): as hard, and surer
    ]
    real = [("a", "cat", (20, 0, 30, 10)), ("a", "cat", FAR)]  # the first is localized, no prediction at .5 or more
    expected = [5, 4, 3, 2, 1, 0]
    tables = scene(found, [("a", "cat", (20, 0, 30, 10)), *real[1:]], images=["b", "a"])
    chosen = MiningSettings(iou_threshold=0.6)
    for cap in range(1, 7):
        result = mine(*tables, dataclasses.replace(chosen, hard_negative_ratio=cap / 8))
        assert result.report.cap == cap
        assert np.flatnonzero(result.prediction_hard).tolist() == sorted(expected[:cap])
        assert not result.truth_hard.any()
    result = mine(*tables, dataclasses.replace(chosen, hard_negative_ratio=7 / 8))
    assert (result.prediction_hard.all(), result.truth_hard.tolist()) == (True, [True, False])  # x0 20 before x0 100


def test_a_false_positive_comes_before_an_equally_hard_lucky_hit_that_is_surer() -> None:
    tables = scene(
        [("a", "cat", 0.9, high(7.5)), ("b", "cat", 0.6, high(2.5))], [("a", "cat", HERE), ("b", "cat", HERE)]
    )
    chosen = MiningSettings(
        strategy="iou_based", iou_band=0.5, candidates=("false_positive", "lucky_hit"), hard_negative_ratio=0.1
    )
    result = mine(*tables, chosen)
    assert result.prediction_difficulty.tolist() == [0.5, 0.5]
    assert result.prediction_hard.tolist() == [False, True]


def test_false_positives_fill_the_cap_before_harder_misses() -> None:
    """Two mild false positives and three misses of difficulty ½ for three places."""
    found = [("a", "cat", 0.5, FAR), ("b", "cat", 0.5, high(0.5))]
    real = [(name, "cat", HERE) for name in "bcde"]
    result = mine(*scene(found, real), MiningSettings(hard_negative_ratio=0.5))
    assert result.report.cap == 3
    assert result.prediction_hard.all()
    assert result.truth_hard.sum() == 1
    within = mine(*scene(found, real), MiningSettings(hard_negative_ratio=0.5, max_hard_negatives=1))
    assert (within.report.cap, within.prediction_hard.sum(), within.truth_hard.sum()) == (1, 1, 0)


def test_misses_of_one_corner_are_cut_in_the_same_order_whatever_the_order_of_rows() -> None:
    """Nested truths share a corner: only their size tells them apart, and difficulty is ½ for all."""
    real = [("a", "cat", (0, 0, size, size)) for size in (50, 10, 30, 20, 40)]
    for order in (real, real[::-1], sorted(real)):
        result = mine(*scene([], order), MiningSettings(hard_negative_ratio=0.4))
        assert sorted(result.truth.xyxy[result.truth_hard, 2].tolist()) == [10, 20]


# Weights and what the report says of them


def test_weights_do_not_depend_on_the_order_of_objects_to_the_last_bit() -> None:
    """Two images with the same three mistakes in another order are tied: the same score, the same weight."""
    kinds = [(0.5, apart(1)), (0.7, apart(2)), (0.9, apart(3)), (0.51, apart(4))]
    found = [("a", "cat", *kind) for kind in kinds] + [("b", "cat", *kind) for kind in kinds[::-1]]
    result = mine(*scene(found, images=map(str, range(20))), MiningSettings(hard_negative_ratio=1))
    assert result.image_scores[-2] == result.image_scores[-1] > 0
    assert result.weights[-2] == result.weights[-1] > 1


def test_extra_weight_is_owed_in_proportion_to_the_shares() -> None:
    """One hard image with a class confusion e = .8 · .8 (its truth .5 · .8) and background e = .9 · .2."""
    tables = scene([("a", "cat", 0.9, FAR), ("a", "dog", 0.8, HERE)], [("a", "cat", HERE)], images=["a", *"bcdefghij"])
    weighting = mine(*tables, MiningSettings(hard_negative_ratio=1)).report.weighting
    assert weighting is not None
    parts = {"classification": 4 * 0.64, "background": 0.18, "missed": 2 * 0.4}  # the truth of another class is missed
    total = sum(parts.values())
    assert weighting.extra_by_error == pytest.approx({name: part / total for name, part in parts.items()})
    assert weighting.miss_share == weighting.extra_by_error["missed"] < 0.5
    assert weighting.balance == 1
    assert weighting.hard_images == 1
    assert weighting.mean_weight == pytest.approx(1.1)
    assert weighting.effective_sample_size == pytest.approx(11**2 / (10 * 13))
    assert weighting.class_exposure == pytest.approx({"cat": 2 / 1.1})  # dog has no truth, so no exposure
    assert weighting.background_share == pytest.approx(9 / 11)


def test_the_order_of_rows_does_not_decide_which_of_two_equally_hard_ones_is_owed_more() -> None:
    found = [("a", "cat", 0.9, FAR), ("a", "dog", 0.9, high(4))]  # background, and both
    chosen = MiningSettings(use_suspicion=False, hard_negative_ratio=1)
    worlds = (scene(rows, [("a", "cat", HERE)], classes=["cat", "dog"]) for rows in (found, found[::-1]))
    reports = [mine(*tables, chosen).report for tables in worlds]
    first, second = (report.as_dict()["weights"]["extra_by_error"] for report in reports)
    assert set(first) == {"background", "both", "missed"}
    assert first == pytest.approx(second)


def test_weights_of_background_images_are_capped_and_said() -> None:
    """Images without truth, each with a false alarm, are the only hard ones."""
    found = [(f"{i}", "cat", 0.9, HERE) for i in range(10)]
    real = [(f"{i}", "cat", HERE) for i in range(3, 10)]
    result = mine(
        *scene(found, real, images=map(str, range(10))),
        MiningSettings(hard_negative_ratio=1, background_share=0.1, effective_sample_floor=0),
    )
    assert (result.weights - 1).sum() / result.weights.sum() == pytest.approx(0.1)
    assert result.report.notes == ("extra weight of images without truth scaled by 0.56: at most 10% of all weight",)
    assert " ".join(str(result.report).split()).endswith(f" note: {result.report.notes[0]}")


def test_an_image_of_crowds_only_is_no_background() -> None:
    found = [("a", "cat", 0.9, FAR)]
    real = [("a", "cat", HERE, "crowd")]
    result = mine(*scene(found, real, images=["a", *"bcdefghij"]), MiningSettings(background_share=0))
    assert result.weights[0] == 2


def test_class_repeat_factors_are_asked_for_by_their_threshold() -> None:
    real = [*((f"{i}", "cat", HERE) for i in range(9)), ("9", "dog", HERE)]
    found = [(image, name, 0.9, box) for image, name, box in real]
    tables = scene(found, real)
    assert mine(*tables).weights.tolist() == [1.0] * 10
    chosen = MiningSettings(repeat_threshold=0.4, effective_sample_floor=0)
    assert mine(*tables, chosen).weights.tolist() == pytest.approx([1.0] * 9 + [2.0])  # √(.4 / .1)


# Settings that change what is seen


def test_thresholds_per_class() -> None:
    found = [("a", "cat", 0.6, FAR), ("a", "dog", 0.6, FAR), ("a", "cat", 0.9, high(6)), ("b", "dog", 0.9, high(6))]
    real = [("a", "cat", HERE), ("b", "dog", HERE)]
    chosen = MiningSettings(class_confidence={"dog": 0.7}, class_iou={"cat": 0.75})
    result = mine(*scene(found, real), chosen)
    assert result.prediction_error.tolist() == ["background", "below_threshold", "localization", "true_positive"]
    assert result.truth_error.tolist() == ["localization", "true_positive"]


def test_class_agnostic_matching_forgives_the_class() -> None:
    tables = scene([("a", "dog", 0.9, HERE)], [("a", "cat", HERE)])
    assert mine(*tables).prediction_error.tolist() == ["classification"]
    result = mine(*tables, MiningSettings(class_agnostic=True))
    assert (result.prediction_error.tolist(), result.truth_error.tolist()) == (["true_positive"], ["true_positive"])
    assert result.report.counts.hard_negatives == 0


@pytest.mark.parametrize("candidates", ["false_positive", "false_negative"])
def test_either_kind_of_mistake_alone(candidates: str) -> None:
    result = mine(*everything_at_once(), MiningSettings(candidates=candidates, hard_negative_ratio=1))  # type: ignore
    assert result.prediction_hard.any() == (candidates == "false_positive")
    assert result.truth_hard.any() == (candidates == "false_negative")
    assert result.report.counts.false_negatives == 6  # what is not mined is counted all the same


def test_lucky_hits_are_mined_by_iou_and_counted_apart() -> None:
    found = [("a", "cat", 0.9, high(5.5)), ("b", "cat", 0.9, high(9)), ("c", "cat", 0.9, high(4.5))]
    result = mine(
        *scene(found, [(image, "cat", HERE) for image in "abc"]),
        MiningSettings(strategy="iou_based", hard_negative_ratio=1),
    )
    assert result.prediction_type.tolist() == ["lucky_hit", "", "false_positive"]
    assert result.prediction_difficulty.tolist() == pytest.approx([0.5, np.nan, 0.5], nan_ok=True)
    counts = result.report.counts
    assert (counts.lucky_hits, counts.hard_negatives, counts.true_positives) == (1, 2, 2)
    assert result.report.left_out == 0


# Real sets


@pytest.mark.parametrize("name", ["cards", "bccd"])
def test_weights_of_real_sets_are_mild(shared_data: Path, name: str) -> None:
    folder = shared_data / name
    tables = read_coco(folder / "coco/instances_train.json", folder / "preds/predictions_train.json")
    weighting = mine(*tables).report.weighting
    assert weighting is not None
    assert weighting.mean_weight == pytest.approx(1.15, abs=0.01)  # 30 % of the images between 1 and 2
    assert weighting.effective_sample_size == pytest.approx(0.94, abs=0.01)
    assert weighting.effective_sample_size_of_repeats >= 0.9
    assert all(0.9 < exposure < 1.3 for exposure in weighting.class_exposure.values())


# The pieces agree


@pytest.mark.parametrize("strategy", ["confidence_based", "iou_based", "loss_based"])
@pytest.mark.parametrize("seed", range(10))
def test_the_report_counts_what_the_columns_say(seed: int, strategy: str) -> None:
    result = mine(*random_scene(seed), MiningSettings(strategy=strategy))
    counts = result.report.counts
    false_positive = ~np.isin(result.prediction_error, ["true_positive", "below_threshold", "ignored"])
    false_negative = ~np.isin(result.truth_error, ["true_positive", "ignored"])
    assert counts.total_predictions == len(result.predictions)
    assert counts.counted_predictions == counts.true_positives + counts.false_positives
    assert counts.true_positives == np.count_nonzero(result.prediction_error == "true_positive")
    assert counts.true_positives == np.count_nonzero(result.truth_error == "true_positive")
    assert counts.false_positives == false_positive.sum()
    assert counts.false_negatives == false_negative.sum()
    assert counts.ignored == np.count_nonzero(result.prediction_error == "ignored")
    assert counts.hard_negatives + counts.lucky_hits == result.prediction_hard.sum() + result.truth_hard.sum()
    assert counts.hard_negatives + counts.lucky_hits == result.hard_counts.sum()
    assert sum(c.true_positives for c in result.report.classes.values()) == counts.true_positives
    for name, count in result.report.errors.items():
        assert count["false_positives"] == np.count_nonzero(result.prediction_error == name)
        assert count["false_negatives"] == np.count_nonzero(result.truth_error == name)
        mined = result.prediction_hard[result.prediction_error == name].sum()
        assert count["hard_negatives"] == mined + result.truth_hard[result.truth_error == name].sum()


def test_inputs_are_left_alone() -> None:
    tables = random_scene(3)
    before = [
        {field.name: np.copy(getattr(table, field.name)) for field in dataclasses.fields(Detections)
         if getattr(table, field.name) is not None}
        for table in tables
    ]  # fmt: skip
    mine(*tables)
    for table, columns in zip(tables, before, strict=True):
        for name, column in columns.items():
            assert np.array_equal(getattr(table, name), column)


def test_nothing_at_all() -> None:
    result = mine(*scene())
    assert isinstance(result, MiningResult)
    assert len(result.weights) == len(result.repeats) == len(result.image_scores) == 0
    assert result.report.as_dict()["metrics"]["precision"] == 0


def test_tables_that_do_not_belong_together() -> None:
    predictions, truth = scene([("a", "cat", 0.9, HERE)], [("a", "cat", HERE)])
    with pytest.raises(ValueError, match=r"^the predictions have no score column; are predictions and ground truth"):
        mine(truth, truth)
    with pytest.raises(ValueError, match=r"^the ground truth has a score column; are predictions and ground truth"):
        mine(predictions, predictions)


def test_sizes_are_cocos_in_pixels_and_those_of_a_640_pixel_image_in_fractions() -> None:
    sides = [31, 33, 95, 97]  # small up to 32² pixels, medium up to 96²
    found = [("a", "cat", 0.9, (0, 0, side, side)) for side in sides]
    pixels = scene(found, [("a", "cat", (0, 1000, 20, 1020))])
    fractions = tuple(dataclasses.replace(table, xyxy=table.xyxy / 640) for table in pixels)
    for tables in (pixels, fractions):
        sizes = mine(*tables).report.sizes
        assert [(name, c.false_positives, c.false_negatives) for name, c in sizes.items()] == [
            ("small", 1, 1),
            ("medium", 2, 0),
            ("large", 1, 0),
        ]
        assert sum(sizes.values(), Counts()) == mine(*tables).report.counts


def test_finding_alone_is_the_first_half_of_mining() -> None:
    tables = random_scene(3, images=12)
    mined, found = mine(*tables), find_mistakes(*tables)
    assert found.prediction_type.tolist() == mined.prediction_type.tolist()
    for name in ("prediction_suspicion", "truth_difficulty", "truth_near", "truth_iou", "hard_counts"):
        assert getattr(found, name).tolist() == pytest.approx(getattr(mined, name).tolist(), abs=0, nan_ok=True)
    report = report_of([found])
    assert report.weighting is None
    assert report.as_dict() | {"weights": 0, "notes": 0} == mined.report.as_dict() | {"weights": 0, "notes": 0}
