"""The panel beside the grid: the steps of a round, a run's numbers and charts, and a click on them filters the grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import background, checks, rounds, runs, views
from ..settings import RunSettings
from ..uris import uri
from . import figures, layout, picks, standing, steps
from .review import CROP, ReviewSection
from .sections import SECTIONS

SENT_ONCE = (layout.CHARTS, layout.TREND, CROP, standing.TREND)
"""What is data and no state."""

MOST_VIEWS = 5
"""How many views *Back* goes back."""


class HardNegativesPanel(ReviewSection, foo.Panel):
    """Shows what a run stored, never what the grid happens to show.

    State goes to and fro with every event, so it holds little: ``head.run`` the chosen run, ``runs`` those there are,
    ``section`` what is open below, ``next`` the step to take, ``asked`` the one whose prompt was opened, ``facts``
    and ``remarks`` to read, ``trouble`` why the run can't be shown, ``jobs`` what works in the background, ``past``
    the views to go back to. Charts are data, which is sent once.
    """

    @property
    def config(self) -> foo.PanelConfig:
        """How FiftyOne lists this panel."""
        return foo.PanelConfig(
            name="hard_negatives_panel",
            label="Hard negatives",
            icon="query_stats",
            surfaces="grid",
            help_markdown="What a mining run found, and the steps of a round: mine, look, review, export, retrain. "
            "Click a bar or a point, and the grid shows what it stands for.",
        )

    def on_load(self, ctx: Any) -> None:
        """Show a run: after a reload of the page the state is still there, the charts are not."""
        ctx.panel.state.set("runs", [])
        self.refresh(ctx)

    def on_change_dataset(self, ctx: Any) -> None:
        """Another dataset has other runs, and no view of this one can be gone back to."""
        ctx.panel.state.set("past", [])
        self.refresh(ctx)

    def on_change_view(self, ctx: Any) -> None:
        """Mining ends with a new view, deleting with a new schema: the runs may be others."""
        self.refresh(ctx)

    def refresh(self, ctx: Any) -> None:
        """Look for new runs, for those that are gone, and at what works in the background."""
        self._look_for_work(ctx)
        self._look_for_runs(ctx)

    def choose_run(self, ctx: Any) -> None:
        """Show the run chosen in the list."""
        self._show(ctx, ctx.params["value"])

    def take_step(self, ctx: Any) -> None:
        """Open what does a step of the round, for the run that is shown."""
        step = next(step for step in steps.STEPS if step.name == ctx.params["step"])
        run = self._run(ctx)
        if step.name in SECTIONS and run:
            self._open(ctx, step.name)  # where the step is taken once something was done there
        else:
            ctx.panel.state.set("asked", step.name)
            self._keep_view(ctx)
            params = {"run_key": run["key"]} if run and step.name != "mine" else {}
            ctx.prompt(uri(step.operator), params=params, on_success=self.answered)

    def prompt(self, ctx: Any) -> None:
        """Open an operator's form for the run that is shown, if there is any."""
        ctx.panel.state.set("asked", "")
        key = ctx.panel.get_state("head.run")
        params = {"run_key": key} if key else {}
        ctx.prompt(uri(ctx.params["operator"]), params=params, on_success=self.answered)

    def answered(self, ctx: Any) -> None:
        """A form that the panel opened was sent, and it worked: note the step, and see what changed."""
        result = ctx.params.get("result")  # of what failed or was scheduled there is none
        if result and not background.is_scheduled(result):
            self._note(ctx, ctx.panel.state.asked or "")
        self.refresh(ctx)

    def show_section(self, ctx: Any) -> None:
        """Open the section chosen in the tabs."""
        self._open(ctx, ctx.params["section"])

    def pick(self, ctx: Any) -> None:
        """Show in the grid what was clicked; a round's point shows its run here."""
        if key := picks.run_of(ctx.params["id"]):
            self._show(ctx, key)
            return

        def picked(settings: RunSettings) -> Any:
            others = ctx.params["id"].startswith("others:")
            classes = rounds.overview(ctx.dataset, settings.run_key)["classes"] if others else ()
            patches = bool(ctx.panel.get_state("head.patches"))
            return picks.view_of(
                ctx.dataset, settings, ctx.params["id"], classes=[str(name) for name, *_ in classes], patches=patches
            )

        self._set_view(ctx, picked)

    def show_hardest(self, ctx: Any) -> None:
        """Show the mined false positives in the grid, as after mining."""
        patches = bool(ctx.panel.get_state("head.patches"))

        def hardest(settings: RunSettings) -> Any:
            view = views.hardest(ctx.dataset, settings, patches=patches)
            if not checks.any_sample(view):
                raise ValueError(f"run {settings.run_key!r} mined no false positives: click a bar to see its misses")
            return view

        self._set_view(ctx, hardest)

    def show_all(self, ctx: Any) -> None:
        """Show the whole dataset in the grid."""
        self._keep_view(ctx)
        ctx.ops.clear_view()

    def back(self, ctx: Any) -> None:
        """Show in the grid what it showed before the last click here."""
        *past, last = ctx.panel.state.past or [[]]
        ctx.panel.state.set("past", past)
        if last:
            ctx.ops.set_view(view=fo.DatasetView._build(ctx.dataset, last))
        else:
            ctx.ops.clear_view()

    def change_tiles(self, ctx: Any) -> None:
        """One object or one sample a tile, from the next click on."""
        ctx.panel.state.set("head.patches", bool(ctx.params["value"]))

    def dismiss(self, ctx: Any) -> None:
        """Put a failed operation away."""
        background.dismiss(ctx.params["id"])
        self._look_for_work(ctx)

    def render(self, ctx: Any) -> types.Property:
        """Lay out what the state holds."""
        self._forget_data(ctx)
        state, panel = ctx.panel.state, types.Object()
        waiting = self._waiting(ctx)
        ready = bool(state.runs) and not waiting and not state.trouble
        offered = [step.name for step in steps.available(SECTIONS)] if ready else ["mine"]
        layout.steps(panel, self, offered, state.next if ready else "mine")
        layout.work(panel, self, state.jobs or [])
        if not state.runs:
            layout.invitation(panel, self, minable=len(checks.detection_fields(ctx.dataset)) >= 2)
        else:
            layout.head(panel, self, [run["key"] for run in state.runs], ready=ready, can_go_back=bool(state.past))
            if waiting:
                layout.waiting(panel, waiting)
            elif state.trouble:
                layout.problem(panel, self, state.trouble)
            else:
                section = state.section if state.section in SECTIONS else next(iter(SECTIONS))
                layout.tabs(panel, self, list(SECTIONS), section)
                SECTIONS[section](panel, self, ctx)
        if waiting or any(job["state"] in background.UNDER_WAY for job in state.jobs or []):
            layout.clock(panel, self)
        return types.Property(panel, view=layout.page())

    def _forget_data(self, ctx: Any) -> None:
        """Take out of the state what belongs to the data.

        After a click on a list or switch the App sends both as state, and from then on lays new data over old ones,
        element by element: a chart would keep the bars that it has no longer, and every event would carry them.
        """
        for name in SENT_ONCE:
            if ctx.panel.get_state(name) is not None:
                ctx.panel.state.set(name, None)

    def _run(self, ctx: Any) -> dict[str, Any] | None:
        """The run that is shown: its key and when it was made."""
        key = ctx.panel.get_state("head.run")
        return next((run for run in ctx.panel.state.runs or [] if run["key"] == key), None)

    def _open(self, ctx: Any, section: str) -> None:
        """Show a tab; the review shows what it last knew, which others may have changed."""
        ctx.panel.state.set("section", section)
        if section == "review":
            self.start_review(ctx)

    def _waiting(self, ctx: Any) -> str | None:
        """The key of the run that is shown, if it is still being written."""
        run = self._run(ctx)
        return run["key"] if run and rounds.is_being_written(run, ctx.panel.state.jobs or []) else None

    def _note(self, ctx: Any, step: str) -> None:
        """Remember a step taken with the run that is shown, and what comes next."""
        run = self._run(ctx)
        if run and step:
            steps.note(ctx, run, step)
            self._look_ahead(ctx)

    def _look_ahead(self, ctx: Any) -> None:
        run = self._run(ctx)
        done = steps.done(ctx, run) if run else []
        ctx.panel.state.set("next", steps.following(steps.available(SECTIONS), done, mined=run is not None))

    def _look_for_work(self, ctx: Any) -> None:
        """Look at what works in the background; where something ended, the dataset may have new fields."""
        before = {job["id"] for job in ctx.panel.state.jobs or [] if job["state"] in background.UNDER_WAY}
        jobs = background.operations(ctx.dataset)
        ctx.panel.state.set("jobs", jobs)
        if before - {job["id"] for job in jobs if job["state"] in background.UNDER_WAY}:
            ctx.ops.reload_dataset()

    def _look_for_runs(self, ctx: Any) -> None:
        """Show the newest run if there is a new one, or if the one shown is gone."""
        known, before = rounds.listed(ctx.dataset), ctx.panel.state.runs or []
        ctx.panel.state.set("runs", known)
        if not known:
            self._look_ahead(ctx)
        elif known != before:
            key = ctx.panel.get_state("head.run")
            now, then = ({(run["key"], run["time"], run["finished"]) for run in each} for each in (known, before))
            gone = key not in [run["key"] for run in known]
            ctx.panel.data.set(layout.TREND, figures.trend(known))
            self._show(ctx, known[0]["key"] if gone or now - then else key)

    def _show(self, ctx: Any, key: str) -> None:
        """Put a run's numbers into the state and its charts into the data."""
        ctx.panel.state.set("head.run", key)
        try:
            shown, before = rounds.overview(ctx.dataset, key), rounds.before(ctx.panel.state.runs, key)
            then = rounds.overview(ctx.dataset, before) if before else None
            facts, drawn = figures.facts(shown, then), figures.drawn(shown)
            remarks = [*figures.remarks(shown), *layout.compared(ctx.dataset, key, before, shown, then)]
        except ValueError as error:
            ctx.panel.state.set("trouble", str(error))
        except Exception as error:  # written by another version, or damaged: to be read where the user is looking
            what = f"the overview of run {key!r} can't be read ({type(error).__name__}: {error})"
            ctx.panel.state.set("trouble", f"{what}: delete it, then mine again")
        else:
            ctx.panel.state.set({"trouble": "", "facts": facts, "remarks": remarks})
            ctx.panel.data.set(layout.CHARTS, drawn)
            if ctx.panel.state.section == "review":
                self.start_review(ctx)
        self._look_ahead(ctx)

    def _keep_view(self, ctx: Any) -> None:
        """Remember what the grid shows, to go back to."""
        now = ctx.view._serialize() if isinstance(ctx.view, fo.DatasetView) else []
        past = [view for view in ctx.panel.state.past or [] if view != now]
        ctx.panel.state.set("past", [*past, now][-MOST_VIEWS:])

    def _set_view(self, ctx: Any, make: Callable[[RunSettings], Any]) -> None:
        """Set the view that is made of the shown run's settings; the run may be gone by now."""
        try:
            view = make(runs.settings_of(ctx.dataset, ctx.panel.get_state("head.run")))
        except ValueError as error:
            ctx.ops.notify(str(error), variant="error")
            self.refresh(ctx)
        else:
            self._keep_view(ctx)
            ctx.ops.set_view(view=view)
            self._note(ctx, "look")
