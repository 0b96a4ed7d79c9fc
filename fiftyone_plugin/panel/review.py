"""The panel's review: the mistake whose answer tells most, cut out of its image; a click each, and what it moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import fiftyone.operators.types as types

from hnm_core.reviews import STATES

from .. import looking, reweigh, triage
from ..review import Review, open_review
from .layout import NOTES, WIDE, WRAPPED, columns
from .standing import TREND, Standing, chart, numbers

QUESTION, CROP = "review_question", "crop"
"""Names of the picture, which is sent once and not with every event."""

ACCEPT = "accept_missing_labels"
LONGEST = 200
"""Looks that the chart goes back."""

VERDICTS = ("hard_negative", "missing_label", "wrong_label", "ignore")
MEANING = (
    "*Model is wrong*: it counts in full. *Label is missing* or *wrong*: it does not count. *Ignore*: it is left out."
)
"""Of the verdicts; not as tooltips, which would cover the next button."""

PICTURE = {"image": {"style": {"width": "100%", "maxHeight": 360, "objectFit": "contain"}}}
WORDS = {"container": {"sx": {"& p": {"m": 0, "mb": 0.5, "fontSize": 13}, "& p strong": {"fontSize": 15}}}}


class ReviewSection:
    """The events of the panel's review.

    ``state.review`` holds the run, the object that is shown and what is said of it, the objects that were skipped, and
    where things stand; the picture is data, which is sent once.
    """

    refresh: Callable[[Any], None]
    """What the panel does to see what changed."""

    _note: Callable[[Any, str], None]
    """How the panel remembers a step taken."""

    def start_review(self, ctx: Any) -> None:
        """Show the first crop of the run that the panel shows."""
        self._reviewed(ctx, lambda review, state: None, fresh=True)

    def on_change_selected(self, ctx: Any) -> None:
        """Once nothing is selected any more, which is how a triage in the grid ends, take in what it said."""
        if ctx.panel.state.section == "review" and not ctx.selected:
            self._reviewed(ctx, _keep_unless_answered)

    def on_change_selected_labels(self, ctx: Any) -> None:
        """The same where single labels were selected."""
        if ctx.panel.state.section == "review" and not ctx.selected_labels:
            self._reviewed(ctx, _keep_unless_answered)

    def give_verdict(self, ctx: Any) -> None:
        """Write down what was clicked, of the object that the browser showed.

        The object is in the state and not in the button, which the App draws a moment after the picture.
        """

        def say(review: Review, state: dict[str, Any]) -> None:
            key, run_key = state.get("key"), review.settings.run_key
            if key is None or review.state[review.row(key)]:  # the second click of a double one
                return
            sample_ids = [state["sample_id"]]
            verdict = ctx.params["verdict"]
            done = triage.triage(ctx.dataset, run_key, verdict, [key], sample_ids=sample_ids, who=ctx.user_id)
            if done["left_out"]:  # of all else the numbers tell
                ctx.ops.notify(triage.said(done), variant="warning")

        self._reviewed(ctx, say)

    def skip(self, ctx: Any) -> None:
        """Show another one."""

        def put_off(review: Review, state: dict[str, Any]) -> None:
            if state.get("key"):
                state["skipped"] = list(dict.fromkeys([*state["skipped"], state["key"]]))

        self._reviewed(ctx, put_off)

    def undo_review(self, ctx: Any) -> None:
        """Withdraw the last answer, wherever it was given, say what it was, and show its object again."""

        def take_back(review: Review, state: dict[str, Any]) -> None:
            undone = triage.undo(ctx.dataset, ctx.user_id)
            state["again"] = next((key for key in undone["keys"] if key in review), None)
            ctx.ops.notify(triage.said(undone, undone=True), variant="warning" if undone["left_out"] else "success")

        self._reviewed(ctx, take_back)

    def apply_reviews(self, ctx: Any) -> None:
        """Let the answers count in the weights."""

        def weigh(review: Review, state: dict[str, Any]) -> None:
            done = reweigh.apply_reviews(ctx.dataset, review.settings.run_key)
            ctx.ops.reload_samples()
            ctx.ops.notify(reweigh.said(done), variant="success")
            self._note(ctx, "review")

        self._reviewed(ctx, weigh)
        self.refresh(ctx)

    def _reviewed(self, ctx: Any, do: Callable[[Review, dict[str, Any]], None], *, fresh: bool = False) -> None:
        """Do something to the review, then show where things stand and what to look at next."""
        key = ctx.panel.get_state("head.run")
        state = dict(ctx.panel.state.review or {})
        if state.get("run") != key:
            state = {"run": key, "trend": [], "drawn": state.get("drawn", 0)}
        if fresh:
            state = {name: state[name] for name in ("run", "trend", "drawn", "before") if name in state}
        state.setdefault("skipped", [])
        try:
            review = open_review(ctx.dataset, key)
            do(review, state)
            review = open_review(ctx.dataset, key)
            picture = _show_next(ctx.dataset, review, state)
        except Exception as error:  # whatever it is, to be read where the user is looking
            trouble = _in_words(error, key)
            state["trouble"] = "" if state.get("key") else trouble
            if state.get("key"):
                ctx.ops.notify(trouble, variant="error")
        else:
            ctx.panel.data.set(f"{QUESTION}.{CROP}", picture)
            ctx.panel.data.set(TREND, chart(state))
        ctx.panel.state.set("review", state)


def section(panel: types.Object, handler: Any, ctx: Any) -> None:
    """Lay out the review."""
    state = ctx.panel.state.review or {}
    if state.get("trouble"):
        panel.view("review_trouble", types.Warning(label="There is nothing to review", description=state["trouble"]))
    elif "now" not in state:
        panel.md("Reading the run…", name="review_wait")
    else:
        before, now = (Standing(*state[name]) for name in ("before", "now"))
        if state["key"]:
            _question(panel, handler, state)
        else:
            panel.view("review_done", types.Success(label=f"All {state['mined']:,} mined objects are reviewed"))
        _actions(panel, handler, state, now)
        numbers(panel, before, now, state)


def _keep_unless_answered(review: Review, state: dict[str, Any]) -> None:
    """Show the same object again, unless somebody has answered meanwhile."""
    key = state.get("key")
    if key is not None and key in review and not review.state[review.row(key)]:
        state["again"] = key


def _in_words(error: Exception, key: str) -> str:
    """What went wrong, as it says itself if it is meant to be read."""
    if isinstance(error, ValueError):
        return str(error)
    return f"run {key!r} can't be reviewed ({type(error).__name__}: {error}): mine again under its key"


def _show_next(dataset: Any, review: Review, state: dict[str, Any]) -> str | None:
    """Put into the state what to look at next and where things stand; the picture of it."""
    before, now = Standing.of(review.unseen()), Standing.of(review.now())
    known = state["trend"] if list(state.get("before", ())) == list(before) else []  # else it was mined anew
    trend = [point for point in known if point[0] < now.looks]  # what was undone is forgotten
    key = state.pop("again", None) or review.next(state["skipped"])
    if key is None and state["skipped"]:  # all others are done: ask again for those put off
        state["skipped"], key = [], review.next()
    shown = looking.look(dataset, review, key) if key else None
    state.update(
        {
            "key": key,
            "sample_id": shown.sample_id if shown else None,
            "pictured": bool(shown and shown.picture),
            "title": shown.title if shown else "",
            "remark": shown.remark if shown else "",
            "of_truth": bool(shown and shown.of_truth),
            "before": before,
            "now": now,
            "trend": [*map(list, trend), list(now)][-LONGEST:],
            "drawn": max(state["drawn"], min(len(trend) + 1, LONGEST) + 1),
            "left": review.left(),
            "mined": int(review.asked_for.sum()),
            "missing": int((review.state == STATES.index("missing_label")).sum()),
            "errors": _by_error(review),
        }
    )
    return shown.picture if shown else None


def _by_error(review: Review) -> list[list[Any]]:
    """Per error type of mined objects: its name, looks, share of label errors and its interval."""
    found = review.now().suspicions.strata.by_error()
    return [[name, *(of[key] for key in ("looks", "wrong", "mean", "low", "high"))] for name, of in found.items()]


def _question(panel: types.Object, handler: Any, state: Mapping[str, Any]) -> None:
    """The crop, what it is, and the verdicts beside it."""
    row = panel.grid(QUESTION, orientation="horizontal", gap=1, componentsProps=columns(240))
    if state["pictured"]:
        row.str(CROP, view=types.ImageView(alt=state["title"], componentsProps=PICTURE))
    side = row.grid("review_side", orientation="vertical", gap=1, componentsProps=WIDE)
    side.md(f"**{state['title']}**\n\n{state['remark']}", name="review_title", componentsProps=WORDS)
    for verdict in (name for name in VERDICTS if name != "missing_label" or not state["of_truth"]):
        side.btn(
            verdict,
            label=triage.VERDICTS[verdict][0],
            on_click=handler.give_verdict,
            params={"verdict": verdict},
            variant="outlined",
            componentsProps={"button": {"sx": {"width": "100%"}}},
        )
    side.md(MEANING, name="review_meaning", componentsProps=NOTES)


def _actions(panel: types.Object, handler: Any, state: Mapping[str, Any], now: Standing) -> None:
    """What else can be done."""
    bar = panel.h_stack("review_bar", gap=1, align_y="center", componentsProps=WRAPPED)
    if state["key"]:
        bar.btn("skip", label="Skip", on_click=handler.skip)
    bar.btn("undo", label="Undo", on_click=handler.undo_review)
    what = "Until then the answers are kept, but weights, and what is exported, do not follow them"
    if state["missing"]:
        label = f"Accept {state['missing']:,} missing label{'' if state['missing'] == 1 else 's'} …"
        bar.btn("accept", label=label, on_click=handler.prompt, params={"operator": ACCEPT}, variant="outlined")
    bar.btn("apply", label="Apply to weights", title=what, on_click=handler.apply_reviews, variant="contained")
