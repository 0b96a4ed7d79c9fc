"""The guide's face: its call, its dicts, its report, its weights."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hnm_core
from hnm_core import Detections, HardNegativeMiner, MiningReport, MiningSettings, calculate_sample_weights, mine
from hnm_core.io import read_records
from hnm_core.miner import COUNTED_AT_ONCE, FEW_BOXES
from tests.scenes import Tables, everything_at_once, guides_example, random_scene, scene

Image = pytest.importorskip("PIL.Image")

Record = dict[str, Any]

CAT = {"bbox": [0, 0, 10, 10], "confidence": 0.8, "class": "cat"}
THERE = {"bbox": [50, 50, 60, 60], "class": "cat"}


def records(table: Detections, image: int) -> list[Record]:
    """The rows of one image as the guide's dicts."""
    score = [{}] * len(table) if table.score is None else [{"confidence": s} for s in table.score.tolist()]
    return [
        {"bbox": table.xyxy[row].tolist(), "class": table.classes[table.label[row]], **score[row]}
        | ({"crowd": True} if table.is_crowd()[row] else {})
        for row in np.flatnonzero(table.image == image)
    ]


def image_by_image(miner: HardNegativeMiner, tables: Tables) -> list[Record]:
    predictions, truth = tables
    found = []
    for i, name in enumerate(truth.images):
        found += miner.find_hard_negatives(records(predictions, i), records(truth, i), image_path=name)
    return found


def test_the_guides_example_image_by_image_and_all_at_once() -> None:
    statistics = {
        "total_predictions": 1000,
        "hard_negatives": 150,
        "false_positives": 120,
        "false_negatives": 30,
        "true_positives": 800,
    }
    metrics = {"precision": 0.87, "recall": 0.96, "f1_score": 0.91, "hard_negative_rate": 0.15}
    tables = guides_example()
    single = HardNegativeMiner(confidence_threshold=0.5, iou_threshold=0.5, hard_negative_ratio=0.3)
    assert len(image_by_image(single, tables)) == 150
    whole = HardNegativeMiner(confidence_threshold=0.5, iou_threshold=0.5, hard_negative_ratio=0.3)
    assert len(whole.find_hard_negatives(*tables)) == 150
    for report in (single.generate_report(), whole.generate_report()):
        assert report["statistics"] == statistics
        assert {name: round(value, 2) for name, value in report["metrics"].items()} == metrics
        assert report["mining"]["left_out"] == 0
    assert whole.generate_report()["mining"]["cap"] == 285


def test_a_false_positive_as_a_dict() -> None:
    near = {"bbox": [0, 0, 10, 40], "class": "cat"}
    (found,) = HardNegativeMiner(candidates="false_positive").find_hard_negatives([CAT], [THERE, near], "street.jpg")
    assert found == {
        "type": "false_positive",
        "prediction": CAT,
        "ground_truth": near,
        "iou": 0.25,
        "confidence": 0.8,
        "image_path": "street.jpg",
        "error": "localization",
        "difficulty": pytest.approx(0.8 * 0.75),
        "suspicion": 0.5,
    }
    assert found["prediction"] is CAT  # the caller's own, further keys and all
    assert found["ground_truth"] is near


def test_a_miss_as_a_dict() -> None:
    unsure = {**CAT, "bbox": [50, 50, 60, 56], "confidence": 0.2}
    (found,) = HardNegativeMiner().find_hard_negatives([unsure], [THERE], "street.jpg")
    assert found == {
        "type": "false_negative",
        "prediction": unsure,  # the nearest of its class
        "ground_truth": THERE,
        "iou": 0.6,
        "confidence": 0.2,
        "image_path": "street.jpg",
        "error": "missed",
        "difficulty": pytest.approx(0.4),
        "suspicion": 0.2,
    }


