"""The panel's review: the mistake whose answer tells most, cut out of its image; a click each, and what it moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import fiftyone.operators.types as types

from hnm_core.report import percent
from hnm_core.reviews import STATES
from hnm_core.weights import effective_sample_size

from .. import looking, reweigh, triage
from ..review import Review, open_review
from .layout import FACT, NOTES, QUIET, WIDE, WRAPPED

QUESTION, CROP, TREND = "review_question", "crop", "review_trend"
"""Names of what is sent once and not with every event: the picture and the chart."""

ACCEPT = "accept_missing_labels"
LONGEST = 200
"""Looks that the chart goes back."""

VERDICTS = ("hard_negative", "missing_label", "wrong_label", "ignore")
MEANING = (
    "*Model is wrong*: it counts in full. *Label is missing* or *wrong*: it does not count. *Ignore*: it is left out."
)
"""Of the verdicts; not as tooltips, which would cover the next button."""

ROWS = {"gridAutoFlow": "row", "gap": 1}
LINE, BAND = "#D55E00", "rgba(213, 94, 0, 0.2)"
COLUMNS = {"grid": {"sx": {"gridTemplateColumns": "repeat(auto-fit, minmax(min(100%, 240px), 1fr))", **ROWS}}}
FACTS = {"grid": {"sx": {"gridTemplateColumns": "repeat(auto-fit, minmax(min(100%, 112px), 1fr))", **ROWS}}}
PICTURE = {"image": {"style": {"width": "100%", "maxHeight": 360, "objectFit": "contain"}}}
WORDS = {"container": {"sx": {"& p": {"m": 0, "mb": 0.5, "fontSize": 13}, "& p strong": {"fontSize": 15}}}}


TREND_LAYOUT = {
    "title": {"text": "Expected label errors, with their 90 % interval", "font": {"size": 13}, "x": 0.02, "y": 0.97},
    "font": {"size": 11},
    "margin": {"t": 34, "l": 48, "r": 12, "b": 40},
    "yaxis": {"rangemode": "tozero", "zeroline": False},
}


class Standing(NamedTuple):
    """What the answers so far say of a run.

    Attributes:
        looks: answers that count.
        expected: label errors expected among the mined objects.
        low: lower end of their interval.
        high: upper end.
        extra: mean extra weight of an image.
        effective: effective sample size over the number of images.
    """

    looks: int
    expected: float
    low: float
    high: float
    extra: float
    effective: float

    @classmethod
    def of(cls, judged: Any) -> Standing:
        """The numbers of a judgement."""
        extra = float(judged.weights.mean() - 1.0) if len(judged.weights) else 0.0
        low, high = map(float, judged.expected_interval)
        expected, effective = float(judged.expected_label_errors), effective_sample_size(judged.weights)
        return cls(judged.suspicions.looks, expected, low, high, extra, effective)


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
            ctx.panel.data.set(TREND, _trend(state))
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
        _numbers(panel, before, now, state)


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
    row = panel.grid(QUESTION, orientation="horizontal", componentsProps=COLUMNS)
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


def _numbers(panel: types.Object, before: Standing, now: Standing, state: Mapping[str, Any]) -> None:
    """What the answers have moved: before anybody looked → now."""
    facts = (
        ("Looks", f"{now.looks:,}", f"{state['left']:,} of {state['mined']:,} mined objects left"),
        (
            "Expected label errors",
            f"{before.expected:.0f} → {now.expected:.0f}",
            f"90 % interval {now.low:.0f} to {now.high:.0f}, before {before.low:.0f} to {before.high:.0f}",
        ),
        ("Certainty", _certainty(before, now), _said_certain(before, now)),
        ("Mean extra weight", f"{before.extra:.3f} → {now.extra:.3f}", "of an image, by its hard negatives"),
        ("Effective sample", f"{percent(before.effective, 1)} → {percent(now.effective, 1)}", "of the images"),
    )
    grid = panel.grid("review_numbers", orientation="horizontal", componentsProps=FACTS)
    for number, (name, value, remark) in enumerate(facts):
        grid.md(
            f"{name}\n\n**{value}**\n\n*{remark}*", name=f"moved_{number}", componentsProps={"container": {"sx": FACT}}
        )
    panel.plot(TREND, layout=_trend_layout(now.looks), config=QUIET, height="200px")
    lines = ["| error | looks | label errors | share now (90 %) |", "|---|---|---|---|"]
    for name, looks, wrong, mean, low, high in state["errors"]:
        share = f"{100 * mean:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"
        lines.append(f"| {name} | {looks:.0f} | {wrong:.0f} | {share} |")
    panel.md("\n".join(lines), name="review_errors", componentsProps=NOTES)


def _trend_layout(looks: int) -> dict[str, Any]:
    """Whole looks along the axis, from none."""
    x = {"title": {"text": "looks", "font": {"size": 11}, "standoff": 6}, "zeroline": False}
    return {**TREND_LAYOUT, "xaxis": {**x, "range": [-0.2, max(looks, 4) + 0.2], "tickformat": "d"}}


def _certainty(before: Standing, now: Standing) -> str:
    """Half the width of the interval, before anybody looked and now."""
    return f"±{(before.high - before.low) / 2:.0f} → ±{(now.high - now.low) / 2:.0f}"


def _said_certain(before: Standing, now: Standing) -> str:
    """What the looks bought, in words."""
    width, was = now.high - now.low, before.high - before.low
    if not now.looks or not was:
        return "label errors; nobody has looked yet" if not now.looks else "label errors"
    looks = "1 look" if now.looks == 1 else f"{now.looks} looks"
    return f"{looks} made the interval {100 * (1 - width / was):.0f} % narrower"


def _trend(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Expected label errors after every look, and the band of their interval."""
    points = [Standing(*point) for point in (state["before"], *state["trend"])]
    points += points[-1:] * (state["drawn"] - len(points))  # the App merges lists: a shorter one would keep its old end
    looks = [point.looks for point in points]
    band = {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "showlegend": False, "line": {"width": 0}}
    return [
        {**band, "x": looks, "y": [point.high for point in points]},
        {**band, "x": looks, "y": [point.low for point in points], "fill": "tonexty", "fillcolor": BAND},
        {
            "type": "scatter",
            "mode": "lines+markers",
            "showlegend": False,
            "x": looks,
            "y": [point.expected for point in points],
            "line": {"color": LINE},
            "marker": {"size": 5},
            "hovertemplate": "after %{x} looks: %{y:.0f}<extra></extra>",
        },
    ]
