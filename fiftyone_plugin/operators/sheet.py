"""Review a sheet: one answer for objects of one kind, all but the exceptions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.settings import LARGEST_SHEET, SheetSettings

from ..app.icons import icons
from ..forms import parts, rows
from ..review import selection, sheets, triage
from ..review.ledger import current_user
from ..review.session import open_review
from ..review.wording import texts_of
from ..runs import records
from ..store import access

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext


class ReviewSheet(foo.Operator):
    """Answer the sheet that is shown, if an answer is given, and hand out the next one."""

    takes = (SheetSettings,)
    """Where the options come from, for the reference page."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="review_sheet",
            label="Review a sheet",
            description="Review many mistakes of one kind with one answer, all but those that are selected",
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
        all_but: Iterable[str] = (),
        reviewer: str | None = None,
        **settings: Any,
    ) -> dict[str, Any]:
        """Answer a sheet from Python, if a state is given, and return the next one.

        Args:
            samples: the dataset that was mined.
            run_key: the run that mined the objects.
            state: the review of the objects of the last sheet; None only hands out a sheet.
            label_ids: these objects, as ``keys`` of the last sheet; their twins get the same review.
            all_but: ids or keys of the exceptions among them; they stay unreviewed.
            reviewer: name of the person, for whom the sheet is reserved; None for the user of this process.
            **settings: those of :class:`~hnm_core.settings.SheetSettings`.

        Returns:
            ``sheet``: the next one, None if there is none; ``answered``: what was done with the last one, or None;
            ``label_errors`` known among the mined objects, ``clicks`` spent so far, and objects ``left``.
        """
        dataset, reader = access.root(samples), reviewer or current_user()
        asked = SheetSettings.from_dict(settings)
        done = None
        if state is not None:
            apart, keys = asked.twin_distance, list(label_ids)
            done = sheets.answer(dataset, run_key, keys, state, all_but, reader=reader, who=reviewer, most_apart=apart)
        sheet = sheets.hand_out(dataset, run_key, reader, asked)
        review = open_review(dataset, run_key)
        found, clicks = review.mended()
        numbers = {"label_errors": found, "clicks": clicks, "left": review.unreviewed_count()}
        return {"sheet": sheet.as_dict() if sheet else None, "answered": done, **numbers}

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        if parts.existing_run(ctx, inputs):
            _ask(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Review a sheet"))

    def execute(self, ctx: ExecutionContext) -> dict[str, Any]:
        """Answer what the grid shows if a review was chosen, and show the next sheet in it."""
        key, given = ctx.params.get("run_key"), ctx.params
        settings = {f.name: given[f.name] for f in fields(SheetSettings) if given.get(f.name) not in (None, "")}
        state = given.get("state") or None
        keys, apart = (given.get("label_ids") or [], given.get("all_but") or []) if state else ([], [])
        if state and not keys:
            keys, apart = _shown(ctx, key)
        done = self(ctx.dataset, key, state, keys, all_but=apart, reviewer=given.get("reviewer"), **settings)
        if not ctx.delegated:
            ctx.ops.clear_selected_samples()
            _show(ctx, done)
        return done


def _shown(ctx: ExecutionContext, run_key: str | None) -> tuple[list[str], list[str]]:
    """Return the keys of the objects in the grid, and of those that are selected."""
    view = ctx.view
    if view.get_field("sample_id") is None:
        raise ValueError("the grid shows no sheet: run review_sheet without a review first")
    settings, ids = records.settings_of(ctx.dataset, run_key), view.values("id")
    if len(ids) > LARGEST_SHEET:
        raise ValueError(f"the grid shows {len(ids):,} objects, a sheet at most {LARGEST_SHEET}: take a sheet first")
    return (
        selection.selected_keys(view, settings, ids, ()),
        selection.selected_keys(view, settings, list(ctx.selected), ()),
    )


def _show(ctx: ExecutionContext, done: dict[str, Any]) -> None:
    """Show the next sheet in the grid, and say what was done."""
    if done["answered"]:
        ctx.ops.notify(triage.outcome_text(done["answered"]), variant="success")
    if done["sheet"]:
        sheet = sheets.HandedOut(**done["sheet"])
        ctx.ops.set_view(view=sheets.view_of(ctx.dataset, open_review(ctx.dataset, sheet.run_key), sheet))
    else:
        ctx.ops.notify("No sheet is left: look at the doubtful ones one by one", variant="info")


def _ask(ctx: ExecutionContext, inputs: types.Object) -> None:
    """Ask for the answer to what the grid shows, and how the next sheet is made."""
    if ctx.view.get_field("sample_id") is not None:
        choices, key = (
            types.RadioGroup(orientation="vertical"),
            ctx.params.get("run_key") or records.newest(ctx.dataset),
        )
        without_truth = records.settings_of(ctx.dataset, key).without_truth
        for state, (label, meaning) in texts_of(without_truth=without_truth).items():
            choices.add_choice(state, label=label, description=meaning)
        count, apart = ctx.view.count(), len(ctx.selected)
        what = f"All {count:,} objects in the grid, but the {apart:,} selected"
        inputs.enum("state", choices.values(), label="Review", view=choices, required=False, description=what)
    rows.add_rows(inputs, SheetSettings)
