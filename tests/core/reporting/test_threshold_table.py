"""Counts at other confidence thresholds, held against mining there."""

from __future__ import annotations

import json

import pytest

from hnm_core import MiningSettings, mine
from hnm_core.reporting.threshold_table import ThresholdTable
from tests.scenes import random_scene


@pytest.mark.parametrize("seed", range(6))
def test_the_counts_are_those_of_mining_at_that_threshold(seed: int) -> None:
    tables = random_scene(seed, images=12, classes=3)
    table = ThresholdTable.of(mine(*tables))
    for row in table.rows([0.0, 0.3, 0.5, 0.7, 0.71, 1.0]):
        report = mine(*tables, MiningSettings(confidence_threshold=row["threshold"])).report
        counts = report.counts
        assert row["true_positives"] == counts.true_positives
        assert row["false_positives"] == counts.false_positives
        assert row["false_negatives"] == counts.false_negatives
        assert row["ignored"] == counts.ignored
        assert (row["precision"], row["recall"]) == (counts.precision, counts.recall)
        for name in table.classes:
            (alone,) = table.rows([row["threshold"]], name)
            assert alone["false_positives"] == report.classes[name].false_positives
            assert alone["false_negatives"] == report.classes[name].false_negatives


def test_a_table_read_back_from_json_is_the_same() -> None:
    table = ThresholdTable.of(mine(*random_scene(3, images=5)))
    again = ThresholdTable.from_dict(json.loads(json.dumps(table.as_dict())))
    assert again.classes == table.classes
    assert again.counts.tolist() == table.counts.tolist()
    assert again.truths.tolist() == table.truths.tolist()


def test_an_unknown_class_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="there is no class 'cow'; classes are class 0"):
        ThresholdTable.of(mine(*random_scene(0))).rows([0.5], "cow")