def test_where_nothing_is_near_the_other_side_is_none() -> None:
    miner = HardNegativeMiner(hard_negative_ratio=1)
    false_positive, miss = miner.find_hard_negatives([CAT], [THERE])
    assert (false_positive["ground_truth"], false_positive["iou"], false_positive["image_path"]) == (None, 0.0, None)
    assert (miss["prediction"], miss["iou"], miss["confidence"]) == (None, 0.0, 0.0)


def test_a_lucky_hit_as_a_dict() -> None:
    prediction, truth = {**CAT, "bbox": [0, 0, 10, 5.5]}, {"bbox": [0, 0, 10, 10], "class": "cat"}
    (found,) = HardNegativeMiner(strategy="iou_based").find_hard_negatives([prediction], [truth])
    assert (found["type"], found["error"], found["suspicion"]) == ("lucky_hit", "true_positive", 0.0)
    assert found["ground_truth"] is truth


def test_hardest_first() -> None:
    found = HardNegativeMiner(hard_negative_ratio=1).find_hard_negatives(*everything_at_once())
    difficulty = [f["difficulty"] for f in found]
    assert difficulty == sorted(difficulty, reverse=True)
    ties = [f["type"] for f in found if f["difficulty"] == 0.5]
    assert ties == sorted(ties, key=["false_positive", "false_negative"].index)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("strategy", ["confidence_based", "iou_based", "loss_based"])
def test_dicts_image_by_image_find_what_tables_find(seed: int, strategy: str) -> None:
    tables = random_scene(seed)
    single = HardNegativeMiner(strategy=strategy, hard_negative_ratio=1)
    whole = HardNegativeMiner(strategy=strategy, hard_negative_ratio=1)

    def key(found: Record) -> str:
        return json.dumps(
            {**found, "prediction": plain(found["prediction"]), "ground_truth": plain(found["ground_truth"])}
        )

    def plain(record: Record | None) -> Any:
        return record and [record["bbox"], record["class"], record.get("confidence")]

    assert sorted(map(key, image_by_image(single, tables))) == sorted(map(key, whole.find_hard_negatives(*tables)))
    for part in ("statistics", "metrics", "rates", "errors"):
        assert single.generate_report()[part] == whole.generate_report()[part]


def test_what_tables_find_is_what_mine_finds() -> None:
    tables = random_scene(4)
    result = mine(*tables)
    found = HardNegativeMiner().find_hard_negatives(*tables)
    assert len(found) == result.hard_counts.sum()
    assert sorted(f["difficulty"] for f in found) == sorted(
        [
            *result.prediction_difficulty[result.prediction_hard].tolist(),
            *result.truth_difficulty[result.truth_hard].tolist(),
        ]
    )
    assert {f["image_path"] for f in found} == {
        name for name, count in zip(result.truth.images, result.hard_counts, strict=True) if count
    }


def test_calls_add_up_and_each_miner_keeps_its_own_account() -> None:
    miner, other = HardNegativeMiner(), HardNegativeMiner()
    for _ in range(3):
        miner.find_hard_negatives([CAT], [THERE])
    assert miner.generate_report()["statistics"] == {
        **{"total_predictions": 3, "hard_negatives": 3, "false_positives": 3, "false_negatives": 3},
        "true_positives": 0,
    }
    assert miner.generate_report()["mining"] | {"expected_label_errors": 0} == {
        **{"images": 3, "counted_predictions": 3, "ignored": 0, "lucky_hits": 0},
        **{"candidates": 6, "cap": 3, "left_out": 3},
        **{
            "expected_label_errors": 0,
            "expected_label_errors_interval": None,
            "review_count": 0,
            "reviewed": {},
            "evidence": {},
        },
        "suspicion_used": True,
    }
    assert other.generate_report()["statistics"]["total_predictions"] == 0
    assert other.generate_report()["metrics"]["precision"] == 0


