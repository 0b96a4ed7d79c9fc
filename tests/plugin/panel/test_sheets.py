"""Review by sheets in the panel: a sheet in the grid, exceptions by selection, one button, one undo."""

from __future__ import annotations

import json
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor

from fiftyone_plugin.panel import sheets as sheet_section
from fiftyone_plugin.review import queue, sheets, triage
from fiftyone_plugin.review.ahead import ahead
from fiftyone_plugin.review.ledger import Ledger
from fiftyone_plugin.review.session import open_review
from fiftyone_plugin.store import access
from tests.datasets import FIELDS, MINE, dataset_of
from tests.plugin.panels import PANEL, Shown, event
from tests.plugin.review.test_session import button_of
from tests.scenes import FAR, HERE, apart, scene


@pytest.fixture
def dataset() -> fo.Dataset:
    rows = [(f"s{i}", "cat", 0.9, FAR) for i in range(30)] + [(f"s{i}", "dog", 0.7, apart(1)) for i in range(3)]
    made = dataset_of(scene(rows, [("s0", "cat", HERE), ("s1", "cat", HERE)]))
    foo.get_operator(MINE)(made, **FIELDS, run_key="run", hard_negative_ratio=1.0)
    return made


def by_sheets(dataset: fo.Dataset) -> Shown:
    shown = event(dataset, "show_section", event(dataset, "on_load").state, section="review")
    return event(dataset, "review_by", shown.state, **button_of(shown, "by_sheets")["params"])


def selecting(
    dataset: fo.Dataset, method: str, shown: Shown, selected: list[str], view: list[Any] | None = None, **params: Any
) -> Shown:
    """An event with tiles selected in the grid, which shows a view."""
    state = json.loads(json.dumps(shown.state))
    sent = {"panel_id": "panel", "panel_state": state, "__method__": method, **params}
    request = {"dataset_name": dataset.name, "view": view or [], "params": sent, "selected": selected}
    context = ExecutionContext(request_params=request, executor=Executor(), operator_uri=PANEL)
    foo.get_operator(PANEL).execute(context)
    requests = {asked.operator_uri: asked.params for asked in context.executor._requests}
    output = json.loads(json.dumps(requests["show_panel_output"]["output"]))
    return Shown(json.loads(json.dumps(context.panel_state)), {}, output, requests)


def ids_of(shown: Shown) -> list[str]:
    return [key.partition(":")[2] for key in shown.state["review"]["sheet"]["keys"]]


def press(dataset: fo.Dataset, shown: Shown, button: str, selected: list[str]) -> Shown:
    return selecting(dataset, "answer_sheet", shown, selected, **button_of(shown, button)["params"])


def test_a_sheet_fills_the_grid_and_says_what_it_is(dataset: fo.Dataset) -> None:
    shown = by_sheets(dataset)
    view = access.view_of(dataset, shown.requests["set_view"]["view"])
    assert view.values("id") == ids_of(shown)
    assert len(ids_of(shown)) == 24
    assert "24 background errors" in shown.text
    assert button_of(shown, "all_missing_label")["label"] == "Label is missing: all 24"
    assert button_of(shown, "all_missing_label")["variant"] == "contained"
    assert button_of(shown, "all_hard_negative")["label"] == "Model is wrong: all 24"
    assert len(json.dumps(shown.state)) < 12_000


def test_no_answer_is_favoured_that_fits_fewer_than_half(dataset: fo.Dataset) -> None:
    shown = by_sheets(dataset)
    shown.state["review"]["sheet"] |= {"fitting": 5.0, "clicks": 20.0}  # 19 of 24 are expected to be exceptions
    doubted = selecting(dataset, "on_change_selected", shown, [])
    answers = [button_of(doubted, f"all_{review}")["variant"] for review in ("missing_label", "hard_negative")]
    assert answers == ["outlined", "outlined"]
    assert "This sheet takes about 6 clicks" in doubted.text, "5 clicks on what fits, and the other answer"


