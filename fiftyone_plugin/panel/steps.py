"""The way of a round, step by step: mine, look, review, export, retrain; each opens the operator that does it."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any, NamedTuple

STORE = "hard_negatives_panel"
"""The dataset's own store of which steps were taken with which run."""


class Step(NamedTuple):
    """A step of a round.

    Attributes:
        name: what the panel calls it.
        operator: what does it; the step is left out where the plugin has no such operator.
        what: what it is for, in a sentence.
    """

    name: str
    operator: str
    what: str


STEPS = (
    Step("mine", "mine_hard_negatives", "Find and score the detector's mistakes, and weigh the images by them"),
    Step("look", "view_hard_negatives", "See in the grid what was mined, hardest first"),
    Step("review", "triage_hard_negatives", "Say which are the model's mistakes and which are missing or wrong labels"),
    Step("export", "export_weighted_subset", "Write the train split to disk, hard images more often"),
    Step(
        "retrain",
        "train_on_hard_negatives",
        "Export, train the detector on it, predict with it and mine the next round",
    ),
)


@functools.cache
def operators() -> frozenset[str]:
    """Names of the operators that the plugin has."""
    from ..operators import OPERATORS

    listed: list[type[Any]] = [*OPERATORS]
    return frozenset(operator().config.name for operator in listed)


def available(sections: Collection[str] = ()) -> list[Step]:
    """The steps that can be taken: by an operator, or in a section of the panel that has the step's name."""
    return [step for step in STEPS if step.operator in operators() or step.name in sections]


def following(steps: Collection[Step], done: Collection[str], *, mined: bool) -> str:
    """The name of what comes next: mining, then the step after the furthest that this run has seen."""
    if not mined:
        return "mine"
    names = [step.name for step in steps]
    furthest = max((names.index(name) for name in {"mine", *done} if name in names), default=-1)
    return names[(furthest + 1) % len(names)]


def done(ctx: Any, run: dict[str, Any]) -> list[str]:
    """The steps taken with a run; one that was mined again under its key starts anew."""
    noted = ctx.store(STORE).get(run["key"]) or {}
    return list(noted.get("done", ())) if noted.get("time") == run["time"] else []


def note(ctx: Any, run: dict[str, Any], name: str) -> None:
    """Remember that a step was taken with a run."""
    before = done(ctx, run)
    if name not in before:
        ctx.store(STORE).set(run["key"], {"time": run["time"], "done": [*before, name]})
