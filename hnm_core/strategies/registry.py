"""The registry of strategies, which score how hard each mistake is: the built-in ones, and your own.

A strategy is a callable ``(StrategyInput) -> Difficulty``. The formulas are pure functions of arrays.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..matching.matches import Matches
from ..settings import CANDIDATES, MiningSettings
from ..taxonomy import TRUE_POSITIVE, Errors

__all__ = [
    "Difficulty",
    "StrategyInput",
    "find_strategy",
    "forget_strategy",
    "register_strategy",
    "registered_strategies",
    "restore_strategies",
    "score_difficulty",
    "strategy_names",
    "what_is_mined",
]


@dataclass(frozen=True, eq=False)
class StrategyInput:
    """What a strategy can read: both tables, their matches and errors, the settings, and a second model's boxes."""

    predictions: Detections
    truth: Detections
    matches: Matches
    errors: Errors
    settings: MiningSettings
    second_predictions: Detections | None = None


@dataclass(frozen=True, eq=False)
class Difficulty:
    """Difficulty of every row in ``[0, 1]``, higher is harder; NaN for rows that are not candidates.

    Attributes:
        prediction: ``(n,)`` float64.
        truth: ``(m,)`` float64.
    """

    prediction: NDArray[np.float64]
    truth: NDArray[np.float64]


Strategy = Callable[[StrategyInput], Difficulty]

MISTAKES = ("false_positive", "false_negative")
"""What a strategy mines unless it says otherwise: mistakes, not matched predictions."""

_STRATEGIES: dict[str, Strategy] = {}
_MINES: dict[str, tuple[str, ...]] = {}


def register_strategy(name: str, mines: Sequence[str] = MISTAKES) -> Callable[[Strategy], Strategy]:
    """Register a strategy under a name for settings, forms and the command line.

    Its values are used for the kinds of object that are mined: ``mines``, or what the setting ``candidates`` lists.
    All other rows are set to NaN, and values are clipped to ``[0, 1]``.

    Args:
        name: the name users write; must not be in use.
        mines: kinds of object that it mines, of :data:`~hnm_core.settings.CANDIDATES`. A strategy that gives a
            difficulty to matched predictions mines them only if it lists ``lucky_hit``.

    Raises:
        ValueError: if the name is in use, or a kind does not exist.

    Example:
        >>> @register_strategy("score_only")
        ... def score_only(inputs):
        ...     return Difficulty(inputs.predictions.score, np.zeros(len(inputs.truth)))
        >>> "score_only" in strategy_names()
        True
        >>> forget_strategy("score_only")
    """
    unknown = [kind for kind in mines if kind not in CANDIDATES]
    if unknown or isinstance(mines, str) or not mines:
        raise ValueError(f"mines must list one or more of {', '.join(CANDIDATES)}, got {mines!r}")

    def register(strategy: Strategy) -> Strategy:
        if name in _STRATEGIES:
            raise ValueError(
                f"a strategy named {name!r} exists already; choose another, or call forget_strategy({name!r}) first"
            )
        _STRATEGIES[name], _MINES[name] = strategy, tuple(mines)
        return strategy

    return register


def forget_strategy(name: str) -> None:
    """Remove a registered strategy; unknown names are ignored."""
    _STRATEGIES.pop(name, None)
    _MINES.pop(name, None)


def registered_strategies() -> dict[str, tuple[Strategy, tuple[str, ...]]]:
    """Return all registered strategies with what they mine, for another process, see :func:`restore_strategies`."""
    return {name: (strategy, _MINES[name]) for name, strategy in _STRATEGIES.items()}


def restore_strategies(strategies: Mapping[str, tuple[Strategy, tuple[str, ...]]]) -> None:
    """Register strategies of another process; names in use stay as they are."""
    for name, (strategy, mines) in strategies.items():
        if name not in _STRATEGIES:
            register_strategy(name, mines)(strategy)


def strategy_names() -> tuple[str, ...]:
    """Return the names of the registered strategies, in the order of registration."""
    return tuple(_STRATEGIES)


def is_own(name: str) -> bool:
    """Return whether a strategy is not one of the built-in ones.

    Raises:
        ValueError: if there is no such strategy.
    """
    return not str(getattr(find_strategy(name), "__module__", None)).startswith(f"{__package__}.")


