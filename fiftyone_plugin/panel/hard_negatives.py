"""The panel beside the grid: the steps of a round, a run's numbers and charts. A click on them filters the grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from ..app import background, colors
from ..app.uris import uri
from ..runs import history, records
from ..settings import RunSettings
from ..store import access, checks, views
from . import figures, layout, picks, review_numbers, steps
from .review import ReviewSection
from .sections import SECTIONS
from .sheets import NO_SHEET
from .single import CROP
from .suspects import SuspectsSection
from .threshold import ThresholdSection
from .turns import turns
from .unlabelled import UnlabelledSection

if TYPE_CHECKING:
    from fiftyone.operators import ExecutionContext

SENT_ONCE = (layout.CHARTS, layout.TREND, CROP, review_numbers.TREND)
"""Names that belong to the data, not to the state."""

MOST_VIEWS = 5
"""Number of views that *Back* can go back."""


class HardNegativesPanel(ReviewSection, ThresholdSection, UnlabelledSection, SuspectsSection, foo.Panel):
    """Show what a run has stored, whatever the grid shows.

    The state is sent with every event, so it is small: ``head.run`` the chosen run, ``runs`` all runs, ``section`` the
    open tab, ``without_truth`` whether it lists proposals, ``next`` the next step, ``asked`` the step whose form was
    opened, ``facts`` and ``remarks`` to read, ``confused`` whether classes are, ``suspects`` the labels that the model
    contradicts, ``counts`` at other thresholds, ``pick`` the mark that was clicked last, ``trouble`` why the run cannot
    be shown, ``jobs`` the background work, ``past`` the views to go back to. Charts are data, which is sent once.
    """

    @property
    def config(self) -> foo.PanelConfig:
        """Return how FiftyOne lists this panel."""
        return foo.PanelConfig(
            name="hard_negatives_panel",
            label="Hard negatives",
            icon="query_stats",
            surfaces="grid",
            help_markdown="The result of a mining run, and the steps of a round: mine, look, review, export, retrain. "
            "Click a bar or a point to show its objects in the grid.",
        )

    def execute(self, ctx: ExecutionContext) -> Any:
        """Handle an event, after all events that the same browser window sent before."""
        with turns.turn(ctx, SENT_ONCE):
            return super().execute(ctx)

    def on_load(self, ctx: ExecutionContext) -> None:
        """Show a run. After a reload of the page the state is still there, but the charts are not.

        The App gives a second browser the state of the first: it reads sheets of its own.
        """
        review = ctx.panel.state.review
        ctx.panel.state.set({"runs": [], "review": review and {**review, **NO_SHEET}})
        self.refresh(ctx)

    def on_change_dataset(self, ctx: ExecutionContext) -> None:
        """Show the other dataset's runs, and forget the views to go back to."""
        ctx.panel.state.set("past", [])
        self.refresh(ctx)

    def on_change_view(self, ctx: ExecutionContext) -> None:
        """Look for new runs: mining ends with a new view, deleting with a new schema."""
        self.refresh(ctx)

    def refresh(self, ctx: ExecutionContext) -> None:
        """Update the list of runs and the background work."""
        self._refresh_jobs(ctx)
        self._refresh_runs(ctx)

    def choose_run(self, ctx: ExecutionContext) -> None:
        """Show the run chosen in the list."""
        self._show(ctx, ctx.params["value"])

    def take_step(self, ctx: ExecutionContext) -> None:
        """Open the form or the tab of a step of the round, for the run that is shown."""
        step = next(step for step in steps.STEPS if step.name == ctx.params["step"])
        run = self._run(ctx)
        if step.name in SECTIONS and run:
            self._open(ctx, step.name)  # the step counts as taken only after something was done there
        else:
            ctx.panel.state.set("asked", step.name)
            self._keep_view(ctx)
            params = {"run_key": run["key"]} if run and step.name != "mine" else {}
            ctx.prompt(uri(step.operator), params=params, on_success=self.form_done)

    def prompt(self, ctx: ExecutionContext) -> None:
        """Open an operator's form for the run that is shown, if there is one."""
        ctx.panel.state.set("asked", "")
        key = ctx.panel.get_state("head.run")
        params = {ctx.params.get("parameter", "run_key"): key} if key else {}
        ctx.prompt(uri(ctx.params["operator"]), params=params, on_success=self.form_done)

    def form_done(self, ctx: ExecutionContext) -> None:
        """Note the step and refresh, after a form that the panel opened was executed."""
        result = ctx.params.get("result")  # there is none after a failure or when scheduled
        if result and not background.is_scheduled(result):
            self._note_step(ctx, ctx.panel.state.asked or "")
        self.refresh(ctx)

    def show_section(self, ctx: ExecutionContext) -> None:
        """Open the section chosen in the tabs."""
        self._open(ctx, ctx.params["section"])

    def pick(self, ctx: ExecutionContext) -> None:
        """Show in the grid what was clicked; a point of the trend shows its run in the panel."""
        if key := picks.run_of(ctx.params["id"]):
            self._show(ctx, key)
            return

        self._show_pick(ctx, ctx.params["id"])

    def show_hardest(self, ctx: ExecutionContext) -> None:
        """Show the mined false positives in the grid, as after mining."""
        self._show_pick(ctx, "")

    def _show_pick(self, ctx: ExecutionContext, pick: str) -> None:
        """Show in the grid what a mark stands for; without one, the mined false positives."""
        patches = bool(ctx.panel.state.patches)

        def picked(settings: RunSettings) -> Any:
            others = pick.startswith("others:")
            classes = history.overview(ctx.dataset, settings.run_key)["classes"] if others else ()
            named = [str(name) for name, *_ in classes]
            return picks.view_of(ctx.dataset, settings, pick, classes=named, patches=patches)

        def hardest(settings: RunSettings) -> Any:
            view = views.hardest(ctx.dataset, settings, patches=patches)
            if not checks.any_sample(view):
                raise ValueError(
                    f"run {settings.run_key!r} mined no false positives: click a bar to see its false negatives"
                )
            return view

        ctx.panel.state.set("pick", pick)
        self._set_view(ctx, picked if pick else hardest)

    def show_all(self, ctx: ExecutionContext) -> None:
        """Show the whole dataset in the grid, in the colours that it had."""
        self._keep_view(ctx)
        ctx.ops.clear_view()
        colors.reset_colors(ctx)

    def back(self, ctx: ExecutionContext) -> None:
        """Show in the grid what it showed before the last click in the panel."""
        *past, last = ctx.panel.state.past or [[]]
        ctx.panel.state.set("past", past)
        if last:
            ctx.ops.set_view(view=access.view_of(ctx.dataset, last))
        else:
            ctx.ops.clear_view()
            colors.reset_colors(ctx)

    def change_tiles(self, ctx: ExecutionContext) -> None:
        """Switch between one object and one sample per tile, and show what was shown last so at once.

        The App also calls this when it draws the switch for the first time: the user's view must stay then.
        """
        patches = bool(ctx.params["value"])
        changed = patches != bool(ctx.panel.state.patches)
        ctx.panel.state.set("patches", patches)
        if changed and self._run(ctx):
            self._show_pick(ctx, ctx.panel.state.pick or "")

    def dismiss(self, ctx: ExecutionContext) -> None:
        """Archive a failed operation."""
        background.dismiss(ctx.params["id"])
        self._refresh_jobs(ctx)

    def render(self, ctx: ExecutionContext) -> types.Property:
        """Lay out the state."""
        state, panel = ctx.panel.state, types.Object()
        waiting = self._run_being_written(ctx)
        ready = bool(state.runs) and not waiting and not state.trouble
        offered = [step.name for step in steps.available(SECTIONS)] if ready else ["mine"]
        layout.steps(panel, self, offered, state.next if ready else "mine")
        layout.work(panel, self, state.jobs or [])
        if not state.runs:
            layout.empty_state(panel, self, ctx.dataset)
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

    def _run(self, ctx: ExecutionContext) -> dict[str, Any] | None:
        """Return the run that is shown: its key and its time."""
        key = ctx.panel.get_state("head.run")
        return next((run for run in ctx.panel.state.runs or [] if run["key"] == key), None)

    def _open(self, ctx: ExecutionContext, section: str) -> None:
        """Show a tab; the review is read again, since others may have changed it."""
        ctx.panel.state.set("section", section)
        if section == "review":
            self.start_review(ctx)

    def _run_being_written(self, ctx: ExecutionContext) -> str | None:
        """Return the key of the run that is shown, if it is still being written."""
        run = self._run(ctx)
        return run["key"] if run and history.is_being_written(run, ctx.panel.state.jobs or []) else None

    def _note_step(self, ctx: ExecutionContext, step: str) -> None:
        """Remember a step taken with the run that is shown, and find the next one."""
        run = self._run(ctx)
        if run and step:
            steps.note(ctx, run, step)
            self._find_next_step(ctx)

    def _find_next_step(self, ctx: ExecutionContext) -> None:
        run = self._run(ctx)
        done = steps.done(ctx, run) if run else []
        ctx.panel.state.set("next", steps.following(steps.available(SECTIONS), done, mined=run is not None))

    def _refresh_jobs(self, ctx: ExecutionContext) -> None:
        """Update the background work. When some of it has ended, the dataset may have new fields."""
        before = {job["id"] for job in ctx.panel.state.jobs or [] if job["state"] in background.UNDER_WAY}
        jobs = background.operations(ctx.dataset)
        ctx.panel.state.set("jobs", jobs)
        if before - {job["id"] for job in jobs if job["state"] in background.UNDER_WAY}:
            ctx.ops.reload_dataset()

    def _refresh_runs(self, ctx: ExecutionContext) -> None:
        """Show the newest run if there is a new one, or if the one shown is gone."""
        known, before = history.list_runs(ctx.dataset), ctx.panel.state.runs or []
        ctx.panel.state.set("runs", known)
        if not known:
            self._find_next_step(ctx)
        elif known != before:
            key = ctx.panel.get_state("head.run")
            now, then = ({(run["key"], run["time"], run["finished"]) for run in each} for each in (known, before))
            gone = key not in [run["key"] for run in known]
            ctx.panel.data.set(layout.TREND, figures.trend(known))
            self._show(ctx, known[0]["key"] if gone or now - then else key)

    def _show(self, ctx: ExecutionContext, key: str) -> None:
        """Put a run's numbers into the state and its charts into the data."""
        ctx.panel.state.set("head.run", key)
        try:
            shown, before = history.overview(ctx.dataset, key), history.previous_run(ctx.panel.state.runs, key)
            then = history.overview(ctx.dataset, before) if before else None
            facts, drawn = figures.facts(shown, then), figures.drawn(shown)
            remarks = [*figures.remarks(shown), *layout.comparison_remarks(ctx.dataset, key, before, shown, then)]
        except ValueError as error:
            ctx.panel.state.set("trouble", str(error))
        except Exception as error:  # the stored overview is damaged: tell the user in the panel
            what = f"the overview of run {key!r} cannot be read ({type(error).__name__}: {error})"
            ctx.panel.state.set("trouble", f"{what}: delete it, then mine again")
        else:
            more = {"confused": bool(shown.get("confusions")), "suspects": shown["report"].get("label_suspects", {})}
            more["without_truth"] = bool(shown.get("ranked_by"))
            ctx.panel.state.set({"trouble": "", "facts": facts, "remarks": remarks, **more})
            self.count_again(ctx)
            ctx.panel.data.set(layout.CHARTS, drawn)
            if ctx.panel.state.section == "review":
                self.start_review(ctx)
        self._find_next_step(ctx)

    def _keep_view(self, ctx: ExecutionContext) -> None:
        """Remember the view of the grid, to go back to."""
        now = access.serialized(ctx.view)
        past = [view for view in ctx.panel.state.past or [] if view != now]
        ctx.panel.state.set("past", [*past, now][-MOST_VIEWS:])

    def _set_view(self, ctx: ExecutionContext, make: Callable[[RunSettings], Any]) -> None:
        """Set the view that ``make`` returns for the shown run's settings; the run may have been deleted."""
        try:
            settings = records.settings_of(ctx.dataset, ctx.panel.get_state("head.run"))
            view = make(settings)
        except ValueError as error:
            ctx.ops.notify(str(error), variant="error")
            self.refresh(ctx)
        else:
            self._keep_view(ctx)
            ctx.ops.set_view(view=view)
            colors.set_colors(ctx, settings)
            self._note_step(ctx, "look")
