"""What was found, without the boxes: the bits that all boxes give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hnm_core import MiningResult, MiningSettings, mine
from hnm_core.engines import Local, Shard, mine_shards
from hnm_core.io.found import FoundMining, read_found, write_arrays, write_found
from hnm_core.io.mining_folder import load_mining, open_mining, save_mining
from hnm_core.reporting.overview import overview
from hnm_core.rounds import compare_rounds, find_corrections
from hnm_core.rounds.labels import changed_images
from tests.scenes import Tables, patient, random_scene, scenes

PER_IMAGE = ("weights", "repeats", "image_scores", "hard_counts", "hard_images", "label_digests")
KNOBS = [
    {},
    {"candidates": ("false_positive", "lucky_hit"), "hard_negative_ratio": 1.0},
    {"confidence_threshold": 0.25, "use_suspicion": False, "strategy": "iou_based"},
]


def found_of(result: MiningResult, folder: Path) -> FoundMining:
    found, source = open_mining(save_mining(folder, result, {"data": "here"}, {}, keep_boxes=False))
    assert isinstance(found, FoundMining)
    assert source == {"data": "here"}
    return found


def assert_same(found: FoundMining, result: MiningResult) -> None:
    for name in PER_IMAGE:
        np.testing.assert_array_equal(getattr(found, name), getattr(result, name), err_msg=name)
    for column in fields(result.hardest):
        ours, theirs = getattr(found.hardest, column.name), getattr(result.hardest, column.name)
        np.testing.assert_array_equal(ours, theirs, err_msg=column.name)
        assert ours.dtype == theirs.dtype
    assert list(found.images()) == list(result.images())
    assert (found.classes, found.unit, found.kinds) == (result.classes, result.unit, result.kinds)
    assert found.settings == result.settings
    assert str(found.report) == str(result.report)
    assert repr(overview(found)) == repr(overview(result))


@settings(patient, max_examples=40)
@given(scenes(), scenes(), st.sampled_from(KNOBS))
def test_reports_and_comparisons_are_those_of_all_boxes(first: Tables, second: Tables, knobs: dict) -> None:
    rounds = [mine(*tables, MiningSettings(**knobs)) for tables in (first, second)]
    with TemporaryDirectory() as folder:
        kept = [found_of(result, Path(folder) / str(at)) for at, result in enumerate(rounds)]
        for found, result in zip(kept, rounds, strict=True):
            assert_same(found, result)
        for pair in ((kept[0], kept[1]), (kept[0], rounds[1]), (rounds[0], kept[1])):
            changes = compare_rounds(*pair)
            assert changes.as_dict() == compare_rounds(*rounds).as_dict()
            assert str(changes) == str(compare_rounds(*rounds))
            assert bool(changed_images(*pair)) == (find_corrections(*rounds, resamples=1) is not None)


@pytest.mark.parametrize("seed", range(3))
def test_any_split_into_shards_writes_the_same_bytes(tmp_path: Path, seed: int) -> None:
    found, truth = (t.take(np.argsort(t.image, kind="stable")) for t in random_scene(seed, images=12, classes=3))
    tables = found, truth
    knobs = MiningSettings(**KNOBS[seed])
    write_found(tmp_path / "whole", mine(*tables, knobs))
    for size in (1, 5, 12):
        shards = [_cut(tables, start, min(start + size, 12)) for start in range(0, 12, size)]
        with Local([lambda shard=shard: shard for shard in shards]) as engine:
            result = mine_shards(engine, knobs, compared=True)
            write_found(tmp_path / str(size), result)
            parts = [len(part) for part in result.counted("xyxy")]  # of each side of each shard: never all at once
            assert len(parts) == 2 * len(shards)
        ours, theirs = (read_found(tmp_path / name) for name in (str(size), "whole"))
        assert ours.keys() == theirs.keys()
        assert sum(parts) == len(theirs["row_xyxy"])
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
            assert ours[name].dtype == theirs[name].dtype, name


def _cut(tables: Tables, start: int, stop: int) -> Shard:
    sides = []
    for table in tables:
        some = table.take((table.image >= start) & (table.image < stop))
        values = {f.name: getattr(some, f.name) for f in fields(some)}
        sides.append(type(some)(**{**values, "image": some.image - start, "images": some.images[start:stop]}))
    return Shard(*sides)


def test_a_mining_without_boxes_says_so(tmp_path: Path) -> None:
    run = save_mining(tmp_path / "run", mine(*random_scene(1)), {}, {}, keep_boxes=False)
    assert not (run / "tables.npz").exists()
    with pytest.raises(ValueError, match=r"run does not keep its boxes: mine again with --keep-boxes$"):
        load_mining(run)
    content = (run / "found.npz").read_bytes()
    for damaged in (b"", b"hello", content[: len(content) // 2], content.replace(b"row_code.npy", b"row_cold.npy")):
        (run / "found.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"run is damaged \(\w+: .*\); mine again$") as said:
            open_mining(run)
        assert "unsafely" not in str(said.value)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("weights", lambda old: old[:-1], "weights has 11 rows, expected 12"),
        ("row_code", lambda old: old[:-1], r"row_code has \d+ rows, expected \d+"),
        ("row_image", lambda old: old + 12, "row_image is not whole numbers from 0 to 11"),
        ("row_label", lambda old: -1 - old, "row_label is not whole numbers from 0 to 2"),
        ("row_code", lambda old: old.astype(float), "row_code is not whole numbers from 0 to"),
        ("threshold_truths", lambda old: old[1:], "threshold_truths has 2 rows, expected 3"),
    ],
)
def test_columns_that_do_not_fit_together_are_refused(
    tmp_path: Path, name: str, change: Callable[[NDArray[Any]], NDArray[Any]], says: str
) -> None:
    run = save_mining(tmp_path / "run", mine(*random_scene(1, images=12, classes=3)), {}, {}, keep_boxes=False)
    found = read_found(run / "found.npz")
    write_arrays(run / "found.npz", iter({**found, name: change(found[name])}.items()))
    with pytest.raises(ValueError, match=rf"run is damaged \(ValueError: {says}.*\); mine again$"):
        open_mining(run)
