"""The panel beside the grid: the steps of a round, a run's numbers and charts, and a click on them filters the grid.

A section is a function ``(panel, handler, ctx)`` that lays out a part of the panel below the tabs; ``SECTIONS`` names
them in order, and a step of a section's name opens it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import runs, views
from ..settings import RunSettings
from . import figures, layout, picks, steps

Section = Callable[[types.Object, "HardNegativesPanel", Any], None]


class HardNegativesPanel(foo.Panel):
    """Shows what a run stored, never what the grid happens to show.

    State goes to and fro with every event, so it holds little: ``head.run`` the chosen run, ``runs`` those there are,
    ``section`` what is open below, ``next`` the step to take, ``asked`` the one whose prompt was opened, ``facts`` and
    ``remarks`` to read, ``trouble`` why the run can't be shown. Charts are data, which is sent once.
    """

    @property
    def config(self) -> foo.PanelConfig:
        """How FiftyOne lists this panel."""
        return foo.PanelConfig(
            name="hard_negatives_panel",
            label="Hard negatives",
            icon="query_stats",
            surfaces="grid",
            help_markdown="What a mining run found. Click a bar or a point, and the grid shows what it stands for.",
        )

    def on_load(self, ctx: Any) -> None:
        """Show a run: after a reload of the page the state is still there, the charts are not."""
        ctx.panel.state.set("runs", [])
        self._look_for_runs(ctx)

    def on_change_dataset(self, ctx: Any) -> None:
        """Another dataset has other runs."""
        self._look_for_runs(ctx)

    def on_change_view(self, ctx: Any) -> None:
        """Mining ends with a new view: there may be a new run."""
        self._look_for_runs(ctx)

    def take_step(self, ctx: Any) -> None:
        """Open what does a step of the round, for the run that is shown."""
        step = next(step for step in steps.STEPS if step.name == ctx.params["step"])
        run = self._run(ctx)
        if step.name in SECTIONS and run:
            self._open(ctx, step.name)
            self._note(ctx, step.name)
        else:
            params = {"run_key": run["key"]} if run and step.name != "mine" else {}
            ctx.panel.state.set("asked", step.name)
            ctx.prompt(steps.uri(step.operator), params=params, on_success=self.step_taken)

    def step_taken(self, ctx: Any) -> None:
        """A prompt that the panel opened was sent and answered: note the step, and see what changed."""
        if "run_state" not in (ctx.params.get("result") or {}):  # else it waits in a queue
            self._note(ctx, ctx.panel.state.asked)
        self._look_for_runs(ctx)

    def show_section(self, ctx: Any) -> None:
        """Open the section chosen in the tabs."""
        self._open(ctx, ctx.params["section"])

    def choose_run(self, ctx: Any) -> None:
        """Show the run chosen in the list."""
        self._show(ctx, ctx.params["value"])

    def pick(self, ctx: Any) -> None:
        """Show in the grid what was clicked."""
        self._set_view(ctx, lambda settings: picks.view_of(ctx.dataset, settings, ctx.params["id"]))

    def show_hardest(self, ctx: Any) -> None:
        """Show the mined false positives in the grid, as after mining."""
        self._set_view(ctx, lambda settings: views.hardest(ctx.dataset, settings))

    def show_all(self, ctx: Any) -> None:
        """Show the whole dataset in the grid."""
        ctx.ops.clear_view()

    def render(self, ctx: Any) -> types.Property:
        """Lay out what the state holds."""
        state, panel = ctx.panel.state, types.Object()
        layout.steps(panel, self, steps.available(SECTIONS if state.runs else ()), state.next or "mine")
        if not state.runs:
            layout.invitation(panel)
        else:
            layout.head(panel, self, [run["key"] for run in state.runs])
            if state.trouble:
                layout.problem(panel, state.trouble)
            else:
                section = state.section if state.section in SECTIONS else next(iter(SECTIONS))
                layout.tabs(panel, self, list(SECTIONS), section)
                SECTIONS[section](panel, self, ctx)
        return types.Property(panel, view=types.GridView(orientation="vertical", gap=1, pad=2))

    def _run(self, ctx: Any) -> dict[str, Any] | None:
        """The run that is shown: its key and when it was made."""
        key = ctx.panel.get_state("head.run")
        return next((run for run in ctx.panel.state.runs or [] if run["key"] == key), None)

    def _open(self, ctx: Any, section: str) -> None:
        ctx.panel.state.set("section", section)

    def _note(self, ctx: Any, step: str) -> None:
        """Remember a step taken with the run that is shown, and what comes next."""
        if run := self._run(ctx):
            steps.note(ctx, run, step)
            self._look_ahead(ctx)

    def _look_ahead(self, ctx: Any) -> None:
        run = self._run(ctx)
        done = steps.done(ctx, run) if run else []
        ctx.panel.state.set("next", steps.following(steps.available(SECTIONS), done, mined=run is not None))

    def _look_for_runs(self, ctx: Any) -> None:
        """Show the newest run if there is a new one, or if the one shown is gone."""
        known, before = runs_of(ctx.dataset), ctx.panel.state.runs or []
        ctx.panel.state.set("runs", known)
        gone = ctx.panel.get_state("head.run") not in [run["key"] for run in known]
        if known and (gone or any(run not in before for run in known)):
            self._show(ctx, known[0]["key"])
        elif not known:
            self._look_ahead(ctx)

    def _show(self, ctx: Any, key: str) -> None:
        """Put a run's numbers into the state and its charts into the data."""
        ctx.panel.state.set("head.run", key)
        try:
            _, results = runs.load(ctx.dataset, key)
            facts, notes, drawn = figures.facts(results), figures.notes(results), figures.drawn(results)
        except ValueError as error:
            ctx.panel.state.set("trouble", str(error))
        except Exception as error:  # written by another version, or damaged: to be read where the user is looking
            what = f"the results of run {key!r} can't be read ({type(error).__name__}: {error})"
            ctx.panel.state.set("trouble", f"{what}: delete it, then mine again")
        else:
            ctx.panel.state.set({"trouble": "", "facts": facts, "remarks": notes})
            ctx.panel.data.set(layout.CHARTS, drawn)
        self._look_ahead(ctx)

    def _set_view(self, ctx: Any, make: Callable[[RunSettings], Any]) -> None:
        """Set the view that is made of the shown run's settings; the run may be gone by now."""
        try:
            ctx.ops.set_view(view=make(runs.settings_of(ctx.dataset, ctx.panel.get_state("head.run"))))
            self._note(ctx, "look")
        except ValueError as error:
            ctx.ops.notify(str(error), variant="error")
            self._look_for_runs(ctx)


def runs_of(dataset: Any) -> list[dict[str, Any]]:
    """The mining runs of a dataset, newest first; one that is made again under its key, or done by now, is another."""
    infos = [dataset.get_run_info(key) for key in runs.keys(dataset)]
    infos.sort(key=lambda info: info.timestamp, reverse=True)
    return [{"key": info.key, "time": str(info.timestamp), "finished": info.config.finished} for info in infos]


def charts(panel: types.Object, handler: HardNegativesPanel, ctx: Any) -> None:
    """The section of numbers and charts."""
    state = ctx.panel.state
    layout.numbers(panel, state.facts or [], state.remarks or [])
    layout.charts(panel, handler)


SECTIONS: dict[str, Section] = {"charts": charts}