def find_strategy(name: str) -> Strategy:
    """Return the strategy of a name: a registered one, or your own as ``module:attribute``, which is imported now.

    The attribute is a strategy, or a subclass of :class:`~hnm_core.miner.HardNegativeMiner`.

    Raises:
        ValueError: if there is no such strategy, or it cannot be imported.
    """
    if name in _STRATEGIES:
        return _STRATEGIES[name]
    if ":" not in name:
        raise ValueError(
            f"strategy must be one of {', '.join(strategy_names())}, or your own as module:attribute, got {name!r}"
        )
    module, _, attribute = name.partition(":")
    try:
        with _staying(name):
            found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a module can fail in any way
        kind = "" if isinstance(error, (ImportError, AttributeError, ValueError)) else f"{type(error).__name__}: "
        raise ValueError(f"strategy {name!r} cannot be imported: {kind}{error}") from error
    strategy = found.as_strategy() if hasattr(found, "as_strategy") else found
    if not callable(strategy):
        raise ValueError(f"strategy {name!r} is a {type(strategy).__name__}, expected a callable or a miner class")
    try:
        inspect.signature(strategy).bind(None)
    except TypeError as error:
        raise ValueError(f"strategy {name!r} does not take one argument, the inputs of a strategy: {error}") from None
    except ValueError:
        pass  # some built-in callables do not tell what they take
    return strategy  # type: ignore[no-any-return]


def score_difficulty(inputs: StrategyInput) -> Difficulty:
    """Score every candidate with the strategy that the settings name.

    Candidates are the false positives, false negatives and lucky hits that :func:`what_is_mined` lists. Lucky hits are
    matched predictions with a difficulty above 0.

    Raises:
        ValueError: if the strategy is unknown, or does not return one number per row.
    """
    settings, errors = inputs.settings, inputs.errors
    strategy = find_strategy(settings.strategy)
    with _staying(settings.strategy):
        raw = strategy(inputs)
    if not isinstance(raw, Difficulty):
        raise ValueError(f"strategy {settings.strategy!r} returned a {type(raw).__name__}, expected a Difficulty")
    prediction = _column(raw.prediction, len(inputs.predictions), settings.strategy, "predictions")
    truth = _column(raw.truth, len(inputs.truth), settings.strategy, "truths")
    mined = what_is_mined(settings)
    with np.errstate(invalid="ignore"):
        lucky = (errors.prediction == TRUE_POSITIVE) & (prediction > 0) & ("lucky_hit" in mined)
    wanted = (errors.false_positive & ("false_positive" in mined)) | lucky
    missed = errors.false_negative & ("false_negative" in mined)
    return Difficulty(_only(prediction, wanted), _only(truth, missed))


def what_is_mined(settings: MiningSettings) -> tuple[str, ...]:
    """Return the kinds of object that are mined: ``candidates`` if set, else those that the strategy mines.

    Example:
        >>> what_is_mined(MiningSettings(strategy="iou_based"))
        ('false_positive', 'false_negative', 'lucky_hit')
        >>> what_is_mined(MiningSettings(strategy="iou_based", candidates="false_positive"))
        ('false_positive',)
    """
    return settings.candidates or _MINES.get(settings.strategy, MISTAKES)


@contextmanager
def _staying(name: str) -> Iterator[None]:
    """Let code that belongs to a strategy not end the program; Ctrl-C still does.

    Raises:
        ValueError: instead of :class:`SystemExit` and other exits.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise ValueError(
            f"strategy {name!r} ends the program ({type(error).__name__}) instead of returning a Difficulty"
        ) from error


def _column(values: object, n: int, strategy: str, side: str) -> NDArray[np.float64]:
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (n,):
        raise ValueError(f"strategy {strategy!r} returned {column.shape} values for {n} {side}, expected one each")
    return column


def _only(values: NDArray[np.float64], wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the values of some rows, clipped to ``[0, 1]``, and NaN for all others."""
    rows = np.flatnonzero(wanted)
    out = np.full(len(values), np.nan)
    out[rows] = np.clip(values[rows], 0.0, 1.0)
    return out
