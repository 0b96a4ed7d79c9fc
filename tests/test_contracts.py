"""One contract for the whole family: every strategy on every kind of scene; and what importing the engine wakes."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import hnm_core
from benchmarks.scenes import coco_like
from hnm_core import HardNegativeMiner, MiningResult, MiningSettings, calculate_sample_weights, mine, register_strategy
from hnm_core.strategies import Difficulty, StrategyInput, forget_strategy, strategy_names
from tests.scenes import CROWD, FAR, HERE, Tables, apart, everything_at_once, high, random_scene, scene

TEN = [f"{i}.jpg" for i in range(10)]

SCENES: dict[str, Callable[[], Tables]] = {
    "nothing at all": scene,
    "images without boxes": lambda: scene(images=TEN, classes=["cat"]),
    "no predictions": lambda: scene([], [(image, "cat", HERE) for image in TEN]),
    "no truth": lambda: scene([(image, "cat", 0.9, HERE) for image in TEN]),
    "one right": lambda: scene([("a", "cat", 0.9, HERE)], [("a", "cat", HERE)]),
    "one wrong": lambda: scene([("a", "cat", 0.9, FAR)], [("a", "cat", HERE)]),
    "all right": lambda: scene([(i, "cat", 0.9, HERE) for i in TEN], [(i, "cat", HERE) for i in TEN]),
    "all wrong": lambda: scene([(i, "dog", 1.0, FAR) for i in TEN], [(i, "cat", HERE) for i in TEN]),
    "all below the threshold": lambda: scene([(i, "cat", 0.0, HERE) for i in TEN], [(i, "cat", HERE) for i in TEN]),
    "ties": lambda: scene([(i, "cat", 0.9, high(5)) for i in TEN for _ in "abc"], [(i, "cat", HERE) for i in TEN * 2]),
    "only crowds": lambda: scene([("a", "cat", 0.9, HERE)], [("a", "cat", HERE, CROWD)]),
    "boxes of no size": lambda: scene([("a", "cat", 1.0, (5, 5, 5, 5))], [("a", "cat", (5, 5, 5, 9))]),
    "names of any kind": lambda: scene([("a/ü.v2.jpg", "交通/灯.v2", 0.9, FAR)], [("", "a:b;c,d", HERE)]),
    "fractions": lambda: scene([("a", "cat", 0.9, (0, 0, 1e-9, 1e-9))], [("a", "cat", (0, 0, 1, 1))]),
    "huge coordinates": lambda: scene([("a", "cat", 0.9, (0, 0, 1e9, 1e9))], [("a", "cat", (-1e9, 0, 1e9, 1e9))]),
    "many in one image": lambda: scene([("a", "cat", 0.9, apart(i)) for i in range(50)], [("a", "cat", FAR)] * 50),
    "every name": everything_at_once,
    "random": lambda: random_scene(7, images=12, classes=3),
}


@pytest.fixture(params=SCENES)
def tables(request: pytest.FixtureRequest) -> Tables:
    return SCENES[request.param]()


@pytest.fixture(params=["confidence_based", "iou_based", "loss_based", "of my own"])
def strategy(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param not in strategy_names():
        register_strategy(request.param)(at_random)
    yield request.param
    if request.param == "of my own":
        forget_strategy(request.param)


def at_random(evidence: StrategyInput) -> Difficulty:
    rng = np.random.default_rng(0)
    return Difficulty(rng.uniform(-1, 2, len(evidence.predictions)), rng.uniform(-1, 2, len(evidence.truth)))


@pytest.fixture
def result(tables: Tables, strategy: str) -> MiningResult:
    return mine(*tables, MiningSettings(strategy=strategy))


def test_every_column_has_the_length_of_its_table(result: MiningResult) -> None:
    n, m, images = len(result.predictions), len(result.truth), len(result.truth.images)
    for name in ("error", "difficulty", "hard", "suspicion", "iou", "near", "type"):
        assert getattr(result, f"prediction_{name}").shape == (n,), name
        assert getattr(result, f"truth_{name}").shape == (m,), name
    for name in ("image_scores", "weights", "repeats", "hard_images", "hard_counts"):
        assert getattr(result, name).shape == (images,), name


def test_difficulty_is_a_share_and_only_of_candidates(result: MiningResult) -> None:
    for difficulty, mistake in (
        (result.prediction_difficulty, result.errors.false_positive),
        (result.truth_difficulty, result.errors.false_negative),
    ):
        known = difficulty[~np.isnan(difficulty)]
        assert ((known >= 0) & (known <= 1)).all()
        assert not np.isnan(difficulty[mistake]).any()
    lucky = ~np.isnan(result.prediction_difficulty) & ~result.errors.false_positive
    assert set(result.prediction_error[lucky]) <= {"true_positive"}
    assert np.isnan(result.truth_difficulty[~result.errors.false_negative]).all()


def test_what_is_mined_is_hard_and_within_the_cap(result: MiningResult) -> None:
    difficulty = np.concatenate([result.prediction_difficulty, result.truth_difficulty])
    hard = np.concatenate([result.prediction_hard, result.truth_hard])
    assert (difficulty[hard] > 0).all()
    assert hard.sum() <= result.report.cap
    assert hard.sum() == result.hard_counts.sum()


def test_scores_and_weights_stay_in_their_ranges(result: MiningResult) -> None:
    assert ((result.image_scores >= 0) & (result.image_scores <= 1)).all()
    assert ((result.image_scores > 0) <= (result.hard_counts > 0)).all()
    assert ((result.weights >= 1) & (result.weights <= 2)).all()
    assert (result.repeats >= 1).all()
    assert calculate_sample_weights(result).tolist() == result.weights.tolist()


def test_the_report_can_be_told_and_kept(result: MiningResult) -> None:
    assert str(result.report).startswith("Hard-negative mining\n")
    assert "nan" not in str(result.report)
    json.dumps(result.report.as_dict(), allow_nan=False)


@pytest.mark.parametrize("strategy", ["confidence_based", "iou_based", "loss_based"])
def test_perfect_detections_have_no_hard_negatives(strategy: str) -> None:
    result = mine(*SCENES["all right"](), MiningSettings(strategy=strategy))
    assert result.report.candidates == 0
    assert result.weights.tolist() == [1.0] * 10
    assert result.report.as_dict()["metrics"] == {
        **dict.fromkeys(("precision", "recall", "f1_score"), 1.0),
        "hard_negative_rate": 0.0,
    }


def test_the_miner_takes_every_scene(tables: Tables, strategy: str) -> None:
    miner = HardNegativeMiner(strategy=strategy)
    found = miner.find_hard_negatives(*tables)
    assert len(found) == mine(*tables, MiningSettings(strategy=strategy)).hard_counts.sum()
    weights = calculate_sample_weights(found, images=tables[1].images)
    assert (weights >= 1).all()


@pytest.mark.parametrize(
    "sleeping",
    "yaml torch fiftyone fiftyone_plugin matplotlib scipy pandas PIL pyarrow ray ultralytics".split(),
)
def test_importing_the_engine_wakes_numpy_only(sleeping: str, awake: set[str]) -> None:
    assert sleeping not in awake


def loaded_by(script: str) -> set[str]:
    """The top-level modules that are loaded in a fresh interpreter after the script ran."""
    show = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", f"{script}\n{show}"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def awake() -> set[str]:
    """What is loaded after the engine was imported and used."""
    use = "hnm_core.HardNegativeMiner().find_hard_negatives([{'bbox': [0, 0, 1, 1], 'confidence': 1, 'class': 1}], [])"
    return loaded_by(f"import hnm_core\nfrom hnm_core.io import *\nfrom hnm_core.engines import *\n{use}")


def test_names_of_the_engine_are_loaded_when_they_are_asked_for() -> None:
    asleep = loaded_by("import sys, hnm_core\nassert 'hnm_core.pipeline' not in sys.modules")
    assert {"hnm_core", "numpy"} <= asleep
    everything = "from hnm_core import *\nimport hnm_core\nassert mine is hnm_core.mine is hnm_core.pipeline.mine"
    assert loaded_by(f"{everything}\nassert all(map(globals().__contains__, hnm_core.__all__))")
    assert {*hnm_core.__all__, "matching", "__version__"} <= set(dir(hnm_core))
    with pytest.raises(AttributeError, match=r"^module 'hnm_core' has no attribute 'mine_all'$"):
        hnm_core.mine_all  # noqa: B018


def test_nothing_but_numpy_and_the_standard_library_is_awake(awake: set[str]) -> None:
    numpys = loaded_by("import numpy.random")
    assert awake - numpys - set(sys.stdlib_module_names) == {"hnm_core"}


@pytest.fixture(scope="module")
def million() -> Tables:
    return coco_like(15_500)


def test_mining_a_million_boxes_takes_less_room_than_they_do(million: Tables) -> None:
    mine(*coco_like(50))
    tracemalloc.start()
    mine(*million)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < sum(map(len, million)) * 7 * 8  # a box is seven numbers of eight bytes each


def test_a_million_boxes_keep_the_contract(million: Tables, strategy: str) -> None:
    assert sum(map(len, million)) > 1_000_000
    result = mine(*million, MiningSettings(strategy=strategy))
    for check in (
        test_every_column_has_the_length_of_its_table,
        test_difficulty_is_a_share_and_only_of_candidates,
        test_what_is_mined_is_hard_and_within_the_cap,
        test_scores_and_weights_stay_in_their_ranges,
        test_the_report_can_be_told_and_kept,
    ):
        check(result)
