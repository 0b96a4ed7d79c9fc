"""Triage hard negatives: review what is selected, as a mistake of the model or of the label."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.settings import check_switch

from ..app.icons import icons
from ..forms import parts
from ..review import selection, triage
from ..review.wording import texts_of
from ..runs import records
from ..settings import switch_of
from ..store import access

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext


class TriageHardNegatives(foo.Operator):
    """Set the review state of mined objects, in the ledger of the dataset and in every run that contains them."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="triage_hard_negatives",
            label="Triage hard negatives",
            description="Review the selected mistakes: is the model wrong, or the label?",
            **icons("triage"),
            risk_level="medium",
            dynamic=True,
            view_target=False,
        )

    def __call__(
        self,
        samples: SampleCollection,
        run_key: str | None = None,
        state: str | None = None,
        label_ids: Iterable[str] = (),
        *,
        undo: bool = False,
        reviewer: str | None = None,
    ) -> dict[str, Any]:
        """Review objects from Python, and return how many were changed and in which runs.

        Args:
            samples: the dataset that was mined.
            run_key: the run that mined the objects.
            state: the review, such as ``hard_negative`` or ``missing_label``.
            label_ids: ids of the objects.
            undo: withdraw the reviewer's last action instead.
            reviewer: name of the person; None for the user of this process.
        """
        dataset = access.root(samples)
        if check_switch("undo", undo):
            return triage.undo(dataset, reviewer)
        return triage.triage(dataset, run_key, state, label_ids, who=reviewer)

    def resolve_placement(self, ctx: ExecutionContext) -> types.Placement:
        """Return a button above the grid."""
        button = types.Button(label="Triage hard negatives", icon="rule", prompt=True)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        if parts.existing_run(ctx, inputs):
            _ask(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Triage hard negatives"))

    def execute(self, ctx: ExecutionContext) -> dict[str, Any]:
        """Store the review, and update what the App shows."""
        params, who = ctx.params, ctx.params.get("reviewer") or ctx.user_id
        undo = switch_of(params, "undo")
        if undo:
            done = triage.undo(ctx.dataset, who)
        else:
            key, state = params.get("run_key"), params.get("state")
            label_ids, samples = selection.selected_objects(ctx, key)
            clicks = 1 if params.get("label_ids") else 1 + len(ctx.selected_labels or ctx.selected)
            done = triage.triage(ctx.dataset, key, state, label_ids, sample_ids=samples, who=who, clicks=clicks)
        if not ctx.delegated:
            ctx.ops.clear_selected_samples()
            ctx.ops.clear_selected_labels()
            ctx.ops.reload_samples()
            ctx.ops.notify(triage.outcome_text(done, undone=undo), variant="success")
        return done


def _ask(ctx: ExecutionContext, inputs: types.Object) -> None:
    """Ask for the review state, and tell how many objects are selected."""
    choices, key = types.RadioGroup(orientation="vertical"), ctx.params.get("run_key") or records.newest(ctx.dataset)
    without_truth = records.settings_of(ctx.dataset, key).without_truth
    for state, (label, meaning) in texts_of(without_truth=without_truth).items():
        choices.add_choice(state, label=label, description=meaning)
    inputs.enum("state", choices.values(), default="hard_negative", label="Review", view=choices, required=False)
    inputs.bool("undo", label="Undo my last review instead", default=False, view=types.SwitchView())
    if ctx.params.get("undo"):
        return
    label_ids, _ = selection.selected_objects(ctx, key)
    if label_ids:
        inputs.view("what", types.Notice(label=f"The review applies to {triage.count_text(len(label_ids))}"))
    else:
        parts.refuse(inputs, f"nothing is selected: {triage.SELECT_FIRST}")
