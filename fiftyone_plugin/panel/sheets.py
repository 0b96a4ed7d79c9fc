"""Review by sheets in the panel: objects of one kind in the grid, selected ones are exceptions, a button answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import fiftyone.operators.types as types

from hnm_core.report.lines import how_many
from hnm_core.settings import SheetSettings, options
from hnm_core.settings.sheets import TWIN_DISTANCE

from ..app import colors
from ..review import sheets, triage
from ..review.ahead import ahead
from ..review.session import Review
from ..review.wording import texts_of
from .layout import NOTES, WRAPPED, columns
from .single import TEXT

if TYPE_CHECKING:
    from fiftyone.operators import ExecutionContext

SHEETS, SINGLE = "sheets", "single"
"""The two ways to review."""

EXCEPTIONS = "exceptions"
"""Name in the state of the number of selected objects, and of the first object of the sheet that they are on."""

NO_SHEET: dict[str, Any] = {"reader": "", "sheet": None}
"""The state of a window that reads no sheet yet."""

OFFERED = {
    "sheet_size": {str(size): f"{size} pictures" for size in (6, 12, 24, 48)},
    "twin_distance": {str(TWIN_DISTANCE): "one picture", "0.0": "each a picture"},
}
"""What the panel offers of settings that are numbers."""

PROPOSED = {
    "confident": ("confident detection", "confident detections"),
    "uncertain": ("uncertain detection", "uncertain detections"),
    "gap": ("object lost for a few frames", "objects lost for a few frames"),
}
"""What is on a sheet of proposals: one, and more."""

MOST_LATER = 500
"""Objects that are put off at most; older ones come up again."""

ANOTHER = (
    "The grid showed another sheet, so nothing was reviewed; now it shows this one. Browsers on one App share the grid:"
    " two people who review at once need an App each (fiftyone app launch)"
)

HOW = (
    "Click on each exception in the grid, then answer for all others at once. Exceptions stay unreviewed, for a single "
    "look. The slider above the grid makes the pictures larger."
)


class SheetEvents:
    """The events of review by sheets; the panel's review has the others.

    ``state.review`` holds the ``mode``, the ``sheet`` that is shown, how ``sheets`` are made, the ``reader`` that this
    browser window is, and objects to show ``later``; ``state.exceptions`` the number of selected objects of a sheet.
    """

    _reviewed: Callable[..., None]
    """Change the review, then show it; the review has it."""

    _keep_view: Callable[[Any], None]
    """Remember the view of the grid; the panel has it."""

    def review_by(self, ctx: ExecutionContext) -> None:
        """Switch between sheets and single looks."""
        mode = ctx.params["mode"]

        def switch(review: Review, state: dict[str, Any]) -> None:
            if mode == SHEETS and state["mode"] != SHEETS:
                self._keep_view(ctx)
            elif mode != SHEETS and state["sheet"]:
                sheets.give_back(ctx.dataset, state["reader"])
            state |= {"mode": mode, "sheet": None}

        self._reviewed(ctx, switch)

    def answer_sheet(self, ctx: ExecutionContext) -> None:
        """Review all of the sheet for which the clicked button was drawn, but what is selected in the grid."""

        def give(review: Review, state: dict[str, Any]) -> None:
            sheet = state["sheet"]
            if not sheet or ctx.params["first"] != sheet["keys"][0]:  # the second click of a double click
                return
            handed = _handed_of(sheet)
            if _shows_another(ctx.request_params.get("view") or [], handed):
                ctx.ops.set_view(view=sheets.view_of(ctx.dataset, review, handed))
                ctx.ops.notify(ANOTHER, variant="warning")
                return
            apart = set(handed.label_ids) & set(ctx.selected or ())
            done = sheets.answer(
                ctx.dataset,
                handed.run_key,
                handed.keys,
                ctx.params["review"],
                apart,
                reader=handed.reader,
                who=ctx.user_id,
                most_apart=SheetSettings.from_dict(state["sheets"]).twin_distance,
            )
            state["sheet"] = None
            if done["needs_mining"] or done["by_others"]:
                were = "was" if done["by_others"] == 1 else "were"
                by_others = f". {done['by_others']:,} {were} reviewed by others meanwhile" if done["by_others"] else ""
                ctx.ops.notify(triage.outcome_text(done) + by_others, variant="warning")

        self._reviewed(ctx, give)

    def put_off(self, ctx: ExecutionContext) -> None:
        """Show another sheet, and this one later."""

        def later(review: Review, state: dict[str, Any]) -> None:
            sheet = state["sheet"]
            if sheet and ctx.params["first"] == sheet["keys"][0]:
                state |= {"later": [*state["later"], *sheet["keys"]][-MOST_LATER:], "sheet": None}

        self._reviewed(ctx, later)

    def change_sheets(self, ctx: ExecutionContext) -> None:
        """Make sheets otherwise from now on."""
        name, value = ctx.params["path"].rpartition(".")[2], ctx.params["value"]

        def change(review: Review, state: dict[str, Any]) -> None:
            given = {"sheet_size": int, "twin_distance": float}.get(name, str)(value)
            if given != getattr(SheetSettings.from_dict(state["sheets"]), name):  # the App also calls it when it draws
                state |= {"sheets": {**state["sheets"], name: given}, "sheet": None}

        self._reviewed(ctx, change)

    def _counted(self, ctx: ExecutionContext) -> bool:
        """Count the selected objects of the sheet that is shown; return whether one is."""
        state = ctx.panel.state.review or {}
        if ctx.panel.state.section != "review" or state.get("mode") != SHEETS:
            return False
        if sheet := state.get("sheet"):  # the App's state may be older than the sheet: only the count is written
            count = len(set(_handed_of(sheet).label_ids) & set(ctx.selected or ()))
            ctx.panel.state.set(EXCEPTIONS, {"first": sheet["keys"][0], "count": count})
        return True

    def _taken_back(self, ctx: ExecutionContext, state: dict[str, Any], keys: Iterable[str]) -> bool:
        """Show a sheet again whose answer was taken back, where sheets are shown."""
        if state["mode"] != SHEETS:
            return False
        state |= {"sheet": None, "again": list(keys)}
        return True

    def _turn(self, ctx: ExecutionContext, review: Review, state: dict[str, Any]) -> None:
        """Show a sheet in the grid if none is shown."""
        if state["sheet"]:
            return
        state["reader"] = reader = state["reader"] or sheets.new_reader()
        settings, again = SheetSettings.from_dict(state["sheets"]), state.pop("again", None)
        asked = ctx.dataset, review, reader, settings
        handed = sheets.again(ctx.dataset, review, reader, again, settings.twin_distance) if again else None
        ready = ahead.take(*asked, state["later"]) if handed is None else None
        if ready is not None:
            handed = ready.sheet
        elif handed is None:
            key = review.settings.run_key
            handed = sheets.hand_out(ctx.dataset, key, reader, settings, skipped=state["later"])
            if handed is None and state["later"]:
                state["later"] = []
                handed = sheets.hand_out(ctx.dataset, key, reader, settings)
        ctx.ops.clear_selected_samples()
        state["sheet"] = handed.as_dict() if handed else None
        ctx.panel.state.set(EXCEPTIONS, None)
        if handed:
            ctx.ops.set_view(view=ready.view if ready else sheets.view_of(ctx.dataset, review, handed))
            ahead.prepare(*asked, [*state["later"], *handed.keys])
            colors.set_colors(ctx, review.settings)


def switch(panel: types.Object, handler: Any, state: Mapping[str, Any]) -> None:
    """Add the choice between sheets and single looks."""
    bar = panel.h_stack("review_by", gap=1, align_y="center", componentsProps=WRAPPED)
    doubtful = state["doubtful"]
    labels = {SHEETS: "By sheets", SINGLE: f"One by one ({doubtful:,} doubtful)" if doubtful else "One by one"}
    for mode, label in labels.items():
        bar.btn(
            f"by_{mode}",
            label=label,
            on_click=handler.review_by,
            params={"mode": mode},
            variant="contained" if state["mode"] == mode else "outlined",
        )


def section(panel: types.Object, handler: Any, state: Mapping[str, Any], exceptions: Mapping[str, Any] | None) -> None:
    """Add the sheet that is shown: what is on it, and a button for each answer."""
    sheet = state["sheet"]
    if not sheet:
        left = f"Left to look at one by one: {how_many(state['doubtful'], 'exception')}" if state["doubtful"] else ""
        panel.view("sheets_done", types.Success(label="No sheet is left to review", description=left))
        return
    counted = exceptions if exceptions and exceptions["first"] == sheet["keys"][0] else {"count": 0}
    names = {name: text for name, (text, _) in texts_of(without_truth=state["without_truth"]).items()}
    known = not state["guessed"]
    panel.md(f"{_title(sheet, names, known=known)}\n\n{HOW}", name="sheet_title", componentsProps=TEXT)
    answers = panel.grid("sheet_answers", orientation="horizontal", gap=1, componentsProps=columns(200))
    states, favoured = sheets.states_of(sheet["side"]), known and 2 * sheet["fitting"] >= sum(sheet["seen"])
    for review in [sheet["answer"], *(each for each in states if each != sheet["answer"])]:
        answers.btn(
            f"all_{review}",
            label=_answer_text(names[review], sum(sheet["seen"]), counted["count"]),
            on_click=handler.answer_sheet,
            params={"review": review, "first": sheet["keys"][0]},
            variant="contained" if favoured and review == sheet["answer"] else "outlined",
            componentsProps={"button": {"sx": {"width": "100%"}}},
        )
    bar = panel.h_stack("sheet_bar", gap=1, align_y="center", componentsProps=WRAPPED)
    bar.btn("put_off", label="Later", on_click=handler.put_off, params={"first": sheet["keys"][0]})
    for option in options(SheetSettings):
        if option.name in (("sheet_order", "sheet_gain") if state["without_truth"] else ()):
            continue  # proposals come list by list, likeliest errors first
        if option.name == "twin_distance" and not state["twinned"]:
            continue
        choices = types.DropdownView(label=option.label, compact=True)
        offered = option.choices or OFFERED[option.name]
        for value, label in offered.items():
            choices.add_choice(value, label=label)
        default = str(state["sheets"].get(option.name, option.default))
        bar.enum(option.name, choices.values(), view=choices, on_change=handler.change_sheets, default=default)
    panel.md(
        f"Answers are stored at once; *Undo* takes a whole sheet back.{_cost(sheet) if known else ''}",
        name="cost",
        componentsProps=NOTES,
    )


def _title(sheet: Mapping[str, Any], names: Mapping[str, str], *, known: bool) -> str:
    """Return what is on a sheet, and what is expected of it if that is known; ``names`` are those of the answers."""
    count, pictures = sum(sheet["seen"]), len(sheet["keys"])
    missed, error = sheet["side"] == "truth" or sheet["error"] == "missed", sheet["error"]
    nouns = PROPOSED.get(error, ("missed truth", "missed truths") if missed else (f"{error} error", f"{error} errors"))
    what = how_many(count, *nouns) + (f", {error}" if missed and error not in ("missed", *PROPOSED) else "")
    answer = names[sheet["answer"]].lower()
    shown = f" in {how_many(pictures, 'picture')}" if pictures < count else ""
    often = f"The same object was seen up to {max(sheet['seen']):,} times: one answer settles all. " if shown else ""
    expected = f"Expected: {answer} for about {sheet['fitting']:.0f} of them." if known else "Likeliest errors first."
    return f"**{what} · {sheet['label']}{shown}**\n\n{often}{expected}"


def _answer_text(name: str, count: int, selected: int) -> str:
    """Return the label of a button, such as ``Label is missing: all but the 3 selected``."""
    but = f"all but the {selected:,} selected" if selected else f"all {count:,}"
    return f"{name}: {but}"


def _cost(sheet: Mapping[str, Any]) -> str:
    """Say how many clicks are expected, with the answer that fits more of the pictures, or its opposite."""
    exceptions = sheet["clicks"] - 1.0
    clicks = round(1.0 + min(exceptions, len(sheet["keys"]) - exceptions))
    return f" This sheet takes about {how_many(clicks, 'click')}."


def _shows_another(stages: Iterable[Mapping[str, Any]], sheet: sheets.HandedOut) -> bool:
    """Return whether the grid shows chosen objects, none of which is on the sheet; ``stages`` are those of its view."""
    chosen = [dict(stage["kwargs"])["sample_ids"] for stage in stages if stage["_cls"].endswith(".Select")]
    return len(chosen) > 1 and not {*map(str, chosen[-1])} & {*sheet.label_ids}


def _handed_of(sheet: Mapping[str, Any]) -> sheets.HandedOut:
    return sheets.HandedOut(**sheet)
