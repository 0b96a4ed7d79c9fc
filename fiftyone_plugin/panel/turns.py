"""One event of the panel after the other, each on the state that the one before it left.

The App sends the panel's state with each event, does not wait for the answer before it sends the next event, and draws
whatever answer comes last. A change of the view alone sends up to six events. Answered each from its own state, the
last of them would draw the panel as it was before the first, and write an old review over a new one. So the server
remembers the newest state of each browser window: an event that was sent with an older one gets that.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from fiftyone.operators import ExecutionContext

T = TypeVar("T")

WINDOW, NUMBER = "window", "turn"
"""Names in the state: which browser window sends the event, and the number of changes before it."""

MOST_WINDOWS = 100
"""Windows that are remembered (chosen); for one that is not, the state that its event brings is the newest known."""


class Window:
    """The newest state of a browser window, and whose turn it is.

    Attributes:
        number: number of events that changed the state.
        state: the panel's state after the last event.
    """

    def __init__(self) -> None:
        self.number, self.state = 0, dict[str, Any]()
        self._changed = threading.Condition()
        self._came = self._left = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for all events that came before."""
        with self._changed:
            place, self._came = self._came, self._came + 1
            self._changed.wait_for(lambda: self._left == place)
        try:
            yield
        finally:
            with self._changed:
                self._left += 1
                self._changed.notify_all()


class Sent(NamedTuple):
    """What an event says of its window.

    Attributes:
        name: the window's name; None if the page does not know it yet.
        number: number of changes that it knew when it was sent.
    """

    name: str | None
    number: int


class Turns:
    """The windows that were seen last."""

    def __init__(self) -> None:
        self._windows: OrderedDict[str, Window] = OrderedDict()
        self._loaded: OrderedDict[str, tuple[str, Sent]] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, ctx: ExecutionContext, data: Collection[str]) -> Iterator[None]:
        """Give an event the newest state of its window, and remember what it makes of it, unless it fails.

        Args:
            ctx: the event's context; its panel state is replaced where a newer one is known. What the user has just
                chosen in an input (the event's ``path`` and ``value``) stays.
            data: names that belong to the panel's data. After a change of an input the App sends them as state, too.
                From then on it would merge new data into old ones element by element, and every event would carry all
                charts. They are removed.
        """
        sent, params = ctx.panel.state, ctx.params
        loaded = params.get("__method__") == "on_load"
        known = sent.get(NUMBER) or 0
        name, window = self._window(Sent(sent.get(WINDOW), known), ctx.panel_id, loaded=loaded)
        with window.turn():
            for each in data:
                if sent.get(each) is not None:
                    sent.set(each, None)
            if known < window.number:
                sent.set(_copied(window.state))  # all of it, for the App may have lost an answer
                if "path" in params and "value" in params:
                    sent.set(params["path"], params["value"])
            if sent.get(WINDOW) != name:
                sent.set(WINDOW, name)
            before = _copied(ctx.panel_state)
            yield
            number, after = max(known, window.number), _copied(ctx.panel_state)
            if after != before or not number:  # the App tells of each change of the state: a count would never end
                number += 1
                sent.set(NUMBER, number)
            window.number, window.state = number, {**after, NUMBER: number}

    def _window(self, sent: Sent, panel: str, *, loaded: bool) -> tuple[str, Window]:
        """Return the window of an event and its name, and forget those that were not seen for long.

        A page that was loaded is a new window, even if it brings the state of another: of the same page before, or of
        another page. What it sends before it knows its name still has that state.
        """
        with self._lock:
            name, brought = self._loaded.get(panel, ("", Sent("", 0)))
            if loaded:
                name = uuid.uuid4().hex
                _put(self._loaded, panel, (name, sent))
            elif sent.name == name and brought.name:  # the page knows its name: what still comes is of the other page
                _put(self._loaded, panel, (name, Sent(None, 0)))
            elif sent != brought:
                name = sent.name or name or uuid.uuid4().hex
            return name, _put(self._windows, name, self._windows.get(name) or Window())


def _copied(value: Any) -> Any:
    """Copy a state as the App has it: tuples are lists there. Ids in a view stay: FiftyOne writes them as text."""
    if isinstance(value, dict):
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list | tuple) else value


def _put(known: OrderedDict[str, T], name: str, value: T) -> T:
    """Put a value last, and forget the first ones beyond the limit."""
    known[name] = value
    known.move_to_end(name)
    while len(known) > MOST_WINDOWS:
        known.popitem(last=False)
    return value


turns = Turns()
"""The windows of this server."""