def test_a_second_browser_that_is_given_the_state_of_the_first_reads_a_sheet_of_its_own(dataset: fo.Dataset) -> None:
    first = by_sheets(dataset)
    second = event(dataset, "on_load", first.state, panel_id="second")
    one, other = (shown.state["review"] for shown in (first, second))
    assert one["reader"] != other["reader"]
    assert not {*one["sheet"]["keys"]} & {*other["sheet"]["keys"]}
    view = access.view_of(dataset, second.requests["set_view"]["view"])
    assert view.values("id") == ids_of(second)
    press(dataset, first, "all_missing_label", [])
    selecting(dataset, "answer_sheet", second, [], **button_of(second, f"all_{other['sheet']['answer']}")["params"])
    entries = [entry.label_id for action in Ledger(dataset).actions() for entry in action.entries]
    assert sorted(entries) == sorted({*ids_of(first), *ids_of(second)})


def test_a_sheet_that_the_grid_does_not_show_is_not_answered(dataset: fo.Dataset) -> None:
    """Browsers on one App share the grid: the second one's sheet is in the grid of the first, too."""
    first = by_sheets(dataset)
    grid = event(dataset, "on_load", first.state, panel_id="second").requests["set_view"]["view"]
    button = button_of(first, "all_missing_label")["params"]
    refused = selecting(dataset, "answer_sheet", first, [], grid, **button)
    assert not Ledger(dataset).actions()
    assert "nothing was reviewed" in refused.requests["notify"]["message"]
    own = refused.requests["set_view"]["view"]
    assert access.view_of(dataset, own).values("id") == ids_of(first) == ids_of(refused)
    selecting(dataset, "answer_sheet", refused, [], own, **button)
    (action,) = Ledger(dataset).actions()
    assert {entry.label_id for entry in action.entries} == {*ids_of(first)}


def test_selected_tiles_are_exceptions_and_one_button_answers(dataset: fo.Dataset) -> None:
    shown = by_sheets(dataset)
    first, apart_ids = ids_of(shown), ids_of(shown)[3:6]
    counted = selecting(dataset, "on_change_selected", shown, [*apart_ids, "somewhere_else"])
    assert button_of(counted, "all_missing_label")["label"] == "Label is missing: all but the 3 selected"
    answered = press(dataset, counted, "all_missing_label", apart_ids)
    (action,) = Ledger(dataset).actions()
    given = {entry.label_id: entry.state for entry in action.entries}
    assert given == {i: "unreviewed" if i in apart_ids else "missing_label" for i in first}
    assert not set(ids_of(answered)) & set(first), "the next sheet is shown"
    assert "clear_selected_samples" in answered.requests
    assert "One by one (3 doubtful)" in answered.text
    assert "21 label errors found, 5.2 a click" in answered.text
    again = press(dataset, counted, "all_missing_label", [])  # the second click of a double click
    assert len(Ledger(dataset).actions()) == 1 or again.state["review"]["sheet"]["keys"] != first


def test_undo_takes_the_sheet_back_and_shows_it_again(dataset: fo.Dataset) -> None:
    shown = by_sheets(dataset)
    first = ids_of(shown)
    answered = press(dataset, shown, "all_hard_negative", first[:2])
    undone = event(dataset, "undo_review", answered.state)
    assert set(ids_of(undone)) == set(first)
    assert Ledger(dataset).actions() == []
    assert access.view_of(dataset, undone.requests["set_view"]["view"]).count() == 24
    answered = press(dataset, undone, "all_missing_label", [])
    assert [action.entries[0].state for action in Ledger(dataset).actions()] == ["missing_label"]


def test_later_shows_another_one_and_the_last_one_brings_it_back(dataset: fo.Dataset) -> None:
    shown = by_sheets(dataset)
    seen = [ids_of(shown)]
    for _ in range(10):
        shown = event(dataset, "put_off", shown.state, **button_of(shown, "put_off")["params"])
        seen.append(ids_of(shown))
    assert seen[1] != seen[0]
    assert {i for ids in seen for i in ids} == {key.partition(":")[2] for key in open_review(dataset, "run").keys}
    assert seen.count(seen[0]) > 1


def test_the_next_sheet_is_made_as_asked(dataset: fo.Dataset) -> None:
    shown = event(dataset, "change_sheets", by_sheets(dataset).state, path="sheet_bar.sheet_size", value="6")
    assert len(ids_of(shown)) == 6
    shown = event(dataset, "change_sheets", shown.state, path="sheet_bar.sheet_gain", value="weights")
    assert shown.state["review"]["sheets"] == {"sheet_size": 6, "sheet_gain": "weights"}
    assert len(ids_of(shown)) == 6


