"""Events of the panel that overlap: the App sends them without waiting, and draws the answers as they come."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pydash
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor

from fiftyone_plugin.panel import layout, turns
from fiftyone_plugin.panel import review as review_section
from fiftyone_plugin.review import sheets, triage
from fiftyone_plugin.review.session import open_review
from tests.plugin.panels import PANEL, mined

PATIENCE = 60
"""Seconds after which an event hangs."""


class Window:
    """A browser window as the App's source has it: it knows what the answers that have come so far say."""

    def __init__(self, dataset: fo.Dataset) -> None:
        self.dataset, self.state, self.drawn = dataset, dict[str, Any](), ""
        self.does("on_load")

    def sends(self, method: str, **params: Any) -> ExecutionContext:
        """An event on its way, with the state that the window has now."""
        sent = {"panel_id": "panel", "panel_state": self.state, "__method__": method, **params}
        request = json.loads(json.dumps({"dataset_name": self.dataset.name, "view": [], "params": sent}))
        return ExecutionContext(request_params=request, executor=Executor(), operator_uri=PANEL)

    def takes(self, answer: ExecutionContext) -> None:
        """Patch the state and draw the layout of an answer."""
        for asked in json.loads(json.dumps([[each.operator_uri, each.params] for each in answer.executor._requests])):
            if asked[0] == "patch_panel_state":
                for name, value in asked[1]["state"].items():
                    pydash.set_(self.state, name, value)
            elif asked[0] == "show_panel_output":
                self.drawn = json.dumps(asked[1]["output"])

    def does(self, method: str, **params: Any) -> None:
        """An event whose answer is awaited."""
        self.takes(answered(self.sends(method, **params)))


def answered(sent: ExecutionContext) -> ExecutionContext:
    """An event that the server has handled."""
    foo.get_operator(PANEL).execute(sent)
    return sent


def review_all(dataset: fo.Dataset) -> None:
    """Review all objects of the run, elsewhere."""
    review = open_review(dataset, "run")
    triage.triage(dataset, "run", "hard_negative", [review.keys[row] for row in review.mistakes.mined.nonzero()[0]])


@pytest.mark.parametrize("late", ["on_change_selected", "on_change_view", "on_change_selected_labels", "refresh"])
def test_a_late_event_does_not_draw_what_was_before(late: str) -> None:
    made = mined()
    window = Window(made)
    window.does("show_section", section="review")
    before = window.drawn
    sent = window.sends(late, value={})  # the view has changed with the end of mining
    review_all(made)
    done = answered(window.sends("show_section", section="review"))
    window.takes(done)
    now, state = window.drawn, dict(window.state)
    assert "objects are reviewed" in now
    assert "objects are reviewed" not in before
    window.takes(answered(sent))
    assert window.drawn == now
    assert window.state == state, "else the App, which tells of each change, would never end"


def test_a_late_event_does_not_lead_back_to_the_run_before() -> None:
    made = mined("first")
    window = Window(made)
    sent = window.sends("on_change_selected", value={})
    mined("second", made)
    window.does("form_done", result={"run_key": "second"})
    assert window.state["head"]["run"] == "second"
    now = window.drawn
    window.takes(answered(sent))
    assert window.state["head"]["run"] == "second"
    assert window.drawn == now, "both runs can be chosen"


def test_an_answer_that_was_lost_is_given_again() -> None:
    made = mined("first")
    window = Window(made)
    mined("second", made)
    answered(window.sends("refresh"))  # which the App never draws
    assert window.state["head"]["run"] == "first"
    window.does("on_change_selected", value={})
    assert window.state["head"]["run"] == "second"
    assert [run["key"] for run in window.state["runs"]] == ["second", "first"]


def test_a_choice_made_in_an_older_state_holds() -> None:
    made = mined("first")
    mined("second", made)
    window = Window(made)
    chosen = window.sends("choose_run", path="head.run", value="first")
    tiles = window.sends("change_tiles", path="head.patches", value=True)
    window.does("show_section", section="rounds")
    for sent in (chosen, tiles):
        window.takes(answered(sent))
    assert (window.state["head"], window.state["patches"]) == ({"run": "first", "patches": True}, True)
    assert window.state["section"] == "rounds"


def test_two_moves_of_the_slider_under_way_come_to_rest_at_the_last() -> None:
    """A page that tells, as the App does, of each value of the slider that an answer made it draw."""
    window = Window(mined())

    def moved_to(value: float) -> ExecutionContext:
        window.state["thresholds"]["confidence"] = value
        return window.sends("change_threshold", path="thresholds.confidence", value=value)

    events = [moved_to(0.3), moved_to(0.9)]
    for _ in range(20):
        if not events:
            break
        answer, before = answered(events.pop(0)), window.state["thresholds"]["confidence"]
        window.takes(answer)
        if (drawn := window.state["thresholds"]["confidence"]) != before:
            events.append(moved_to(drawn))
    assert not events, "each value is the answer to the other"
    assert (window.state["thresholds"]["confidence"], window.state["counts"]["chosen"]) == (0.9, 0.9)


