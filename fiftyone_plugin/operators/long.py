"""Operators whose work takes a while: the App shows how far it has come."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types
from fiftyone.operators.executor import ExecutionResult
from fiftyone.operators.message import GeneratedMessage

from .. import forms
from ..predicting import Say

__all__ = ["LongOperator", "Say"]

APP = "sample_selection_style"
"""What the App alone sends with a request; Python, to which a stream says nothing, has no use for it."""

FORESEEN = (ValueError, OSError, ImportError)
"""Errors whose text tells people what to do; of others the way they took is shown too."""


class LongOperator(foo.Operator):
    """Does its :meth:`work`, then has the App :meth:`show` it; its config says ``execute_as_generator``."""

    def work(self, ctx: Any, progress: Say) -> dict[str, Any]:
        """What is to be done; returns what came of it, JSON-clean."""
        raise NotImplementedError

    def show(self, ctx: Any, outcome: dict[str, Any]) -> Iterator[Any]:
        """What the App is to do then, each a call of ``ctx.ops``."""
        yield from ()

    def execute(self, ctx: Any) -> Any:
        """The outcome; asked by the App, a stream of what it is to show."""
        if ctx.delegated:
            return self.work(ctx, ctx.set_progress)
        if APP in ctx.request_params:
            return self._stream(ctx)
        outcome = self.work(ctx, ctx.set_progress)
        deque(self.show(ctx, outcome), maxlen=0)
        return outcome

    def _stream(self, ctx: Any) -> Iterator[GeneratedMessage]:
        """Progress, then the outcome or the error in its place: the App closes it on request only."""
        told: SimpleQueue[tuple[float, str] | None] = SimpleQueue()
        worker = ThreadPoolExecutor(1)
        working = worker.submit(self.work, ctx, lambda share, label: told.put((share, label)))
        working.add_done_callback(lambda _: told.put(None))
        worker.shutdown(wait=False)  # nor does a tab that is closed wait for it: the server's own loop would
        while (latest := told.get()) is not None:
            share, label = latest
            yield ctx.ops.set_progress(label=label, progress=share)
        try:
            outcome = working.result()
            yield from self.show(ctx, outcome)
        except Exception as error:
            yield ctx.ops.show_output(outputs=_of_error(self.config.label, error).to_json(), results={})
            return
        ctx.request_params["results"] = outcome  # where resolve_output looks for it
        yield ctx.ops.show_output(outputs=self.resolve_output(ctx).to_json(), results=outcome)
        yield GeneratedMessage(cls=ExecutionResult, body=_Told({**outcome, forms.SHOWN: True}))


class _Told:
    """What whoever opened the form is told: nothing of this if it failed or was scheduled."""

    def __init__(self, outcome: dict[str, Any]) -> None:
        self.outcome = outcome

    def to_json(self) -> dict[str, Any]:
        return self.outcome


def _of_error(label: str, error: Exception) -> types.Property:
    outputs = types.Object()
    outputs.view("problem", types.Error(label=f"{label} failed", description=str(error)))
    if not isinstance(error, FORESEEN):
        outputs.md(f"```text\n{traceback.format_exc()}\n```", name="way")
    return types.Property(outputs)
