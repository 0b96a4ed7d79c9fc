"""A single look in the panel: the crop of one mistake, what it is, and a button for each review."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import fiftyone.operators.types as types

from hnm_core.report.lines import how_many
from hnm_core.settings import SheetSettings

from ..app import colors
from ..review import editing, mending, sheets, triage
from ..review.session import Review, open_review
from ..review.wording import texts_of
from ..runs import corrections
from ..store import schema, views
from .layout import NOTES, WIDE, WRAPPED, columns

if TYPE_CHECKING:
    from fiftyone.operators import ExecutionContext

CARD, CROP = "review_card", "crop"
"""Names of the card and its picture, which is sent once and not with every event."""

BUTTON_NOTE = (
    "*Model is wrong*: full weight. *Label is missing*, *Class*, *Box is wrong*: no weight. *Ignore*: left out."
)
PROPOSAL_NOTE = (
    "Once all that is listed in an image is reviewed, *Accept as truth* makes labels of it. *Class*, *Box is wrong*: "
    "somebody has to label the image. *Ignore*: left out."
)
"""Explain the buttons; tooltips would cover the next button."""

PICTURE = {"image": {"style": {"width": "100%", "maxHeight": 360, "objectFit": "contain"}}}
EDIT = "Opens it in FiftyOne's Annotate mode, in the corrected copy; what you change there is corrected in the ledger"
CHANGED = "Another object was shown meanwhile, so nothing was reviewed: look again"
LABELLED, FALSE_POSITIVES, TWINS = "labelled", "false_positives", "twins"
"""What can be shown beside an object: labelled objects, other false positives, and itself in other images."""

TEXT = {"container": {"sx": {"& p": {"m": 0, "mb": 0.5, "fontSize": 13}, "& p strong": {"fontSize": 15}}}}


class SingleEvents:
    """The events of a single look; the panel's review has the others."""

    _reviewed: Callable[..., None]
    """Change the review, then show it; the review has it."""

    _keep_view: Callable[[Any], None]
    """Remember the view of the grid; the panel has it."""

    def give_review(self, ctx: ExecutionContext) -> None:
        """Store the review of the object for which the clicked button was drawn, and of its twins.

        The button carries the key: where the App shows another object by now, nothing is changed.
        """

        def give(review: Review, state: dict[str, Any]) -> None:
            key, run_key = ctx.params.get("key"), review.settings.run_key
            if key not in review or review.state[review.row(key)]:  # the second click of a double click
                return
            if key != state.get("key"):
                state["again"] = state.get("key")
                ctx.ops.notify(CHANGED, variant="warning")
                return
            keys = review.with_twins([key], SheetSettings.from_dict(state["sheets"]).twin_distance)
            state_name, sample_ids = ctx.params["review"], review.samples_of(keys)
            known = {"sample_ids": sample_ids, "who": ctx.user_id, "record": review.record}
            done = triage.triage(ctx.dataset, run_key, state_name, keys, **known)
            if done["needs_mining"]:  # everything else is seen in the numbers
                ctx.ops.notify(triage.outcome_text(done), variant="warning")

        self._reviewed(ctx, give)

    def skip(self, ctx: ExecutionContext) -> None:
        """Show another object."""

        def add_to_skipped(review: Review, state: dict[str, Any]) -> None:
            if state.get("key") and state["key"] == ctx.params.get("key"):
                state["skipped"] = list(dict.fromkeys([*state["skipped"], state["key"]]))

        self._reviewed(ctx, add_to_skipped)

    def edit_label(self, ctx: ExecutionContext) -> None:
        """Open the label of the object of the clicked button in Annotate mode, in the corrected copy."""

        def edit(review: Review, state: dict[str, Any]) -> None:
            key = state["again"] = ctx.params["key"]
            dataset, settings, row = ctx.dataset, review.settings, review.row(key)
            made = corrections.is_made(dataset, settings.gt_field)
            triage.mend(dataset, settings.run_key, ctx.user_id)
            side, _, label_id = key.partition(":")
            opened = editing.open_label(dataset, settings, side, label_id, review.sample_ids[row])
            new = schema.make_editable(dataset, opened.field)
            self._keep_view(ctx)
            if new or not made:
                ctx.ops.reload_dataset()
            ctx.ops.set_view(view=views.images_of(dataset).select(opened.sample_id))
            if opened.label_id is None:
                ctx.trigger("open_sample", {"id": opened.sample_id, "mode": "annotate"})
                ctx.ops.notify(f"Draw the label into {opened.field!r}, then close the image", variant="info")
            else:
                at = {"field_path": opened.field, "label_id": opened.label_id}
                ctx.trigger("annotate", {"id": opened.sample_id, **at})

        self._reviewed(ctx, edit)

    def _take_edits(self, ctx: ExecutionContext, key: str | None) -> None:
        """Bring what was edited in Annotate mode into the ledger, and say so."""
        done = triage.take_edits(ctx.dataset, key, ctx.user_id)
        if done and done["edited"]:
            ctx.ops.notify(f"Edits are in the ledger. {mending.outcome_text(done)}", variant="success")

    def show_near(self, ctx: ExecutionContext) -> None:
        """Show in the grid what looks like the object for which the clicked button was drawn."""
        key, what = ctx.params["key"], ctx.params["what"]
        review = open_review(ctx.dataset, ctx.panel.get_state("head.run"))
        state = ctx.panel.state.review or {}
        view = _near_view(ctx.dataset, review, key, what, SheetSettings.from_dict(state.get("sheets", {})))
        if view is None:
            ctx.ops.notify("What looked like it is no longer in the dataset: mine again", variant="warning")
            return
        self._keep_view(ctx)
        ctx.ops.set_view(view=view)
        colors.set_colors(ctx, review.settings)


