"""The evidence is gathered as it says: on a small scale every arm trains, and the numbers are what they are called."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import retrained
from benchmarks.__main__ import FOLDER
from benchmarks.retrained import CONTROL, average_precision, draw, outcome_of, read_runs, summary
from hnm_core import mine
from hnm_core.io.data_yaml import read_data_yaml, split_images
from hnm_core.rounds import Outcome, fppi_at_recall
from tests.scenes import everything_at_once


@pytest.fixture
def outcome() -> Outcome:
    """Ten images with a truth each: five found at .9, alarms at .95 and .3, the other truths found at .2."""
    score = np.array([0.95, 0.9, 0.9, 0.9, 0.9, 0.9, 0.3, 0.2, 0.2, 0.2, 0.2, 0.2])
    right = np.array([False, True, True, True, True, True, False, True, True, True, True, True])
    image = np.array([0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9])
    return Outcome(score, right, image, np.ones(10, dtype=np.int64))


def test_it_is_the_engines_own_number() -> None:
    predictions, truth = everything_at_once()
    result, here = mine(predictions, truth), outcome_of(predictions, truth)
    reached = [recall for recall in (0.1, 0.3, 0.5) if fppi_at_recall(result, recall) is not None]
    assert reached
    assert [here.fppi(recall) for recall in reached] == [fppi_at_recall(result, recall) for recall in reached]


def test_an_arm_is_held_against_the_control_of_its_seed(outcome: Outcome) -> None:
    quiet = Outcome(outcome.score[1:], outcome.right[1:], outcome.image[1:], outcome.truths)
    rest: dict[str, Any] = {"AP50": 0.5, "AP": 0.4, "rounds": [{"false_alarm_rate": 0.2}, {"false_alarm_rate": 0.1}]}
    loud = {"outcome": outcome, **rest}
    runs = {CONTROL: {1: loud, 2: loud}, "mined": {1: {"outcome": quiet, **rest}, 9: loud}, "uniform": {2: loud}}
    found = summary(runs)
    assert found["recall"] == 0.5
    assert found["arms"]["mined"]["seeds"] == 1  # seed 9 has no control
    assert found["arms"]["mined"]["change"] == -100.0
    assert found["arms"]["mined"]["interval"][0] == -100.0
    assert found["arms"]["uniform"]["interval"] == [0.0, 0.0]
    assert found["arms"][CONTROL]["rates"] == [0.2, 0.1]


def test_average_precision_of_perfect_predictions_is_one() -> None:
    truth = everything_at_once()[1]
    unit = truth.take(~truth.is_crowd())
    perfect = replace(unit, score=np.ones(len(unit)), crowd=None)
    found = average_precision(perfect, replace(unit, crowd=None))
    assert found == {"AP": pytest.approx(1.0), "AP50": pytest.approx(1.0)}


def test_the_table_of_the_documents_shows_what_is_stored() -> None:
    stored = json.loads(retrained.STORED.read_text(encoding="utf-8"))
    table = (FOLDER / "retraining.md").read_text(encoding="utf-8")
    assert table.splitlines() == retrained.lines_of(stored)
    figure = draw(stored)
    assert len(figure.axes) == len(stored["data"])


def test_what_more_seeds_told_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome) -> None:
    rest: dict[str, Any] = {"AP50": 0.5, "AP": 0.4, "rounds": [{"false_alarm_rate": 0.2}]}
    runs: dict[str, dict[int, Any]] = {CONTROL: {}, "mined": {}, "gated": {}}
    monkeypatch.setattr(retrained, "STORED", tmp_path / "stored.json")
    monkeypatch.setattr(retrained, "read_runs", lambda *place: runs)

    def stored() -> dict[str, int]:
        retrained.write_stored({"digits": (tmp_path, tmp_path)}, {})
        arms = json.loads(retrained.STORED.read_text(encoding="utf-8"))["data"]["digits"]["arms"]
        return {arm: row["seeds"] for arm, row in arms.items()}

    some = {seed: {"outcome": outcome, **rest} for seed in (1, 2, 3)}
    runs.update({CONTROL: some, "mined": some})
    assert stored() == {CONTROL: 3, "mined": 3}
    runs.update({CONTROL: {4: some[1]}, "mined": {4: some[1]}, "gated": {4: some[1]}})
    assert stored() == {CONTROL: 3, "mined": 3, "gated": 1}


@pytest.mark.slow
def test_every_arm_trains_on_as_many_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ultralytics", reason="Ultralytics trains")
    from benchmarks import retraining
    from benchmarks.retraining_sets import Digits

    small = Digits(withheld=0.3, train=32, test=12, size=64, start_epochs=1, epochs=2, mine_every=1)
    monkeypatch.setattr(retraining, "SETS", {"small": small})
    arms = [CONTROL, "reviewed", "mined negatives"]
    assert len(list(retraining.run(tmp_path, ["small"], arms, [1]))) == 3
    assert list(retraining.run(tmp_path, ["small"], arms, [1])) == []  # all there
    place = tmp_path / "small"
    records = [json.loads((place / f"{arm}-1" / "record.json").read_text()) for arm in arms]
    assert [record["draws"] for record in records] == [64, 64, 64]
    assert [len(record["rounds"]) for record in records] == [3, 3, 3]
    assert records[0]["rounds"][0]["false_positives"] == records[1]["rounds"][0]["false_positives"]  # the same start
    runs = read_runs(place, place / "test" / "data.yaml")
    assert set(runs) == set(arms)
    assert {row["seeds"] for row in summary(runs)["arms"].values()} == {1}


def test_photographs_are_copied_and_tested_on_what_no_training_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import retraining, retraining_sets

    source = tmp_path / "shared" / "cards"
    for split in ("train", "val", "test"):
        for kind, ending, text in (("images", "jpg", "pixels"), ("labels", "txt", "0 .5 .5 .2 .2\n")):
            (source / kind / split).mkdir(parents=True)
            (source / kind / split / f"{split}.{ending}").write_text(text)
    (source / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: {0: ace, 1: king}\n")
    (source / "preds").mkdir()
    (source / "preds" / "yolo11n_cards.pt").write_text("weights")
    monkeypatch.setattr(retraining_sets, "SHARED", source.parent)
    before = sorted(source.rglob("*"))
    shape = retraining_sets.Photographs("cards", mislabelled=False)
    data, test, start = retraining.start_of(tmp_path / "work", shape)
    assert (data, start.read_text()) == (test, "weights")
    truth = retrained.truth_of_test(test)
    assert [Path(name).stem for name in truth.images] == ["test", "val"]
    assert truth.classes == ("ace", "king")
    assert len(truth) == 2
    assert sorted(source.rglob("*")) == before


def test_backgrounds_of_the_pool_hold_nothing_and_the_hardest_alarm_most(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics", reason="predicts on the pool")
    from benchmarks.retraining_aids import with_backgrounds
    from benchmarks.retraining_sets import WEIGHTS, Digits

    shape = Digits(withheld=0, train=20, test=30, size=128, unlabelled_images=40)
    shape.make(tmp_path)
    pool = shape.backgrounds(tmp_path)
    assert 6 <= len(pool) <= 14
    listed = {}
    for which in ("hard", "random"):
        data = with_backgrounds(tmp_path, shape.data(tmp_path), WEIGHTS, shape, which, 0.2, seed=1)
        config = read_data_yaml(data)
        images = split_images(data, "train", config)
        listed[which] = [image for image in images if "pool" in image.parts]
        assert len(listed[which]) == 4
        assert len(images) == 24
        assert set(listed[which]) <= set(pool)
    surest = dict(zip(pool, np.load(tmp_path / "surest.npy"), strict=True))
    assert min(surest[image] for image in listed["hard"]) >= sorted(surest.values())[-4]


def test_accepted_are_labels_that_were_withheld_and_no_others(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics", reason="predicts on the demo's images")
    from benchmarks.retraining_aids import with_accepted
    from benchmarks.retraining_sets import WEIGHTS, Digits

    shape = Digits(withheld=0.4, train=24, test=1, size=192)
    shape.make(tmp_path)
    data = shape.data(tmp_path)
    accepted = with_accepted(tmp_path, data, WEIGHTS, shape, review_count=12, confidence=0.5)
    assert with_accepted(tmp_path, data, WEIGHTS, shape, review_count=12, confidence=0.5) == accepted  # made once
    config = json.loads(accepted.read_text().splitlines()[0].removeprefix("path: "))
    assert Path(config) == accepted.parent
    added = 0
    for before in sorted((data.parent / "labels" / "train").iterdir()):
        old, new = before.read_text(), (accepted.parent / "labels" / "train" / before.name).read_text()
        assert new.startswith(old)
        for line in new[len(old) :].splitlines():
            x, y, width, height = map(float, line.split()[1:])
            box = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
            assert shape.unlabelled(tmp_path, Path("images", "train", f"{before.stem}.jpg"), box)
            added += 1
    assert 3 <= added <= 12
