"""Tables as the guide's dicts."""

from __future__ import annotations

import pytest
from hypothesis import given

from hnm_core import HardNegativeMiner
from hnm_core.io import read_records, to_records
from tests.scenes import Tables, everything_at_once, patient, scenes


@patient
@given(scenes())
def test_records_read_back_are_the_table(tables: Tables) -> None:
    predictions, truth = map(to_records, tables)
    assert list(truth) == list(tables[1].images)
    for i, name in enumerate(truth):
        for table, back in zip(tables, read_records(predictions[name], truth[name], name), strict=True):
            of_image = table.take(table.image == i)
            assert back.xyxy.tolist() == of_image.xyxy.tolist()
            assert [back.classes[k] for k in back.label] == [table.classes[k] for k in of_image.label]
            assert back.is_crowd().tolist() == of_image.is_crowd().tolist()
            assert (back.score is None) == (table.score is None)
            if back.score is not None and of_image.score is not None:
                assert back.score.tolist() == of_image.score.tolist()


def test_fractions_become_pixels() -> None:
    tables = everything_at_once()
    wide = to_records(tables[1], size=(3, 0.5))["right"]
    assert wide == [{"bbox": [0, 0, 30, 5], "class": "cat"}]


@pytest.mark.parametrize("strategy", ["confidence_based", "iou_based"])
def test_records_are_mined_as_tables_are(strategy: str) -> None:
    tables = everything_at_once()
    whole, single = (HardNegativeMiner(strategy=strategy, hard_negative_ratio=1) for _ in range(2))
    expected = whole.find_hard_negatives(*tables)
    predictions, truth = map(to_records, tables)
    found = [f for name in truth for f in single.find_hard_negatives(predictions[name], truth[name], name)]
    assert sorted(map(str, found)) == sorted(map(str, expected))
