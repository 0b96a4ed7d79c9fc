"""Strategies and miners of one's own, as the documents show them: by registration, by name, by subclass."""

import sys
import textwrap

import numpy as np
import pytest

from hnm_core import HardNegativeMiner, MiningSettings, mine
from hnm_core.strategies import Difficulty, find_strategy, forget_strategy, register_strategy
from tests.scenes import FAR, HERE, scene

TABLES = scene(
    [("a.jpg", "cat", 0.9, FAR), ("a.jpg", "dog", 0.6, FAR), ("b.jpg", "cat", 0.8, HERE), ("b.jpg", "dog", 0.7, HERE)],
    [("b.jpg", "cat", HERE), ("c.jpg", "dog", HERE)],
)


class CatMiner(HardNegativeMiner):
    """Cares for cats alone."""

    def find_hard_negatives(self, predictions, ground_truth, image_path=None):
        found = super().find_hard_negatives(predictions, ground_truth, image_path)
        return [f for f in found if (f["prediction"] or f["ground_truth"])["class"] == "cat"]


class PlainMiner(HardNegativeMiner):
    """The guide's skeleton: dicts of its own, without our keys; every prediction is bad."""

    def find_hard_negatives(self, predictions, ground_truth, image_path=None):
        return [{"type": "false_positive", "prediction": p, "ground_truth": None} for p in predictions]


class StrangeMiner(HardNegativeMiner):
    def find_hard_negatives(self, predictions, ground_truth, image_path=None):
        return [{"type": "false_negative", "ground_truth": {"class": "cat"}, "prediction": None}]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the user's, outside this project."""
    code = """
        import numpy as np
        from hnm_core import HardNegativeMiner
        from hnm_core.strategies import Difficulty

        NUMBER = 3

        def sure(evidence):
            return Difficulty(evidence.predictions.score, np.zeros(len(evidence.truth)))

        class Quiet(HardNegativeMiner):
            def find_hard_negatives(self, predictions, ground_truth, image_path=None):
                return []
    """
    (tmp_path / "night_scenes.py").write_text(textwrap.dedent(code))
    monkeypatch.syspath_prepend(tmp_path)
    yield "night_scenes"
    sys.modules.pop("night_scenes", None)


def test_a_registered_strategy_is_mined_with():
    @register_strategy("score_squared")
    def score_squared(evidence):
        return Difficulty(evidence.predictions.score**2, np.zeros(len(evidence.truth)))

    try:
        result = mine(*TABLES, MiningSettings(strategy="score_squared", hard_negative_ratio=1.0))
    finally:
        forget_strategy("score_squared")
    assert result.prediction_difficulty[:2] == pytest.approx([0.81, 0.36])


def test_a_strategy_is_found_in_a_module_of_ones_own(module):
    result = mine(*TABLES, MiningSettings(strategy=f"{module}:sure", hard_negative_ratio=1.0))
    assert result.prediction_difficulty[:2].tolist() == [0.9, 0.6]


def test_a_miner_of_ones_own_is_a_strategy_too(module):
    assert mine(*TABLES, MiningSettings(strategy=f"{module}:Quiet")).report.counts.hard_negatives == 0


def test_a_subclass_decides_what_is_hard():
    result = mine(*TABLES, MiningSettings(strategy=f"{__name__}:CatMiner", hard_negative_ratio=1.0))
    mined = [TABLES[0].classes[i] for i in TABLES[0].label[result.prediction_hard]]
    assert mined == ["cat"]
    assert result.prediction_difficulty[0] == 0.9
    assert result.report.counts.false_positives == 3  # counting is not the miner's business


def test_the_plain_class_as_a_strategy_is_the_strategy_it_stands_for():
    plain = mine(*TABLES)
    asked = mine(*TABLES, MiningSettings(strategy="hnm_core.miner:HardNegativeMiner"))
    assert np.array_equal(plain.prediction_hard, asked.prediction_hard)
    assert np.allclose(plain.prediction_difficulty, asked.prediction_difficulty, equal_nan=True)
    assert np.array_equal(plain.truth_hard, asked.truth_hard)


def test_dicts_without_difficulty_count_by_confidence_or_one():
    result = mine(*TABLES, MiningSettings(strategy=f"{__name__}:PlainMiner", hard_negative_ratio=1.0))
    assert result.prediction_difficulty[:2].tolist() == [1.0, 1.0]


def test_quotas_hold_over_a_miner_of_ones_own():
    settings = MiningSettings(strategy=f"{__name__}:PlainMiner", hard_negative_ratio=1.0, max_per_image=1)
    assert mine(*TABLES, settings, groups="xyz", max_per_group=1).prediction_hard.sum() == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "harsh",
            "strategy must be one of confidence_based, iou_based, loss_based, learnability_based, or your own as",
        ),
        ("nowhere:sure", "strategy 'nowhere:sure' cannot be imported: No module named 'nowhere'"),
        ("math:sure", "strategy 'math:sure' cannot be imported: module 'math' has no attribute 'sure'"),
        ("math:pi", "strategy 'math:pi' is a float, expected a callable or a miner class"),
    ],
)
def test_what_cannot_be_found_is_named(name, message):
    with pytest.raises(ValueError, match=message):
        find_strategy(name)


def test_a_miner_that_invents_objects_is_told_so():
    with pytest.raises(
        ValueError, match=r"StrangeMiner returned a false_negative in 'a.jpg' whose ground_truth is not one of the"
    ):
        mine(*TABLES, MiningSettings(strategy=f"{__name__}:StrangeMiner"))