def test_two_windows_divide_the_pile_and_the_second_says_what_the_first_did(dataset: fo.Dataset) -> None:
    one, other = by_sheets(dataset), by_sheets(dataset)
    assert not set(ids_of(one)) & set(ids_of(other))
    triage.triage(dataset, "run", "ignore", ids_of(one)[:4], who="bob")
    done = press(dataset, one, "all_missing_label", [])
    assert "4 were reviewed by others meanwhile" in done.requests["notify"]["message"]
    event(dataset, "review_by", done.state, mode="single")
    assert set(ids_of(done)) & set(ids_of(by_sheets(dataset))), "what somebody leaves is there for others"


def test_nothing_left_says_so_and_single_looks_are_a_click_away(dataset: fo.Dataset) -> None:
    shown, review = by_sheets(dataset), open_review(dataset, "run")
    triage.triage(dataset, "run", "ignore", [review.keys[row] for row in review.open.nonzero()[0]][1:])
    for _ in range(2):
        if shown.state["review"]["sheet"]:
            shown = event(dataset, "put_off", shown.state, **button_of(shown, "put_off")["params"])
    left = ids_of(shown)
    shown = press(dataset, shown, "all_hard_negative", left)
    assert "No sheet is left to review" in shown.text
    assert '"Left to look at one by one: 1 exception"' in shown.text
    single = event(dataset, "review_by", shown.state, **button_of(shown, "by_single")["params"])
    assert single.state["review"]["key"].partition(":")[2] == left[0]


def test_in_a_large_run_the_next_sheet_is_ready_while_this_one_is_read(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "LARGE", 10)
    asked = event(dataset, "change_sheets", by_sheets(dataset).state, path="sheet_bar.sheet_size", value="6")
    assert ahead.worker is not None
    ahead.worker.join()
    reader = asked.state["review"]["reader"]
    (ready,) = (ready for name, ready in ahead._ready.items() if name == reader)
    assert not set(ready.sheet.keys) & set(asked.state["review"]["sheet"]["keys"])
    assert not set(ids_of(by_sheets(dataset))) & set(ready.sheet.label_ids), "it is reserved already"
    monkeypatch.setattr(sheets, "hand_out", None)  # nothing is left to choose at the click
    answered = press(dataset, asked, "all_missing_label", [])
    assert answered.state["review"]["sheet"]["keys"] == ready.sheet.keys
    assert access.view_of(dataset, answered.requests["set_view"]["view"]).values("id") == ready.sheet.label_ids


def test_what_is_ready_is_not_shown_if_somebody_reviewed_it(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "LARGE", 10)
    asked = event(dataset, "change_sheets", by_sheets(dataset).state, path="sheet_bar.sheet_size", value="6")
    assert ahead.worker is not None
    ahead.worker.join()
    ready = ahead._ready[asked.state["review"]["reader"]].sheet
    triage.triage(dataset, "run", "ignore", ready.keys[:1], who="bob")
    answered = press(dataset, asked, "all_missing_label", [])
    assert ready.keys[0] not in answered.state["review"]["sheet"]["keys"]


@pytest.mark.parametrize(
    ("error", "side", "one", "more"),
    [
        ("background", "prediction", "1 background error", "3 background errors"),
        ("missed", "truth", "1 missed truth", "3 missed truths"),
        ("localization", "truth", "1 missed truth, localization", "3 missed truths, localization"),
        ("confident", "prediction", "1 confident detection", "3 confident detections"),
        ("gap", "truth", "1 object lost for a few frames", "3 objects lost for a few frames"),
    ],
)
def test_number_and_noun_agree_on_a_sheet(error: str, side: str, one: str, more: str) -> None:
    sheet = {"error": error, "side": side, "label": "cat", "answer": "ignore", "fitting": 1.0}
    for count, said in ((1, one), (3, more)):
        of = {**sheet, "seen": [1] * count, "keys": ["k"] * count}
        assert sheet_section._title(of, {"ignore": "Ignore"}, known=True).startswith(f"**{said} · cat**")
