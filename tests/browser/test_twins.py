"""A person sees the same lamp post once, with a count, and corrects a label in Annotate mode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fiftyone_plugin.review.ledger import Ledger
from tests.browser.app import GRID, Shoot, eventually, larger_tiles, open_panel, press, press_by_name, visit
from tests.plugin.review.test_mending import COPY
from tests.plugin.review.test_twins import mine_street
from tests.streets import FRAMES

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest.importorskip("ultralytics", reason="the App starts on the demo's detections")
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_lamp_post_is_one_picture_and_a_label_is_corrected_where_one_looks(
    page: Page, address: str, shoot: Shoot, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    dataset = mine_street(tmp_path)
    app = page
    visit(app, f"{address}/{dataset.name}")
    panel = open_panel(app)
    press_by_name(panel, "Review")
    press_by_name(panel, "By sheets")
    panel.get_by_text(f"The same object was seen up to {FRAMES} times").wait_for()
    expect(app.locator(GRID)).to_have_count(2)
    larger_tiles(app)
    shoot("twins")

    press_by_name(panel, "One by one")
    press_by_name(panel, "6 labelled objects like it")
    expect(app.locator(GRID)).to_have_count(6)
    shoot("look_alikes")

    press(panel.get_by_role("button", name="Edit the label …"))
    app.locator('[data-cy="modal"]').wait_for()
    expect(app.locator('[data-cy="annotate"]')).to_have_count(1)
    app.screenshot(path=tmp_path / "annotate.png")

    def editable() -> list[str]:
        dataset.reload()
        return list(dataset.active_label_schemas)

    eventually(app, editable, lambda fields: COPY in fields)
    assert Ledger(dataset).actions() == []
