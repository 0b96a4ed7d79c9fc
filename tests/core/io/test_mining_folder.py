"""A mining on disk is mined again when it is read, with everything it was mined with."""

from __future__ import annotations

from pathlib import Path

import pytest

from hnm_core import MiningSettings, mine
from hnm_core.io.mining_folder import load_mining, save_mining
from tests.scenes import FAR, scene


@pytest.mark.parametrize("quota", [0, 1])
def test_a_saved_mining_keeps_its_groups_and_their_quota(tmp_path: Path, quota: int) -> None:
    tables = scene([(name, "cat", score, FAR) for name, score in (("a", 0.9), ("b", 0.8), ("c", 0.7))])
    settings = MiningSettings(hard_negative_ratio=1)
    result = mine(*tables, settings, groups=["night", "night", "day"], max_per_group=quota)
    again, _ = load_mining(save_mining(tmp_path / "run", result, {}, {}))
    assert result.prediction_hard.tolist() == [True, not quota, True]
    assert again.prediction_hard.tolist() == result.prediction_hard.tolist()
    assert again.groups is not None
    assert again.groups.tolist() == [0, 0, 1]
    assert again.max_per_group == quota
    assert again.report == result.report
