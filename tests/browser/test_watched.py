"""Where nothing is labelled: what hnm watch found is reviewed, becomes labels, is mined again and exported.

The documents' picture is taken anew on the way by
``HNM_PICTURES=docs/pictures make test-slow ARGS=tests/browser/test_watched.py``.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import fiftyone as fo
import pytest

pytest.importorskip("ultralytics", reason="a real detector watches")
pytest.importorskip("av", reason="it encodes the clips")
pytest.importorskip("lap", reason="the trackers need it")

from benchmarks import live
from fiftyone_plugin.actions.watched import folder_of
from fiftyone_plugin.demo.dataset import WEIGHTS
from fiftyone_plugin.demo.scenes import deal_scans
from fiftyone_plugin.review import triage
from fiftyone_plugin.review.ledger import Ledger
from fiftyone_plugin.runs import records
from hnm_core import cli
from tests.browser.app import (
    FORM,
    PICTURES,
    Shoot,
    away,
    cut,
    eventually,
    execute,
    field,
    fill,
    larger_tiles,
    ledger_has,
    open_panel,
    press,
    press_by_name,
    settled,
    visit,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

KEY = "watch"
CLIPS, FRAMES = (4, 30) if PICTURES else (2, 15)
"""Clips of each kind of motion, and frames of each."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[live.Made]:
    """Short clips of digits, in one folder, with their truth."""
    root = tmp_path_factory.mktemp("clips")
    pool = deal_scans("demo", (("all", 1.0),))["all"]
    return [
        made
        for kind, motion in enumerate(live.MOTIONS)
        for made in live.make(root / motion, motion, pool, 1, CLIPS, FRAMES, [1, kind])
    ]


@pytest.fixture
def folder(clips: list[live.Made], tmp_path: Path) -> Path:
    """All clips in one folder."""
    (tmp_path / "street").mkdir()
    for made in clips:
        shutil.copy(made.file, tmp_path / "street")
    return tmp_path / "street"


@pytest.fixture
def name() -> Iterator[str]:
    """Name of the dataset that is watched, another one each time: the App remembers the view of each."""
    name = f"watched-street-{uuid.uuid4().hex[:8]}" if not PICTURES else "watched-street"
    yield name
    shutil.rmtree(folder_of(name), ignore_errors=True)
    if fo.dataset_exists(name):
        fo.delete_dataset(name)


def states_of(dataset: fo.Dataset) -> list[str]:
    """The review state of each proposal, as the samples hold it; they come after the ledger."""
    dataset.reload()
    return sorted(dataset.values(f"predictions.detections.{KEY}_state", unwind=True), key=str)


def answer_all(dataset: fo.Dataset, key: str, clips: list[live.Made], clip_of: Callable[[fo.Sample], str]) -> None:
    """What somebody who knows the truth says of all proposals that are left."""
    truth, settings = {made.file.stem: made.truth for made in clips}, records.settings_of(dataset, key)
    found: dict[str, list[str]] = {}
    for sample in dataset:
        at = truth[clip_of(sample)][sample["frame"] - 1]
        for name, side in ((settings.pred_field, "prediction"), (settings.gt_field, "truth")):
            boxes = sample[name].detections if sample[name] else []
            for box in boxes:
                if not box.has_field(f"{key}_state") or box[f"{key}_state"] != "unreviewed":
                    continue
                x, y, w, h = (live.SIDE * edge for edge in box.bounding_box)
                there = not live.lies_on_none(("", 0, x, y, x + w, y + h, box.label), at)
                right = "missing_label" if side == "prediction" else "hard_negative"
                none = "hard_negative" if side == "prediction" else "bogus_label"
                found.setdefault(right if there else none, []).append(f"{side}:{box.id}")
    for state, keys in found.items():
        triage.triage(dataset, key, state, keys)


def test_what_was_watched_is_reviewed_and_becomes_labels(
    page: Page, address: str, shoot: Shoot, clips: list[live.Made], folder: Path, tmp_path: Path, name: str
) -> None:
    from playwright.sync_api import expect

    given = ["watch", "--source", str(folder), "--model", str(WEIGHTS), "--imgsz", str(live.SIDE), "--device", "cpu"]
    assert cli.main([*given, "--dataset", name]) == 0
    dataset, app = fo.load_dataset(name), page
    assert len(dataset.load_saved_view("watch_confident")) > 0
    unreviewed = states_of(dataset)
    visit(app, f"{address}/{name}")
    panel = open_panel(app)
    expect(panel.get_by_role("combobox")).to_contain_text(KEY)
    expect(panel).to_contain_text("Ranked by")
    shoot("watched_charts")
    press_by_name(panel, "Hardest first")
    shoot("watched_hardest")

    press_by_name(panel, "Review")
    picture = panel.locator("img[src^='data:image/jpeg']")
    picture.wait_for()
    expect(panel).not_to_contain_text("Label is missing")
    expect(panel).not_to_contain_text("no weight")
    assert cut(panel) == []
    shoot("watched")
    press_by_name(panel, "Object is there")
    ledger_has(app, dataset, 1)
    assert Ledger(dataset).entries()[0]["state"] == "missing_label"
    press_by_name(panel, "Undo")
    ledger_has(app, dataset, 0)

    press_by_name(panel, "By sheets")
    first = panel.locator("button", has_text=": all ").first
    first.wait_for()
    expect(panel).not_to_contain_text("confident errors")
    larger_tiles(app)
    shoot("watched_sheet")
    press(first)
    ledger_has(app, dataset, 1)
    press_by_name(panel, "Undo")
    ledger_has(app, dataset, 0)
    eventually(app, lambda: states_of(dataset), lambda found: found == unreviewed)

    answer_all(dataset, KEY, clips, lambda sample: str(sample["source"]))
    press_by_name(panel, "One by one")
    panel.get_by_text("proposals are reviewed").wait_for()
    shoot("watched_done")
    press_by_name(panel, "Accept as truth …")
    form = app.locator(FORM)
    expect(field(form, "New field")).to_have_value("reviewed_truth")
    settled(app)
    shoot("watched_accept")
    press(execute(form))
    app.get_by_text("added to 'reviewed_truth'").wait_for()
    shoot("watched_accepted")
    away(app, app.get_by_text("added to 'reviewed_truth'"))

    press_by_name(panel, "1 Mine")
    form = app.locator(FORM)
    form.get_by_text("Ground truth", exact=True).first.wait_for()
    fill(form, "Run key", "labelled")
    shoot("watched_mine")
    press(execute(form))
    app.get_by_text("Mining finished").wait_for()
    shoot("watched_mined")
    away(app, app.get_by_text("Mining finished"))
    dataset.reload()
    assert records.settings_of(dataset, "labelled").gt_field == "reviewed_truth"
    press_by_name(panel, "4 Export")
    form = app.locator(FORM)
    fill(form, "Output folder", tmp_path / "export")
    shoot("watched_export")
    press(execute(form))
    app.get_by_text("Export finished").wait_for()
    assert (tmp_path / "export" / "data.yaml").is_file()
