"""Operators with long work: the App shows their progress."""

from __future__ import annotations

import math
import time
import traceback
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types
from fiftyone.operators.executor import ExecutionResult
from fiftyone.operators.message import GeneratedMessage

from hnm_core.io.progress import Progress

from ..forms import results

if TYPE_CHECKING:
    from fiftyone.operators import ExecutionContext

__all__ = ["LongOperator"]

APP = "sample_selection_style"
"""Parameter that only the App sends: a call from Python gets the outcome, not a stream."""

PAUSE = 0.2
"""Seconds between two words about the same stage."""

FORESEEN = (ValueError, OSError, ImportError)
"""Errors whose text tells the user what to do; for all others the traceback is shown, too."""


def paced(show: Progress) -> Progress:
    """Return a progress that shows every new stage and its end at once, and other steps at most every so often.

    The engine tells of every image; each word costs the App a message and a delegated operation a database write.
    """
    stage, shown = "", -math.inf

    def told(share: float, label: str) -> None:
        nonlocal stage, shown
        now, name = time.monotonic(), label.partition(":")[0]
        if name != stage or share >= 1 or now - shown >= PAUSE:
            stage, shown = name, now
            show(share, label[:1].upper() + label[1:])

    return told


class LongOperator(foo.Operator):
    """An operator that does its :meth:`work`, then lets the App :meth:`show` it.

    Its config sets ``execute_as_generator``.
    """

    def work(self, ctx: ExecutionContext, progress: Progress) -> dict[str, Any]:
        """Do the work and return its outcome, JSON-clean."""
        raise NotImplementedError

    def show(self, ctx: ExecutionContext, outcome: dict[str, Any]) -> Iterator[Any]:
        """Yield calls of ``ctx.ops`` that show the outcome in the App."""
        yield from ()

    def execute(self, ctx: ExecutionContext) -> Any:
        """Return the outcome; if the App asks, a stream of messages instead."""
        if ctx.delegated:
            return self._worked(ctx, paced(ctx.set_progress))
        if APP in ctx.request_params:
            return self._stream(ctx)
        outcome = self._worked(ctx, paced(ctx.set_progress))
        deque(self.show(ctx, outcome), maxlen=0)
        return outcome

    def _worked(self, ctx: ExecutionContext, progress: Progress) -> dict[str, Any]:
        """Do the work; no exit of a strategy or a checkpoint ends the server or the launcher of delegated operations.

        Raises:
            ValueError: instead of :class:`SystemExit`, :class:`KeyboardInterrupt` and their like.
        """
        try:
            return self.work(ctx, progress)
        except Exception:
            raise
        except BaseException as error:
            what = f"{type(error).__name__}{f' {error}' if str(error) else ''}"
            raise ValueError(
                f"{self.config.label} was stopped by {what}, and did not finish: start it again"
            ) from error

    def _stream(self, ctx: ExecutionContext) -> Iterator[GeneratedMessage]:
        """Yield the progress, then the outcome or the error. The App closes its progress only when told to."""
        messages: SimpleQueue[tuple[float, str] | None] = SimpleQueue()
        worker = ThreadPoolExecutor(1)
        working = worker.submit(self._worked, ctx, paced(lambda share, label: messages.put((share, label))))
        working.add_done_callback(lambda _: messages.put(None))
        worker.shutdown(wait=False)  # do not wait for the work here, or the server would wait when a tab is closed
        while (latest := messages.get()) is not None:
            share, label = latest
            yield ctx.ops.set_progress(label=label, progress=share)
        try:
            outcome = working.result()
            yield from self.show(ctx, outcome)
        except Exception as error:
            yield ctx.ops.show_output(outputs=_of_error(self.config.label, error).to_json(), results={})
            return
        ctx.request_params["results"] = outcome  # resolve_output reads it from there
        yield ctx.ops.show_output(outputs=self.resolve_output(ctx).to_json(), results=outcome)
        yield GeneratedMessage(cls=ExecutionResult, body=_Outcome({**outcome, results.SHOWN: True}))


class _Outcome:
    """The outcome as the App's form gets it; there is none after a failure or when scheduled."""

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
