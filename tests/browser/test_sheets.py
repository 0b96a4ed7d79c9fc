"""A person reviews by sheets: exceptions by a click in the grid, one answer, one undo, and the labels are mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fiftyone as fo
import pytest

from fiftyone_plugin.review.ledger import Ledger
from fiftyone_plugin.runs import records
from tests.browser.app import (
    Shoot,
    eventually,
    larger_tiles,
    ledger_has,
    open_panel,
    press,
    press_by_name,
    select_tiles,
    visit,
)
from tests.browser.test_review import KEY, mined, review_count

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytest.importorskip("ultralytics", reason="a real detector makes the predictions")
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def answer(panel: Locator, text: str) -> Locator:
    """A button that answers for the sheet."""
    return panel.get_by_role("button", name=text, exact=True)


def test_a_sheet_is_answered_with_exceptions_undone_and_answered_again(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset
) -> None:
    from playwright.sync_api import expect

    app, dataset = page, mined(digits, "by_sheets")
    visit(app, f"{address}/{dataset.name}")
    panel = open_panel(app)
    press_by_name(panel, "Review")
    press_by_name(panel, "By sheets")
    first = panel.locator("button", has_text=": all ").first
    first.wait_for()
    said = (first.text_content() or "").partition(":")[0]
    size = int((first.text_content() or "").rpartition(" ")[2])
    expect(app.locator('[data-cy="entry-counts"]')).to_contain_text(f"{size} ")
    larger_tiles(app)
    shoot("sheet")

    exceptions = min(2, size - 1)
    select_tiles(app, exceptions)
    button = answer(panel, f"{said}: all but the {exceptions} selected")
    button.wait_for()
    shoot("sheet_with_exceptions")
    press(button)
    panel.get_by_text(f"One by one ({exceptions} doubtful)").wait_for()
    shoot("sheet_answered")
    ledger_has(app, dataset, 1)
    (action,) = Ledger(dataset).actions()
    states = [entry.state for entry in action.entries]
    assert (len(states), states.count("unreviewed"), action.clicks) == (size, exceptions, exceptions + 1)

    press_by_name(panel, "Undo")
    again = answer(panel, f"{said}: all {size}")
    again.wait_for()
    panel.get_by_role("button", name="One by one", exact=True).wait_for()
    ledger_has(app, dataset, 0)
    shoot("sheet_undone")
    press(again)
    press_by_name(panel, f"Mend {size} labels")
    panel.get_by_text("This run is stale").wait_for()
    shoot("mended")
    dataset.reload()
    assert "ground_truth_corrected" in dataset.get_field_schema()

    press_by_name(panel, "Mine again")
    panel.get_by_text("This run is stale").wait_for(state="hidden")
    expect(review_count(panel)).to_have_text(str(size))  # mended, and still learned from
    shoot("mined_again")

    def mined_field() -> str:
        dataset.reload()
        assert dataset.list_runs() == [KEY], "in the place of the stale run"
        return str(records.settings_of(dataset, KEY).gt_field)

    eventually(app, mined_field, lambda field: field == "ground_truth_corrected")


def test_two_people_divide_the_pile(
    page: Page, other_page: Page, address: str, other_address: str, shoot: Shoot, digits: fo.Dataset
) -> None:
    """Each has an App; what one answers the other is not asked."""
    dataset = mined(digits, "divided")
    panels = []
    for app, at in ((page, address), (other_page, other_address)):
        visit(app, f"{at}/{dataset.name}")
        panels.append(open_panel(app))
        press_by_name(panels[-1], "Review")
        press_by_name(panels[-1], "By sheets")
        panels[-1].locator("button", has_text=": all ").first.wait_for()
    for done, panel in enumerate(panels, start=1):
        press(panel.locator("button", has_text=": all ").first)
        ledger_has(page, dataset, done)
    shoot("divided")
    one, other = ({(e.side, e.label_id) for e in action.entries} for action in Ledger(dataset).actions())
    assert len(one) > 1
    assert len(other) > 1
    assert not one & other
