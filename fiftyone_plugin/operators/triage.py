"""Triage hard negatives: say of what is selected whether the model is wrong or the label."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import forms, runs, triage
from ..icons import icons


class TriageHardNegatives(foo.Operator):
    """Set the review state of mined objects, in the ledger of the dataset and in every run that holds them."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="triage_hard_negatives",
            label="Triage hard negatives",
            description="Say of the selected mistakes whether the model is wrong or the label",
            **icons("triage"),
            dynamic=True,
            view_target=False,
        )

    def __call__(
        self,
        samples: Any,
        run_key: str | None = None,
        state: str | None = None,
        label_ids: Iterable[str] = (),
        *,
        undo: bool = False,
        reviewer: str | None = None,
    ) -> dict[str, Any]:
        """Review from Python the objects of these label ids; ``undo=True`` withdraws the reviewer's last act."""
        dataset = samples._root_dataset
        if undo:
            return triage.undo(dataset, reviewer)
        return triage.triage(dataset, run_key, state, label_ids, who=reviewer)

    def resolve_placement(self, ctx: Any) -> types.Placement:
        """A button above the grid."""
        button = types.Button(label="Triage hard negatives", icon="rule", prompt=True)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form."""
        inputs = types.Object()
        if forms.existing_run(ctx, inputs):
            _verdict(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Triage hard negatives"))

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Write down what is said, and let the App see it."""
        params, who = ctx.params, ctx.params.get("reviewer") or ctx.user_id
        undo = bool(params.get("undo"))
        if undo:
            done = triage.undo(ctx.dataset, who)
        else:
            key, state = params.get("run_key"), params.get("state")
            label_ids, samples = triage.chosen(ctx, key)
            done = triage.triage(ctx.dataset, key, state, label_ids, sample_ids=samples, who=who)
        if not ctx.delegated:
            ctx.ops.clear_selected_samples()
            ctx.ops.clear_selected_labels()
            ctx.ops.reload_samples()
            ctx.ops.notify(triage.said(done, undone=undo), variant="success")
        return done


def _verdict(ctx: Any, inputs: types.Object) -> None:
    """Ask what is to be said of what is selected, and say how much that is."""
    choices = types.RadioGroup(orientation="vertical")
    for state, (label, meaning) in triage.VERDICTS.items():
        choices.add_choice(state, label=label, description=meaning)
    inputs.enum("state", choices.values(), default="hard_negative", label="Verdict", view=choices, required=False)
    inputs.bool("undo", label="Undo my last review instead", default=False, view=types.SwitchView())
    if ctx.params.get("undo"):
        return
    label_ids, _ = triage.chosen(ctx, ctx.params.get("run_key") or runs.newest(ctx.dataset))
    if label_ids:
        inputs.view("what", types.Notice(label=f"This will be said of {triage.objects(len(label_ids))}"))
    else:
        forms.refuse(inputs, f"nothing is selected: {triage.NOTHING}")
