import numpy as np
import pytest

from hnm_core import Detections, MiningSettings, mine
from hnm_core.thresholds import choose_confidence

FAR = [900, 900, 910, 910]


def scene(scores, right, classes=("cat",), label=None):
    """One image per prediction; right ones lie on a truth, every image of a right one holds that truth."""
    n = len(scores)
    label = np.zeros(n, int) if label is None else np.array(label)
    images = [f"{i}" for i in range(n)]
    boxes = np.array([[0, 0, 10, 10] if r else FAR for r in right], dtype=float)
    predictions = Detections(np.arange(n), boxes, label, np.array(scores), images, classes)
    on = np.flatnonzero(right)
    truth = Detections(on, np.tile([0.0, 0, 10, 10], (len(on), 1)), label[on], None, images, classes)
    return predictions, truth


def test_highest_f1_by_hand():
    # at .9: P 1/1, R 1/3, F1 .5; at .8: F1 2·2/(2+3) = .8; at .7: 4/6; at .6: 2·3/(4+3) = .857; at .1: 6/8
    tables = scene([0.9, 0.8, 0.7, 0.6, 0.1], [True, True, False, True, False])
    assert choose_confidence(*tables) == {"cat": 0.6}


def test_target_precision_takes_the_lowest_score_that_is_precise_enough():
    tables = scene([0.9, 0.8, 0.7, 0.6, 0.1], [True, True, False, True, False])
    assert choose_confidence(*tables, target_precision=0.75) == {"cat": 0.6}
    assert choose_confidence(*tables, target_precision=0.9) == {"cat": 0.8}


def test_equal_scores_stand_or_fall_together():
    tables = scene([0.9, 0.5, 0.5], [True, True, False])
    assert choose_confidence(*tables, target_precision=1.0) == {"cat": 0.9}


def test_classes_without_a_good_threshold_keep_the_default():
    tables = scene([0.9, 0.8], [True, False], classes=("cat", "dog", "emu"), label=[0, 1])
    assert choose_confidence(*tables) == {"cat": 0.9}


def test_no_other_threshold_gives_a_higher_f1():
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=300)
    tables = scene(rng.random(300).round(2), rng.random(300) < 0.5, classes=("a", "b", "c"), label=label)
    chosen = choose_confidence(*tables)
    for number, name in enumerate("abc"):
        f1 = [
            mine(*tables, MiningSettings(class_confidence={name: score})).report.classes[name].f1_score
            for score in (chosen[name], *np.unique(tables[0].score[label == number]).tolist())
        ]
        assert f1[0] == max(f1)


@pytest.mark.parametrize("precision", [0.0, 1.5])
def test_impossible_precision(precision):
    with pytest.raises(ValueError, match=rf"target_precision must be in \(0, 1\], got {precision:g}"):
        choose_confidence(*scene([0.9], [True]), target_precision=precision)
