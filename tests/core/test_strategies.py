"""How hard each mistake is, by hand, for each strategy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core import (
    Detections,
    MiningSettings,
    classify_errors,
    match_detections,
    mine,
    register_strategy,
    score_difficulty,
)
from hnm_core.strategies import (
    Difficulty,
    StrategyInput,
    boundary_difficulty,
    confidence_difficulty,
    forget_strategy,
    loss_difficulty,
    strategy_names,
)
from tests.scenes import CROWD, FAR, HERE, Tables, apart, everything_at_once, high, scene

LN_100 = np.log(100)  # the largest cross entropy, -ln .01


def difficulties(tables: Tables, **chosen: Any) -> tuple[list[float], list[float]]:
    result = mine(*tables, MiningSettings(**chosen))
    return result.prediction_difficulty.tolist(), result.truth_difficulty.tolist()


def approx(*values: float) -> Any:
    return pytest.approx(list(values), nan_ok=True)


NAN = float("nan")

FALSE_POSITIVES = scene(
    [
        ("a", "cat", 0.9, FAR),  # background, u = 0
        ("a", "cat", 0.8, high(4)),  # localization, u = .4
        ("a", "dog", 0.7, HERE),  # classification: u is of its own class, 0
        ("b", "cat", 0.9, HERE),  # right
        ("b", "cat", 0.6, high(9)),  # duplicate, u = .9
        ("b", "cat", 0.4, FAR),  # below the threshold
    ],
    [("a", "cat", HERE), ("b", "cat", HERE)],
)


def test_confidence_based_false_positives_are_sure_and_far_from_any_truth() -> None:
    prediction, _ = difficulties(FALSE_POSITIVES)
    assert prediction == approx(0.9, 0.8 * 0.6, 0.7, NAN, 0.6 * 0.1, NAN)


def test_iou_based_false_positives_are_near_the_threshold() -> None:
    prediction, _ = difficulties(FALSE_POSITIVES, strategy="iou_based", iou_band=0.2)
    assert prediction == approx(0, 0.5, 0, NAN, 0, NAN)


def test_loss_based_false_positives_cost_cross_entropy_and_badly_placed_ones_less_of_it_but_iou_loss() -> None:
    prediction, _ = difficulties(FALSE_POSITIVES, strategy="loss_based")
    assert prediction == approx(
        np.log(10) / LN_100,
        (np.log(5) * (1 - 0.4 / 0.5) + 1.5 * 0.6) / LN_100,
        -np.log(0.3) / LN_100,
        NAN,
        -np.log(0.4) / LN_100,
        NAN,
    )


@pytest.mark.parametrize(
    ("seen", "confidence", "iou", "loss"),
    [
        ([], 0.5, 0, 0.5),  # nothing there at all: ½
        ([("a", "cat", 0.3, HERE)], 0.35, 0, -np.log(0.3) / LN_100 / 2),  # the right box, with a low score
        ([("a", "cat", 0.3, high(5))], 0.35, 1, -np.log(0.3) / LN_100 / 2),  # IoU .5 is at the threshold
        ([("a", "cat", 0.3, high(4.5))], 0.5, 0.5, -np.log(0.3) / LN_100 / 2),  # too loose for s*, not for .3
        ([("a", "cat", 0.3, high(3))], 0.5, 0, -np.log(0.3) / LN_100 / 2),  # .3 itself will do
        ([("a", "cat", 0.3, high(2))], 0.5, 0, 0.5),  # IoU .2 speaks of nothing
        ([("a", "dog", 0.3, HERE)], 0.5, 0, 0.5),  # another class
        ([("b", "cat", 0.3, HERE)], 0.5, 0, 0.5),  # another image
        ([("a", "cat", 0.1, HERE), ("a", "cat", 0.4, high(9))], 0.3, 0, -np.log(0.4) / LN_100 / 2),  # the best score
        ([("a", "cat", 0.005, HERE)], 0.4975, 0, 0.5),  # -ln .005 is cut at -ln .01
    ],
)
def test_a_miss_is_the_harder_the_less_was_seen_of_it(
    seen: list[Any], confidence: float, iou: float, loss: float
) -> None:
    tables = scene(seen, [("a", "cat", HERE)], images="ab")
    for strategy, expected in (("confidence_based", confidence), ("iou_based", iou), ("loss_based", loss)):
        assert difficulties(tables, strategy=strategy)[1] == approx(expected), strategy


def test_a_localized_truth_is_scored_by_what_was_seen_of_it() -> None:
    """The false positive at IoU .4 is no match (s* = 0), but loose enough to speak of the truth for the loss."""
    tables = scene([("a", "cat", 0.8, high(4))], [("a", "cat", HERE)])
    assert difficulties(tables)[1] == approx(0.5)
    assert difficulties(tables, strategy="loss_based")[1] == approx(-np.log(0.8) / LN_100 / 2)


def test_a_class_of_its_own_iou_has_its_own_tent() -> None:
    tables = scene([("a", "cat", 0.9, high(7))], [("a", "cat", HERE)])
    assert difficulties(tables, strategy="iou_based", class_iou={"cat": 0.75})[0] == approx(0.5)
    assert difficulties(tables, strategy="iou_based")[0] == approx(NAN)  # right, and no lucky hit


def test_lucky_hits_are_candidates_with_the_false_positives_and_by_iou_only() -> None:
    tables = scene([("a", "cat", 0.9, high(5.5))], [("a", "cat", HERE)])
    assert difficulties(tables, strategy="iou_based")[0] == approx(0.5)
    assert difficulties(tables, strategy="iou_based", candidates="false_negative")[0] == approx(NAN)
    assert difficulties(tables, strategy="confidence_based")[0] == approx(NAN)
    assert difficulties(tables, strategy="loss_based")[0] == approx(NAN)
    assert difficulties(scene([("a", "cat", 0.4, high(5.5))], [("a", "cat", HERE)]), strategy="iou_based")[0] == approx(
        NAN
    )


@pytest.mark.parametrize("strategy", ["confidence_based", "iou_based", "loss_based"])
def test_only_candidates_have_a_difficulty(strategy: str) -> None:
    tables = everything_at_once()
    prediction, truth = difficulties(tables, strategy=strategy)
    assert np.isnan(prediction).tolist() == [True, False, False, True, False, False, False, True, True]
    assert np.isnan(truth).tolist() == [True, False, False, True, False, False, False, False, True]
    for candidates in ("false_positive", "false_negative"):
        prediction, truth = difficulties(tables, strategy=strategy, candidates=candidates)
        assert np.isnan(prediction).all() == (candidates == "false_negative")
        assert np.isnan(truth).all() == (candidates == "false_positive")


def test_a_candidate_of_difficulty_zero_is_no_hard_negative() -> None:
    """A duplicate that lies exactly on its truth: 1 - u is 0."""
    tables = scene([("a", "cat", 0.9, HERE), ("a", "cat", 0.8, HERE)], [("a", "cat", HERE)])
    result = mine(*tables)
    assert result.prediction_error.tolist() == ["true_positive", "duplicate"]
    assert result.prediction_difficulty.tolist() == approx(NAN, 0)
    assert not result.prediction_hard.any()
    assert result.report.candidates == 0


def test_crowds_are_nobodys_neighbour() -> None:
    """The prediction at IoU .45 of a crowd is in front of nothing: u = 0, not .45."""
    tables = scene([("a", "cat", 0.9, (0, 0, 10, 4))], [("a", "cat", (0, 2.5, 10, 20), CROWD)])
    assert difficulties(tables)[0] == approx(0.9)


# The formulae alone


def test_limits_of_the_formulae() -> None:
    zero, one = np.zeros(1), np.ones(1)
    assert confidence_difficulty(one, zero).tolist() == [1]
    assert confidence_difficulty(one, one).tolist() == [0]
    assert confidence_difficulty(zero, zero).tolist() == [0]
    assert loss_difficulty(zero).tolist() == [1]
    assert str(loss_difficulty(one).tolist()) == "[0.0]"  # not -0.0
    assert loss_difficulty(zero, zero).tolist() == [1]  # (4.6 + 1.5) / 4.6, clipped
    assert loss_difficulty(one, np.array([0.5]), 0.5).tolist() == approx(0.75 / LN_100)
    assert boundary_difficulty(np.array([0.4, 0.5, 0.6]), 0.5).tolist() == approx(0, 1, 0)
    assert boundary_difficulty(np.array([0.4, 0.5]), np.array([0.4, 0.7])).tolist() == approx(1, 0)
    for formula in (loss_difficulty, boundary_difficulty, lambda none: confidence_difficulty(none, none)):
        assert formula(np.zeros(0)).tolist() == []  # type: ignore[operator]


@pytest.mark.parametrize("half_width", [0, -0.1, NAN])
def test_a_tent_needs_a_width(half_width: float) -> None:
    with pytest.raises(ValueError, match=rf"^half_width must be > 0 \(IoU units\), got {half_width}$"):
        boundary_difficulty(np.zeros(1), half_width=half_width)


# Strategies of one's own


@pytest.fixture
def register() -> Iterator[Callable[[Any], str]]:
    """Registers a strategy as ``own``, and forgets it afterwards."""

    def as_own(strategy: Any) -> str:
        register_strategy("own")(strategy)
        return "own"

    yield as_own
    forget_strategy("own")


def test_a_strategy_of_ones_own_reads_the_evidence(register: Callable[[Any], str]) -> None:
    def by_size(evidence: StrategyInput) -> Difficulty:
        wide = [table.xyxy[:, 2] - table.xyxy[:, 0] for table in (evidence.predictions, evidence.truth)]
        return Difficulty(wide[0] / 20, wide[1] / 20)

    prediction, truth = difficulties(everything_at_once(), strategy=register(by_size), hard_negative_ratio=1)
    assert prediction == approx(NAN, 0.5, 0.5, NAN, 0.5, 0.5, 0.5, NAN, NAN)  # mistakes alone, though it scores all
    assert truth == approx(NAN, 0.5, 0.5, NAN, 0.5, 0.5, 0.5, 0.5, NAN)


def test_what_a_strategy_returns_is_clipped_and_not_changed(register: Callable[[Any], str]) -> None:
    mine_own = np.array([-1.0, 7.0, np.inf, NAN])
    register(lambda evidence: Difficulty(mine_own, np.zeros(0)))
    tables = scene([("a", "cat", 0.9, apart(i)) for i in range(4)])
    result = mine(*tables, MiningSettings(strategy="own", hard_negative_ratio=1))
    assert result.prediction_difficulty.tolist() == approx(0, 1, 1, NAN)
    assert result.prediction_hard.tolist() == [False, True, True, False]  # NaN: no candidate
    assert mine_own.tolist() == approx(-1, 7, np.inf, NAN)


def test_lists_will_do(register: Callable[[Any], str]) -> None:
    register(lambda evidence: Difficulty([0.25], []))
    assert difficulties(scene([("a", "cat", 0.9, HERE)]), strategy="own")[0] == [0.25]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (
            Difficulty(np.zeros(1), np.zeros(1)),
            r"^strategy 'own' returned \(1,\) values for 2 predictions, expected one each$",
        ),
        (
            Difficulty(np.zeros(2), np.zeros(2)),
            r"^strategy 'own' returned \(2,\) values for 1 truths, expected one each$",
        ),
        (Difficulty(np.zeros((2, 1)), np.zeros(1)), r"^strategy 'own' returned \(2, 1\) values for 2 predictions"),
        (np.zeros(2), r"^strategy 'own' returned a ndarray, expected a Difficulty$"),
        (None, r"^strategy 'own' returned a NoneType, expected a Difficulty$"),
    ],
)
def test_a_strategy_that_returns_something_else(register: Callable[[Any], str], returned: Any, message: str) -> None:
    register(lambda evidence: returned)
    tables = scene([("a", "cat", 0.9, HERE), ("a", "cat", 0.9, FAR)], [("a", "cat", HERE)])
    with pytest.raises(ValueError, match=message):
        mine(*tables, MiningSettings(strategy="own"))


def test_unknown_and_taken_names() -> None:
    assert strategy_names() == ("confidence_based", "iou_based", "loss_based", "learnability_based")
    names = "confidence_based, iou_based, loss_based, learnability_based, or your own as module:attribute"
    with pytest.raises(ValueError, match=rf"^strategy must be one of {names}, got 'hardest'$"):
        mine(*scene(), MiningSettings(strategy="hardest"))
    with pytest.raises(
        ValueError, match=r"^a strategy named 'iou_based' exists already; choose another, or call forget_"
    ):
        register_strategy("iou_based")(lambda evidence: Difficulty(np.zeros(0), np.zeros(0)))
    forget_strategy("never heard of")


def test_the_steps_can_be_taken_one_by_one() -> None:
    predictions, truth = FALSE_POSITIVES
    assert isinstance(predictions, Detections)
    chosen = MiningSettings()
    matches = match_detections(predictions, truth)
    errors = classify_errors(predictions, truth, matches)
    difficulty = score_difficulty(StrategyInput(predictions, truth, matches, errors, chosen))
    assert difficulty.prediction.tolist() == approx(*mine(predictions, truth).prediction_difficulty)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("raise SystemExit(3)", "ends the program \\(SystemExit\\)"),
        ("raise GeneratorExit", "ends the program \\(GeneratorExit\\)"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("def own(:", "cannot be imported: SyntaxError"),
        ("def own(inputs):\n    raise SystemExit", "ends the program \\(SystemExit\\) instead of returning"),
    ],
)
def test_a_module_that_fails_or_exits_ends_in_a_sentence(
    text: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hnm_leaving.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hnm_leaving", raising=False)
    predictions, truth = scene([])
    with pytest.raises(ValueError, match=f"strategy 'hnm_leaving:own' {sentence}"):
        mine(predictions, truth, MiningSettings(strategy="hnm_leaving:own"))


def test_ctrl_c_in_a_strategy_still_ends_the_program() -> None:
    @register_strategy("interrupted")
    def interrupted(inputs: StrategyInput) -> Difficulty:
        raise KeyboardInterrupt

    predictions, truth = scene([])
    try:
        with pytest.raises(KeyboardInterrupt):
            mine(predictions, truth, MiningSettings(strategy="interrupted"))
    finally:
        forget_strategy("interrupted")
