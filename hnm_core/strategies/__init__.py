"""Score how hard each mistake is: four built-in strategies, and a registry for your own."""

from .builtin import boundary_difficulty, confidence_difficulty, loss_difficulty
from .learnability import second_is_right
from .registry import (
    Difficulty,
    StrategyInput,
    find_strategy,
    forget_strategy,
    register_strategy,
    score_difficulty,
    strategy_names,
    what_is_mined,
)

__all__ = [
    "Difficulty",
    "StrategyInput",
    "boundary_difficulty",
    "confidence_difficulty",
    "find_strategy",
    "forget_strategy",
    "loss_difficulty",
    "register_strategy",
    "score_difficulty",
    "second_is_right",
    "strategy_names",
    "what_is_mined",
]