def near_counts(review: Review, key: str | None) -> dict[str, int]:
    """Return how many labelled objects and other false positives look like an object."""
    if key is None or key not in review:
        return {LABELLED: 0, FALSE_POSITIVES: 0}
    near = review.nearby.of(review.row(key))
    return {LABELLED: len(near.labelled[0]), FALSE_POSITIVES: len(near.false_positives[0])}


def _near_view(dataset: Any, review: Review, key: str, what: str, settings: SheetSettings) -> Any | None:
    """Return patches of what looks like an object, nearest first; None if nothing of it is there any more."""
    if key not in review:
        return None
    near, row = review.nearby.of(review.row(key)), review.row(key)
    fields = {LABELLED: review.settings.gt_field, FALSE_POSITIVES: review.settings.pred_field}
    if what == TWINS:
        rows = [review.row(each) for each in review.with_twins([key], settings.twin_distance)]
        label_ids, sample_ids = ([of[at] for at in rows] for of in (review.label_ids, review.sample_ids))
        field = fields[LABELLED if review.mistakes.of_truth[row] else FALSE_POSITIVES]
    else:
        (label_ids, sample_ids), field = getattr(near, what), fields[what]
    other = next(each for each in fields.values() if each != field)
    view = sheets.patches_of(dataset, field, sample_ids, label_ids, [other])
    return view if len(view) else None


def card(panel: types.Object, handler: Any, state: Mapping[str, Any]) -> None:
    """Add the crop, its description, and the review buttons."""
    row = panel.grid(CARD, orientation="horizontal", gap=1, componentsProps=columns(240))
    if state["pictured"]:
        row.str(CROP, view=types.ImageView(alt=state["title"], componentsProps=PICTURE))
    side = row.grid("review_side", orientation="vertical", gap=1, componentsProps=WIDE)
    often = f"\n\n**Seen {state['seen']:,} times**: one answer settles all." if state["seen"] > 1 else ""
    side.md(f"**{state['title']}**\n\n{state['remark']}{often}", name="review_title", componentsProps=TEXT)
    texts = texts_of(without_truth=state["without_truth"])
    for state_name in sheets.states_of("truth" if state["of_truth"] else "prediction"):
        side.btn(
            state_name,
            label=texts[state_name][0],
            on_click=handler.give_review,
            params={"review": state_name, "key": state["key"]},
            variant="outlined",
            componentsProps={"button": {"sx": {"width": "100%"}}},
        )
    if not state["without_truth"]:  # there is no label to edit
        side.btn(
            "edit_label",
            label="Edit the label …",
            title=EDIT,
            on_click=handler.edit_label,
            params={"key": state["key"]},
            variant="outlined",
            componentsProps={"button": {"sx": {"width": "100%"}}},
        )
    side.md(PROPOSAL_NOTE if state["without_truth"] else BUTTON_NOTE, name="review_meaning", componentsProps=NOTES)
    _near(panel, handler, state)


def _near(panel: types.Object, handler: Any, state: Mapping[str, Any]) -> None:
    """Add a button for each kind of object that looks like this one."""
    counts = {TWINS: state["seen"] if state["seen"] > 1 else 0, **state["near"]}
    label = {
        TWINS: "Show all {} times",
        LABELLED: f"{how_many(counts.get(LABELLED, 0), 'labelled object')} like it",
        FALSE_POSITIVES: f"{how_many(counts.get(FALSE_POSITIVES, 0), 'other false positive')} like it",
    }
    if not any(counts.values()):
        return
    row = panel.h_stack("near", gap=1, align_y="center", componentsProps=WRAPPED)
    for what, count in counts.items():
        if count:
            row.btn(
                f"near_{what}",
                label=label[what].format(f"{count:,}"),
                on_click=handler.show_near,
                params={"what": what, "key": state["key"]},
                variant="outlined",
            )
