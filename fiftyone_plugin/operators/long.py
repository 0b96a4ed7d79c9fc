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

from ..predicting import Say

__all__ = ["LongOperator", "Say"]

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
        if "spaces" in ctx.request_params:  # how its panels lie: the App alone sends it
            return self._stream(ctx)
        outcome = self.work(ctx, ctx.set_progress)
        deque(self.show(ctx, outcome), maxlen=0)
        return outcome

    def _stream(self, ctx: Any) -> Iterator[Any]:
        """Progress, then the outcome or the error in its place: the App closes it on request only."""
        told: SimpleQueue[tuple[float, str] | None] = SimpleQueue()
        try:
            with ThreadPoolExecutor(1) as worker:
                working = worker.submit(self.work, ctx, lambda share, label: told.put((share, label)))
                working.add_done_callback(lambda _: told.put(None))
                while (latest := told.get()) is not None:
                    share, label = latest
                    yield ctx.ops.set_progress(label=label, progress=share)
            outcome = working.result()
            yield from self.show(ctx, outcome)
        except Exception as error:
            outcome, shown = {}, _of_error(self.config.label, error)
        else:
            ctx.request_params["results"] = outcome  # where resolve_output looks for it
            shown = self.resolve_output(ctx)
        yield ctx.ops.show_output(outputs=shown.to_json(), results=outcome)


def _of_error(label: str, error: Exception) -> types.Property:
    outputs = types.Object()
    outputs.view("problem", types.Error(label=f"{label} failed", description=str(error)))
    if not isinstance(error, FORESEEN):
        outputs.md(f"```text\n{traceback.format_exc()}\n```", name="way")
    return types.Property(outputs)
