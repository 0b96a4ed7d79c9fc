"""The forms of the operators as a user meets them: rows of classes, a comparison, an error that is readable.

The README's pictures are taken anew on the way by
``HNM_PICTURES=docs/pictures make test ARGS=tests/browser``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import fiftyone as fo
import pytest

from fiftyone_plugin import runs
from tests.browser.test_app import (  # noqa: F401  (fixtures)
    FORM,
    PATIENCE,
    THOUGHT,
    Shoot,
    address,
    count,
    digits,
    execute,
    field,
    operator,
    shoot,
    visit,
)

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def choose(app: Page, form: Locator, label: str, value: str) -> None:
    """Choose from a list below a label."""
    form.locator(f'xpath=.//*[normalize-space(text())="{label}"]/following::*[@role="combobox"][1]').click()
    app.get_by_role("option", name=value, exact=True).first.click()


def test_thresholds_of_single_classes_are_rows(page: Page, address: str, shoot: Shoot, digits: fo.Dataset) -> None:  # noqa: F811
    from playwright.sync_api import expect

    app, dataset = page, digits.clone("rows")
    dataset.default_classes = ["three", "seven", "a.b"]
    visit(app, f"{address}/{dataset.name}")
    form = operator(app, "Mine hard negatives")
    expect(form).to_contain_text("of the dataset's 80 samples", timeout=PATIENCE)
    shoot("start")
    form.get_by_text("More settings").click()
    form.get_by_text("Thresholds per class").wait_for()
    field(form, "Class").fill("a.b")
    app.keyboard.press("Enter")
    app.wait_for_timeout(THOUGHT)
    field(form, "Confidence").fill("0.8")
    app.wait_for_timeout(THOUGHT)
    form.get_by_text("Thresholds per class").scroll_into_view_if_needed()
    shoot("rows")
    field(form, "Run key").fill("by_class")
    app.wait_for_timeout(THOUGHT)
    execute(form).click()
    app.get_by_text("Mining finished").wait_for()
    assert runs.settings_of(dataset, "by_class").engine.class_confidence == {"a.b": 0.8}
