import numpy as np
import pytest

from hnm_core import Detections, MiningSettings, mine
from hnm_core.reporting.html import change_tables
from hnm_core.rounds import compare_rounds, fppi_at_recall

WORLD = {"images": ("a", "b"), "classes": ("cat", "dog")}


def box(i):
    """Boxes far from each other."""
    return [100 * i, 0, 100 * i + 10, 10]


def round_of(predicted, true, **world):
    """A mining of (image, place, label, score) predictions against (image, place, label) truths."""
    world = {**WORLD, **world}
    p, t = np.array(predicted, float).reshape(-1, 4), np.array(true, float).reshape(-1, 3)
    return mine(
        Detections(p[:, 0].astype(int), [box(i) for i in p[:, 1]], p[:, 2].astype(int), p[:, 3], **world),
        Detections(t[:, 0].astype(int), [box(i) for i in t[:, 1]], t[:, 2].astype(int), None, **world),
    )


def test_persistent_new_fixed():
    truth = [(0, 9, 0), (1, 9, 0)]
    before = round_of([(0, 1, 0, 0.9), (0, 2, 0, 0.8), (1, 9, 0, 0.9)], truth)  # two false alarms, one miss in a
    after = round_of([(0, 2, 0, 0.7), (1, 3, 1, 0.8), (0, 9, 0, 0.9)], truth)  # one stays, one new, the miss moves
    changes = compare_rounds(before, after)
    assert changes.prediction_persists.tolist() == [True, False, False]
    assert changes.prediction_fixed.tolist() == [True, False, False]
    assert changes.truth_fixed.tolist() == [True, False]
    counts = changes.as_dict()
    assert counts["false_positives"] == {"persistent": 1, "new": 1, "fixed": 1}
    assert counts["false_negatives"] == {"persistent": 0, "new": 1, "fixed": 1}


def test_settings_that_differ_are_said_before_any_number():
    same = round_of([(0, 1, 0, 0.9)], [])
    assert compare_rounds(same, same).settings == {}
    assert "differ" not in str(compare_rounds(same, same))
    other = mine(same.predictions, same.truth, MiningSettings(iou_threshold=0.7, class_confidence={"cat": 0.3}))
    changes = compare_rounds(same, other)
    assert changes.as_dict()["settings"] == {
        "class_confidence": {"before": {}, "after": {"cat": 0.3}},
        "iou_threshold": {"before": 0.5, "after": 0.7},
    }
    title, why, *settings = str(changes).splitlines()[:4]
    assert title == "Since the previous round"
    assert why == "  Settings differ (thresholds, and what is ignored, decide which errors there are):"
    assert settings == ["    iou_threshold: 0.5 → 0.7", "    class_confidence: – → cat: 0.3"]


def test_same_place_but_another_class_image_or_below_threshold_is_no_same_error():
    before = round_of([(0, 1, 0, 0.9)], [])
    for other in ((0, 1, 1, 0.9), (1, 1, 0, 0.9), (0, 1, 0, 0.4)):
        assert compare_rounds(before, round_of([other], [])).as_dict()["false_positives"]["persistent"] == 0


def test_one_error_is_followed_by_one_only():
    before = round_of([(0, 1, 0, 0.9)], [])
    after = round_of([(0, 1, 0, 0.6), (0, 1, 0, 0.8)], [])
    assert compare_rounds(before, after).prediction_persists.tolist() == [False, True]


def test_rounds_meet_by_name_not_by_number():
    before = round_of([(0, 1, 0, 0.9)], [])
    after = round_of([(1, 1, 1, 0.9)], [], images=("b", "a"), classes=("dog", "cat"))
    assert compare_rounds(before, after).prediction_persists.tolist() == [True]


def test_rounds_of_other_images_are_not_compared():
    before, after = round_of([(0, 1, 0, 0.9)], []), round_of([(0, 1, 0, 0.9)], [], images=("set/a", "set/b"))
    with pytest.raises(
        ValueError,
        match=r"no image in common: the earlier one has 2, first a, the later one 2, first set/a",
    ):
        compare_rounds(before, after)