def test_an_event_waits_for_the_one_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = mined()
    window = Window(made)
    entered, go_on = threading.Event(), threading.Event()

    def slowly(*args: Any) -> Any:
        entered.set()
        assert go_on.wait(PATIENCE)
        return open_review(*args)

    monkeypatch.setattr(review_section, "open_review", slowly)
    first, second = window.sends("show_section", section="review"), window.sends("on_change_view", value={})
    with ThreadPoolExecutor(2) as server:
        clicked = server.submit(answered, first)
        assert entered.wait(PATIENCE)
        later = server.submit(answered, second)
        assert not finishes(later), "it would draw the charts again"
        go_on.set()
        for each in (clicked, later):
            window.takes(each.result(PATIENCE))
    assert window.state["section"] == "review"
    assert "Apply to weights" in window.drawn


def finishes(answer: Future[Any], seconds: float = 1.0) -> bool:
    """Whether an answer comes within a time in which it would come if it did not wait."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not answer.done():
        time.sleep(0.02)
    return answer.done()


def test_events_are_handled_in_the_order_in_which_they_came() -> None:
    window, order = turns.Window(), list[int]()

    def takes_turn(number: int) -> None:
        with window.turn():
            order.append(number)

    with ThreadPoolExecutor(20) as server, window.turn():
        for number in range(20):
            server.submit(takes_turn, number)
            until(lambda came=number + 2: window._came == came)
        assert order == []
    assert order == list(range(20))


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_an_event_that_fails_leaves_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    made = mined()
    window = Window(made)
    before = dict(window.state)

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no layout")

    with monkeypatch.context() as patched:
        patched.setattr(layout, "tabs", fail)
        with pytest.raises(RuntimeError, match="no layout"):
            window.does("show_section", section="rounds")
    assert window.state == before
    window.does("on_change_view", value={})
    assert window.state == before


def test_a_view_of_single_labels_can_be_gone_back_to() -> None:
    made = mined()
    window = Window(made)
    review = open_review(made, "run")
    tiles = sheets.patches_of(made, "predictions", review.sample_ids[:1], review.label_ids[:1], ["ground_truth"])
    for count in (1, 2):  # the second one goes on from what the first one has left
        sent = window.sends("show_all")
        sent.request_params["view"] = tiles._serialize()
        answered(sent)
        assert len(sent.panel_state["past"]) == count
    assert "ObjectId" in repr(sent.panel_state["past"]), "which plain JSON does not take"


def test_two_windows_do_not_meet_and_a_page_that_is_loaded_again_begins_with_its_state() -> None:
    made = mined()
    one, other = Window(made), Window(made)
    one.does("show_section", section="rounds")
    other.does("refresh")
    assert other.state.get("section") is None
    before = one.state[turns.WINDOW]
    one.does("on_load")
    assert one.state["section"] == "rounds"
    assert one.state[turns.WINDOW] not in (before, other.state[turns.WINDOW])


def test_after_a_restart_of_the_server_the_window_says_what_the_state_is(monkeypatch: pytest.MonkeyPatch) -> None:
    window = Window(mined())
    window.does("show_section", section="rounds")
    number = window.state[turns.NUMBER]
    monkeypatch.setattr(turns.turns, "_windows", type(turns.turns._windows)())
    window.does("refresh")
    assert (window.state["section"], window.state[turns.NUMBER]) == ("rounds", number)


def test_events_sent_before_the_window_knows_its_name_are_its_own() -> None:
    made = mined()
    window = Window(made)
    known = dict(window.state)
    window.state = {}  # the answer is here, but the App has not patched its state yet
    early = [window.sends("on_change_view", value=[]) for _ in range(3)]
    window.state = known
    window.does("show_section", section="review")
    drawn = window.drawn
    for sent in early:
        window.takes(answered(sent))
    assert window.drawn == drawn
    assert window.state["section"] == "review"
    assert window.state[turns.WINDOW] == known[turns.WINDOW]


def test_events_of_a_page_that_was_loaded_again_are_its_own_until_it_knows_its_name() -> None:
    made = mined()
    page = Window(made)
    page.does("show_section", section="review")
    other, before = Window(made), dict(page.state)
    other.state = dict(before)  # another page of the same session, with a state of the same name
    page.does("on_load")
    name, known = page.state[turns.WINDOW], dict(page.state)
    page.state = before  # the answer is here, but the App has not patched its state yet
    early = page.sends("on_change_view", value=[])
    page.state = known
    page.takes(answered(early))
    assert page.state[turns.WINDOW] == name != before[turns.WINDOW]
    page.does("show_section", section="rounds")
    other.does("on_change_view", value=[])
    assert (other.state["section"], other.state[turns.WINDOW]) == ("review", before[turns.WINDOW])
    assert (page.state["section"], page.state[turns.WINDOW]) == ("rounds", name)


def test_windows_of_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST_WINDOWS", 3)
    remembered = turns.Turns()

    def window(name: str | None, panel: str = "panel", *, loaded: bool = False) -> turns.Window:
        return remembered._window(turns.Sent(name, 0), panel, loaded=loaded)[1]

    windows = [window(name) for name in ("a", "b", "c", "a", "d")]
    assert window("a") is windows[0]
    assert window("b") is not windows[1]
    first = window(None, "first", loaded=True)
    assert window(None, "first") is first
    for panel in ("second", "third", "fourth"):
        window(None, panel, loaded=True)
    assert window(None, "first") is not first
