"""The steps of a round: mine, look, review, export, retrain. Each opens the operator that does it."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from fiftyone.operators import ExecutionContext

STORE = "hard_negatives_panel"
"""FiftyOne's store, per dataset, of the steps taken with each run."""


class Step(NamedTuple):
    """A step of a round.

    Attributes:
        name: its name in the panel.
        operator: the operator that does it; without it the step is left out.
        what: its purpose, in a sentence.
    """

    name: str
    operator: str
    what: str


STEPS = (
    Step("mine", "mine_hard_negatives", "Find and score the mistakes of the detector, and weight the images by them"),
    Step("look", "view_hard_negatives", "Show the mined objects in the grid, hardest first"),
    Step(
        "review",
        "triage_hard_negatives",
        "Decide which are mistakes of the model, and which are missing or wrong labels",
    ),
    Step("export", "export_weighted_subset", "Write the train split to disk, hard images more often"),
    Step(
        "retrain",
        "train_on_hard_negatives",
        "Export, train the detector, predict with it, and mine the next round",
    ),
)


@functools.cache
def operators() -> frozenset[str]:
    """Return the names of the plugin's operators."""
    from ..operators import OPERATORS

    listed: list[type[Any]] = [*OPERATORS]
    return frozenset(operator().config.name for operator in listed)


def available(sections: Collection[str] = ()) -> list[Step]:
    """Return the possible steps: those with an operator, or with a tab of the same name."""
    return [step for step in STEPS if step.operator in operators() or step.name in sections]


def following(steps: Collection[Step], done: Collection[str], *, mined: bool) -> str:
    """Return the name of the next step: mining, or the step after the furthest that was taken with this run."""
    if not mined:
        return "mine"
    names = [step.name for step in steps]
    furthest = max((names.index(name) for name in {"mine", *done} if name in names), default=-1)
    return names[(furthest + 1) % len(names)]


def done(ctx: ExecutionContext, run: dict[str, Any]) -> list[str]:
    """Return the steps taken with a run; a run that was mined again starts without any."""
    noted = ctx.store(STORE).get(run["key"]) or {}
    return list(noted.get("done", ())) if noted.get("time") == run["time"] else []


def note(ctx: ExecutionContext, run: dict[str, Any], name: str) -> None:
    """Remember that a step was taken with a run."""
    before = done(ctx, run)
    if name not in before:
        ctx.store(STORE).set(run["key"], {"time": run["time"], "done": [*before, name]})