@pytest.mark.parametrize("strategy", ["confidence_based", "iou_based"])
def test_whenever_the_report_is_asked_for_it_is_the_sum_to_the_last_bit(strategy: str) -> None:
    """Images are counted many at once: here in portions of one, of 256 and less, with boxes in pixels and fractions."""
    settings = {"strategy": strategy, "hard_negative_ratio": 0.7, "max_per_class": 2}
    asked, unasked = HardNegativeMiner(**settings), HardNegativeMiner(**settings)
    added = MiningReport()
    for seed in range(2 * COUNTED_AT_ONCE // 5 + 1):
        tables = random_scene(seed, classes=1 + seed % 3)
        if seed % 4 == 0:
            tables = tuple(dataclasses.replace(table, xyxy=table.xyxy / 100) for table in tables)
        for i, name in enumerate(tables[1].images):
            sides = records(tables[0], i), records(tables[1], i)
            assert asked.find_hard_negatives(*sides, name) == unasked.find_hard_negatives(*sides, name)
            alone = mine(*read_records(*sides), asked.settings).report
            notes = tuple(note for note in alone.notes if "candidates" in note)  # others speak of weights
            added = added + dataclasses.replace(alone, weighting=None, notes=notes)
            assert asked.report.images == added.images
    reports = [json.dumps(report) for report in (asked.generate_report(), unasked.generate_report(), added.as_dict())]
    assert reports[0] == reports[1] == reports[2]
    assert len(asked.report.notes) > 1
    assert len(asked.report.classes) == 3
    assert all(count.hard_negatives for count in list(asked.report.sizes.values())[:2])


def test_an_image_of_many_boxes_is_counted_at_once_and_an_account_can_begin_anew() -> None:
    miner = HardNegativeMiner()
    miner.find_hard_negatives([CAT] * (FEW_BOXES + 1), [])
    assert not miner._uncounted
    miner.find_hard_negatives([CAT], [])
    assert len(miner._uncounted) == 1
    assert miner.report.images == 2
    miner.find_hard_negatives([CAT], [])
    miner.report = MiningReport()
    assert miner.generate_report() == HardNegativeMiner().generate_report()


def test_a_call_that_fails_is_not_counted() -> None:
    miner = HardNegativeMiner()
    with pytest.raises(ValueError, match=r"^prediction 0 has no 'confidence'"):
        miner.find_hard_negatives([THERE], [])
    assert miner.generate_report()["mining"]["images"] == 0


def test_thresholds_of_classes_that_an_image_does_not_show() -> None:
    """Classes come from the image's own dicts; that one has no dog is no mistake in the settings."""
    miner = HardNegativeMiner(class_confidence={"dog": 0.9, "cat": 0.85}, class_iou={"cow": 0.75})
    assert [f["type"] for f in miner.find_hard_negatives([CAT], [THERE])] == ["false_negative"]
    assert miner.find_hard_negatives([], []) == []


def test_class_numbers_and_names_meet() -> None:
    miner = HardNegativeMiner()
    assert miner.find_hard_negatives([{**CAT, "class": 3}], [{"bbox": CAT["bbox"], "class": "3"}]) == []


def test_empty_images() -> None:
    miner = HardNegativeMiner()
    assert miner.find_hard_negatives([], []) == []
    assert [f["type"] for f in miner.find_hard_negatives([], [THERE])] == ["false_negative"]
    assert [f["type"] for f in miner.find_hard_negatives([CAT], [])] == ["false_positive"]
    assert miner.generate_report()["mining"]["images"] == 3


def test_tables_and_dicts_do_not_mix() -> None:
    predictions, _ = scene([("a", "cat", 0.9, (0, 0, 1, 1))])
    with pytest.raises(
        ValueError, match=r"^predictions and ground_truth must both be tables or both be lists of dicts$"
    ):
        HardNegativeMiner().find_hard_negatives(predictions, [])


def test_errors_name_the_image() -> None:
    upside_down = {**CAT, "bbox": [5, 5, 2, 2]}
    with pytest.raises(ValueError, match=r"first at row 0 \(image 'street\.jpg'\): \[5\.0, 5\.0, 2\.0, 2\.0\]"):
        HardNegativeMiner().find_hard_negatives([upside_down], [], "street.jpg")


def test_a_subclass_may_find_its_own() -> None:
    class OnlyLarge(HardNegativeMiner):
        def find_hard_negatives(self, predictions: Any, ground_truth: Any, image_path: Any = None) -> list[Record]:
            found = super().find_hard_negatives(predictions, ground_truth, image_path)
            return [f for f in found if f["type"] == "false_positive"]

    found = OnlyLarge(hard_negative_ratio=1).find_hard_negatives([CAT], [THERE], "a")
    assert [f["type"] for f in found] == ["false_positive"]
    assert calculate_sample_weights(found, images=["a", *"bcdefghij"]).tolist() == [2.0, *[1.0] * 9]


# Saving


@pytest.mark.parametrize("folder", [5, None, "", True, ["kept"]])
def test_samples_need_the_path_of_a_folder(folder: Any) -> None:
    with pytest.raises(ValueError, match=f"^output_dir must be the path of a folder, got {re.escape(repr(folder))}$"):
        HardNegativeMiner(save_samples=True, output_dir=folder)


def test_hard_images_are_saved_with_what_was_found(tmp_path: Path) -> None:
    for name in ("hard.png", "easy.png"):
        Image.new("RGB", (64, 64)).save(tmp_path / name)
    miner = HardNegativeMiner(save_samples=True, output_dir=str(tmp_path / "kept"))
    found = miner.find_hard_negatives([CAT], [THERE], str(tmp_path / "hard.png"))
    miner.find_hard_negatives([CAT], [{"bbox": CAT["bbox"], "class": "cat"}], str(tmp_path / "easy.png"))
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        *("hard.png", "hard.png.hard.jpg", "hard.png.json", "index.html")
    ]
    assert json.loads((tmp_path / "kept" / "hard.png.json").read_text()) == {
        **{"image_path": str(tmp_path / "hard.png"), "hard_negatives": found},
        **{"ground_truth": [THERE], "predictions": [CAT], "unit": "pixels"},
    }


