"""The review in the panel: one crop at a time, and what the reviews change.

The crop is that of the mistake whose review is expected to change the weights most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import fiftyone.operators.types as types
import numpy as np

from hnm_core.live.unlabelled import RANKED_BY
from hnm_core.report.lines import how_many
from hnm_core.settings import SheetSettings
from hnm_core.weighting.effect import mean_weight

from ..app.uris import uri
from ..review import card, mending, reweigh, triage
from ..review.session import Review, open_review
from ..runs import corrections, history, records
from . import sheets as sheet_section
from . import single
from .layout import NOTES, WRAPPED
from .review_numbers import TREND, ReviewNumbers, chart, numbers
from .sheets import SHEETS, SheetEvents
from .single import CARD, CROP, SingleEvents

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.operators import ExecutionContext

MINE = "mine_hard_negatives"
MENDS = "Corrections go into a copy of the ground truth; Undo takes the last review back there, too"
FITS = "Learn from what is reviewed which detections are errors, to rank the next lists by it"
NEW: dict[str, Any] = {"skipped": [], "mode": "single", "sheet": None, "sheets": {}, "reader": "", "later": []}
KEPT = ("mode", "sheets", "reader")
"""The state of a review that begins, and what of it stays when it is read again."""

LONGEST_TREND = 200
"""Number of reviews that the chart shows."""


class ReviewSection(SheetEvents, SingleEvents):
    """The events of the panel's review.

    ``state.review`` holds the run, the object that is shown and its texts, the skipped objects, and the current
    numbers; the picture is data, which is sent once.
    """

    refresh: Callable[[Any], None]
    """Update the panel; the panel has it."""

    form_done: Callable[[Any], None]
    """Refresh after an operator; the panel has it."""

    _note_step: Callable[[Any, str], None]
    """Remember a step; the panel has it."""

    def start_review(self, ctx: ExecutionContext) -> None:
        """Show the first crop of the run that the panel shows."""
        self._reviewed(ctx, lambda review, state: None, fresh=True)

    def on_change_selected(self, ctx: ExecutionContext) -> None:
        """Count the exceptions on a sheet; else read new reviews after a triage in the grid, which ends without any."""
        if not self._counted(ctx) and ctx.panel.state.section == "review" and not ctx.selected:
            self._reviewed(ctx, _keep_unless_reviewed)

    def on_change_selected_labels(self, ctx: ExecutionContext) -> None:
        """Read new reviews after a selection of labels is cleared."""
        if not self._counted(ctx) and ctx.panel.state.section == "review" and not ctx.selected_labels:
            self._reviewed(ctx, _keep_unless_reviewed)

    def undo_review(self, ctx: ExecutionContext) -> None:
        """Withdraw the last review, wherever it was given, tell which it was, and show its object again."""

        def take_back(review: Review, state: dict[str, Any]) -> None:
            undone = triage.undo(ctx.dataset, ctx.user_id)
            if not self._taken_back(ctx, state, undone["keys"]):
                state["again"] = next((key for key in undone["keys"] if key in review), None)
            ctx.ops.notify(
                triage.outcome_text(undone, undone=True), variant="warning" if undone["needs_mining"] else "success"
            )

        self._reviewed(ctx, take_back)

    def apply_reviews(self, ctx: ExecutionContext) -> None:
        """Apply the reviews to the weights."""

        def weigh(review: Review, state: dict[str, Any]) -> None:
            done = reweigh.apply_reviews(ctx.dataset, review.settings.run_key)
            ctx.ops.reload_samples()
            ctx.ops.notify(reweigh.outcome_text(done), variant="success")
            self._note_step(ctx, "review")

        self._reviewed(ctx, weigh)
        self.refresh(ctx)

    def mend_labels(self, ctx: ExecutionContext) -> None:
        """Mend what was reviewed as a label error, in the corrected copy."""

        def mend(review: Review, state: dict[str, Any]) -> None:
            done = triage.mend(ctx.dataset, review.settings.run_key, ctx.user_id)
            if done["changed"]:
                ctx.ops.reload_dataset()
            ctx.ops.notify(mending.outcome_text(done), variant="success")

        self._reviewed(ctx, mend)

    def mine_again(self, ctx: ExecutionContext) -> None:
        """Mine the corrected copy with the settings of the run that is shown; only what changed is read and written."""
        settings = records.settings_of(ctx.dataset, ctx.panel.get_state("head.run"))
        self._take_edits(ctx, settings.run_key)
        params = {
            **{name: value for name, value in settings.as_dict().items() if value not in (None, "", {}, [])},
            "gt_field": corrections.copy_of(ctx.dataset, settings.gt_field),
            "overwrite": True,
            "view_target": "DATASET",
        }
        ctx.prompt(uri(MINE), params=params, on_success=self.form_done, skip_prompt=True)

    def _reviewed(
        self, ctx: ExecutionContext, do: Callable[[Review, dict[str, Any]], None], *, fresh: bool = False
    ) -> None:
        """Change the review, then show the numbers and the next object."""
        key = ctx.panel.get_state("head.run")
        state = dict(ctx.panel.state.review or {})
        if state.get("run") != key:
            state = {"run": key, "trend": [], "drawn": state.get("drawn", 0)}
        if fresh:
            state = {name: state[name] for name in ("run", "trend", "drawn", "before", *KEPT) if name in state}
        state |= {name: state.get(name, value) for name, value in NEW.items()}
        try:
            self._take_edits(ctx, key)
            review = open_review(ctx.dataset, key)
            do(review, state)
            review = open_review(ctx.dataset, key)
            if state["mode"] == SHEETS:
                self._turn(ctx, review, state)
            picture = _show_next(ctx.dataset, review, state)
        except Exception as error:  # any error is shown where the user is looking
            trouble = _error_text(error, key)
            state["trouble"] = "" if state.get("key") else trouble
            if state.get("key"):
                ctx.ops.notify(trouble, variant="error")
        else:
            ctx.panel.data.set(f"{CARD}.{CROP}", picture)
            ctx.panel.data.set(TREND, chart(state))
        ctx.panel.state.set("review", state)


def section(panel: types.Object, handler: Any, ctx: ExecutionContext) -> None:
    """Add the review."""
    state = ctx.panel.state.review or {}
    if state.get("trouble"):
        panel.view("review_trouble", types.Warning(label="There is nothing to review", description=state["trouble"]))
    elif "now" not in state:
        panel.md("Reading the run…", name="review_wait")
    else:
        before, now = (ReviewNumbers(*state[name]) for name in ("before", "now"))
        sheet_section.switch(panel, handler, state)
        if state["mode"] == SHEETS:
            sheet_section.section(panel, handler, state, ctx.panel.state.exceptions)
        elif state["key"]:
            single.card(panel, handler, state)
        else:
            what = how_many(state["mined"], "proposal" if state["without_truth"] else "mined object")
            done = f"All {what} are reviewed" if state["mined"] != 1 else f"The {what[2:]} is reviewed"
            panel.view("review_done", types.Success(label=done))
        _actions(panel, handler, state, now)
        if not state["without_truth"]:
            numbers(panel, before, now, state)


def _keep_unless_reviewed(review: Review, state: dict[str, Any]) -> None:
    """Show the same object again, unless somebody has reviewed it meanwhile."""
    key = state.get("key")
    if key is not None and key in review and not review.state[review.row(key)]:
        state["again"] = key


def _error_text(error: Exception, key: str) -> str:
    """Return the text of an error: its own if it is written for users."""
    if isinstance(error, ValueError):
        return str(error)
    return f"run {key!r} cannot be reviewed ({type(error).__name__}: {error}): mine again under its key"


def _show_next(dataset: fo.Dataset, review: Review, state: dict[str, Any]) -> str | None:
    """Put the next object and the current numbers into the state, and return its picture."""
    before, now = ReviewNumbers.of(review.estimate_before()), ReviewNumbers.of(review.estimate_now())
    run = review.record
    known = state["trend"] if list(state.get("before", ())) == list(before) else []  # otherwise it was mined again
    trend = [point for point in known if point[0] < now.review_count]  # points after an undo are dropped
    one_by_one = state["mode"] != SHEETS
    most_apart = SheetSettings.from_dict(state["sheets"]).twin_distance
    key = (state.pop("again", None) or review.next(state["skipped"], most_apart)) if one_by_one else None
    if key is None and state["skipped"] and one_by_one:  # all others are reviewed: show the skipped ones again
        state["skipped"], key = [], review.next(most_apart=most_apart)
    shown = card.make_card(dataset, review, key) if key else None
    state.update(
        {
            "key": key,
            "sample_id": shown.sample_id if shown else None,
            "pictured": bool(shown and shown.picture),
            "title": shown.title if shown else "",
            "remark": shown.remark if shown else "",
            "of_truth": bool(shown and shown.of_truth),
            "seen": len(review.with_twins([key], most_apart)) if key else 0,
            "near": single.near_counts(review, key),
            "twinned": review.twins is not None,
            "before": before,
            "now": now,
            "trend": [*map(list, trend), list(now)][-LONGEST_TREND:],
            "drawn": max(state["drawn"], min(len(trend) + 1, LONGEST_TREND) + 1),
            "unreviewed": review.unreviewed_count(),
            "mined": int(review.reviewable.sum()),
            "spent": review.mended(),
            "doubtful": len(np.unique(review.twin_of(most_apart)[review.open & review.doubtful])),
            "stale": corrections.stale_note_of(dataset, run),
            "errors": _by_error(review),
            "without_truth": review.settings.without_truth,
            "guessed": review.settings.ranked_by == RANKED_BY[1],
            "applied": _applied(run, review),
        }
    )
    return shown.picture if shown else None


def _applied(run: records.Record, review: Review) -> dict[str, Any]:
    """Return how many reviews the stored weights hold, when they were applied, and whether they are all.

    Weights are compared too: another review of the same object leaves the number as it was.
    """
    report, estimate = history.overview_of(run)["report"], review.estimate_now()
    stored, weights = report["mining"]["review_count"], report["weights"]
    same = weights is None or math.isclose(weights["mean_weight"], mean_weight(estimate.weights), abs_tol=1e-9)
    when = run.config.reviews_applied if run.config else ""
    return {
        "count": stored,
        "when": when[:16].replace("T", " "),
        "all": same and stored == estimate.suspicions.review_count,
    }


def _by_error(review: Review) -> list[list[Any]]:
    """Return, per error type of mined objects, its name, number of reviews, share of label errors and interval."""
    found = review.estimate_now().suspicions.strata.by_error()
    return [
        [name, *(of[key] for key in ("review_count", "wrong", "mean", "low", "high"))] for name, of in found.items()
    ]


def _actions(panel: types.Object, handler: Any, state: Mapping[str, Any], now: ReviewNumbers) -> None:
    """Add the other buttons."""
    bar = panel.h_stack("review_bar", gap=1, align_y="center", componentsProps=WRAPPED)
    if state["key"]:
        bar.btn("skip", label="Skip", on_click=handler.skip, params={"key": state["key"]})
    bar.btn("undo", label="Undo", on_click=handler.undo_review)
    what = "Reviews are stored at once, but weights and exports change only after this"
    if state["without_truth"]:
        what = "Samples in which all is reviewed get a ground truth of their own; then mine with it"
        params = {"operator": "accept_missing_labels"}
        fit = {"operator": "fit_verifier"}
        bar.btn("fit", label="Fit verifier …", title=FITS, on_click=handler.prompt, params=fit, variant="outlined")
        bar.btn(
            "accept", label="Accept as truth …", title=what, on_click=handler.prompt, params=params, variant="outlined"
        )
        return
    if found := state["spent"][0]:
        label = f"Mend {how_many(found, 'label')}"
        bar.btn("mend", label=label, title=MENDS, on_click=handler.mend_labels, variant="outlined")
    applied = state["applied"]
    variant = "outlined" if applied["all"] else "contained"
    bar.btn("apply", label="Apply to weights", title=what, on_click=handler.apply_reviews, variant=variant)
    panel.md(_applied_text(applied, now.review_count), name="applied", componentsProps=NOTES)
    if state["stale"]:
        panel.view("stale", types.Warning(label="This run is stale", description=state["stale"]))
        panel.btn("mine_again", label="Mine again", on_click=handler.mine_again, variant="contained")


def _applied_text(applied: Mapping[str, Any], count: int) -> str:
    """Say whether the weights hold the reviews."""
    when = f", applied {applied['when']} UTC" if applied["when"] else ""
    if applied["all"]:
        held = how_many(count, "review")
        return (
            f"✓ The weights hold {'all ' * (count > 1)}{held}{when}."
            if count
            else "No review yet: weights hold a prior."
        )
    now = f"now there are {count:,}" if applied["count"] != count else "some have changed since"
    return f"**Not in the weights yet**: the weights hold {how_many(applied['count'], 'review')}{when}; {now}."