def test_errors_in_images_of_one_round_alone_are_neither_new_nor_fixed():
    truth = [(0, 9, 0), (1, 9, 0)]  # missed in every image
    before, after = round_of([(0, 1, 0, 0.9)], truth), round_of([(1, 1, 0, 0.9)], truth, images=("b", "c"))
    changes = compare_rounds(before, after)
    counts = changes.as_dict()
    assert counts["false_positives"] == {"persistent": 0, "new": 0, "fixed": 0}
    assert counts["false_negatives"] == {"persistent": 1, "new": 0, "fixed": 0}
    assert counts["images"] == {"both": 1, "before": 1, "after": 1}
    assert "  1 images are compared; not compared: 1 of the earlier, 1 of the later" in str(changes).splitlines()
    assert ("Images", [("compared", "of the earlier round alone", "of the later round alone"), (1, 1, 1)]) in (
        change_tables(changes, None)
    )
    assert "not compared" not in str(compare_rounds(before, before))


def test_every_error_is_counted_once():
    rng = np.random.default_rng(0)

    def some():
        p = np.stack([rng.integers(2, size=40), rng.integers(12, size=40), rng.integers(2, size=40), rng.random(40)], 1)
        return round_of(p, [(0, i, i % 2) for i in range(8)])

    before, after = some(), some()
    counts = compare_rounds(before, after).as_dict()
    for kind in ("false_positives", "false_negatives"):
        one = counts[kind]
        assert one["persistent"] + one["fixed"] == getattr(before.report.counts, kind)
        assert one["persistent"] + one["new"] == getattr(after.report.counts, kind)


def test_fppi_at_recall_by_hand():
    truth = [(0, 8, 0), (0, 9, 0)]
    result = round_of([(0, 1, 0, 0.95), (0, 8, 0, 0.9), (0, 2, 0, 0.8), (1, 3, 0, 0.7), (0, 9, 0, 0.3)], truth)
    assert fppi_at_recall(result, 0.5) == 0.5  # one false alarm above the first hit, two images
    assert fppi_at_recall(result, 1.0) == 1.5
    assert fppi_at_recall(result, 0.0) == 0.0


def test_fppi_at_a_recall_never_reached_is_none():
    assert fppi_at_recall(round_of([(0, 1, 0, 0.9)], [(0, 9, 0)]), 0.5) is None
    assert fppi_at_recall(round_of([(0, 1, 0, 0.9)], []), 0.5) is None


def test_lower_scores_alone_do_not_look_better_at_equal_recall():
    truth = [(0, 9, 0)]
    before = round_of([(0, 1, 0, 0.9), (0, 9, 0, 0.8)], truth)
    after = round_of([(0, 1, 0, 0.45), (0, 9, 0, 0.4)], truth)
    assert after.report.counts.false_positives == 0
    at_recall = compare_rounds(before, after).as_dict()["fppi_at_recall"]
    assert at_recall["before"] == pytest.approx(at_recall["after"]) == 0.5


def test_changes_are_broken_up_by_type_and_class():
    truth = [(0, 9, 0), (1, 8, 1)]
    before = round_of([(0, 1, 0, 0.9), (1, 9, 0, 0.9), (1, 8, 0, 0.9)], truth)  # two background, a class confused
    after = round_of([(0, 1, 0, 0.8), (0, 3, 1, 0.8), (1, 8, 1, 0.9)], truth)
    changes = compare_rounds(before, after)
    counts = changes.as_dict()
    of_errors, of_classes = counts["errors"]["false_positives"], counts["classes"]["false_positives"]
    assert of_errors["background"] == {"persistent": 1, "new": 1, "fixed": 1}
    assert of_errors["classification"] == {"persistent": 0, "new": 0, "fixed": 1}
    assert of_classes == {
        "cat": {"persistent": 1, "new": 0, "fixed": 2},
        "dog": {"persistent": 0, "new": 1, "fixed": 0},
    }
    assert counts["errors"]["false_negatives"]["missed"] == {"persistent": 1, "new": 0, "fixed": 0}
    assert counts["errors"]["false_negatives"]["classification"]["fixed"] == 1
    shown = [line.split() for line in str(changes).splitlines()]
    assert ["background", "1", "1", "1"] in shown
    assert ["cat", "1", "0", "2", "false", "positives"] in shown