def test_tables_are_saved_by_their_image_keys(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for name in names:
        Image.new("RGB", (64, 64)).save(name)
    tables = scene([(name, "cat", 0.9, (0, 0, 1, 1)) for name in names])
    HardNegativeMiner(save_samples=True, output_dir=str(tmp_path / "kept"), hard_negative_ratio=1).find_hard_negatives(
        *tables
    )
    assert len(list((tmp_path / "kept").iterdir())) == 7


def test_what_cannot_be_saved_is_found_and_counted_all_the_same(tmp_path: Path) -> None:
    miner = HardNegativeMiner(save_samples=True, output_dir=str(tmp_path / "kept"))
    assert miner.find_hard_negatives([], []) == []
    message = r"^a hard sample is not saved: its image is not known; give find_hard_negatives\(\.\.\., image_path="
    with pytest.warns(UserWarning, match=message):
        assert len(miner.find_hard_negatives([CAT], [])) == 1
    assert miner.generate_report()["mining"]["images"] == 2
    assert not (tmp_path / "kept").exists()


def test_an_image_that_is_not_there_is_an_error_and_not_counted(tmp_path: Path) -> None:
    miner = HardNegativeMiner(save_samples=True, output_dir=str(tmp_path / "kept"))
    with pytest.raises(FileNotFoundError, match=r"^cannot save the hard sample gone\.jpg: no such file$"):
        miner.find_hard_negatives([CAT], [], "gone.jpg")
    assert miner.generate_report()["mining"]["images"] == 0


# Weights


def test_weights_of_a_result_are_its_own() -> None:
    result = mine(*random_scene(1, images=12))
    assert calculate_sample_weights(result) is result.weights


@pytest.mark.parametrize("use_suspicion", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_weights_of_dicts_are_those_of_the_result(seed: int, use_suspicion: bool) -> None:
    """But for the share of images without truth, which dicts cannot tell; nothing is cut, since dicts cap per call."""
    tables = random_scene(seed, images=25)
    settings = MiningSettings(background_share=1, hard_negative_ratio=1, use_suspicion=use_suspicion)
    miner = HardNegativeMiner(**settings.as_dict())
    found = image_by_image(miner, tables)
    weights = calculate_sample_weights(found, images=tables[1].images, settings=settings)
    assert weights.tolist() == mine(*tables, settings).weights.tolist()


def test_weights_do_not_depend_on_the_order_of_images_or_dicts() -> None:
    tables = random_scene(2, images=12)
    found = HardNegativeMiner().find_hard_negatives(*tables)
    images = list(tables[1].images)
    weights = dict(zip(images, calculate_sample_weights(found, images=images), strict=True))
    again = calculate_sample_weights(found[::-1], images=images[::-1])
    assert dict(zip(images[::-1], again, strict=True)) == weights


def test_nothing_found_weighs_nothing() -> None:
    assert calculate_sample_weights([], images=["a", "b"]).tolist() == [1, 1]
    assert calculate_sample_weights([], images=[]).tolist() == []


def test_dicts_of_others_need_no_suspicion() -> None:
    weights = calculate_sample_weights([{"image_path": "b", "difficulty": 0.9}], images=list("abcdefghij"))
    assert weights.tolist() == [1, 2, *[1] * 8]


@pytest.mark.parametrize(
    ("found", "images", "message"),
    [
        (
            [],
            None,
            "a list of hard negatives does not contain the images without errors; give all images of the dataset "
            "in its order: calculate_sample_weights(found, images=[...])",
        ),
        (
            [{"image_path": "a", "difficulty": 1}, {"image_path": None, "difficulty": 1}],
            ["a", "b"],
            "1 of 2 hard negatives are in images that are not among the 2 given, first None; were they found with "
            "image_path=?",
        ),
        ([], ["a", "b", "a"], "1 of the 3 images are named more than once"),
        ([], "abc", "images are a str, expected a list"),
        ([], {"a": 1}, "images are a dict, expected a list"),
        ([], 5, "images are a int, expected a list"),
        ([], ["a", []], "1 of 2 images are no names, first number 1: []"),
        (None, ["a"], "hard negatives are a NoneType, expected a list"),
        ({"image_path": "a"}, ["a"], "hard negatives are a dict, expected a list"),
        (["a"], ["a"], "hard negative 0 is 'a', expected a dict with 'image_path' and 'difficulty'"),
        (
            [{"image_path": ["a"], "difficulty": 1}],
            ["a"],
            "hard negative 0 is {'image_path': ['a'], 'difficulty': 1}, expected a dict with 'image_path' and "
            "'difficulty'",
        ),
        (
            [{"difficulty": 1}],
            ["a"],
            "1 of 1 hard negatives are in images that are not among the 1 given, first None; were they found with "
            "image_path=?",
        ),
        *(
            (
                [
                    {"image_path": "a", "difficulty": 1, "suspicion": 0.5},
                    {"image_path": "a", "difficulty": 1, key: value},
                ],
                ["a"],
                f"1 of 2 hard negatives have no {key!r} in [0, 1], first number 1; your own find_hard_negatives must "
                f"return it",
            )
            for key in ("difficulty", "suspicion")
            for value in (float("nan"), -0.1, 1.1, True, "0.5", None)
        ),
        (
            [{"image_path": "a", "difficulty": 1}, {"image_path": "a", "confidence": 0.9}],
            ["a"],
            "1 of 2 hard negatives have no 'difficulty' in [0, 1], first number 1; your "
            "own find_hard_negatives must return it",
        ),
    ],
)
def test_weights_that_cannot_be(found: Any, images: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^") as error:
        calculate_sample_weights(found, images=images)
    assert str(error.value) == message


def test_the_public_names() -> None:
    for name in hnm_core.__all__:
        assert hasattr(hnm_core, name)
