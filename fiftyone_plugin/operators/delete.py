"""Delete mining run: remove exactly what the run wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from ..actions import frames_dataset
from ..app.icons import icons
from ..forms import parts, run_changes
from ..runs import lifecycle
from ..store import access

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext


class DeleteMiningRun(foo.Operator):
    """Remove a run: its fields and what shows them, its tags where no other run has tagged the same, its record."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="delete_mining_run",
            label="Delete mining run",
            description="Remove the fields, saved views, tags and record of a mining run, and nothing else",
            **icons("delete"),
            risk_level="high",
            dynamic=True,
            view_target=False,
        )

    def __call__(self, samples: SampleCollection, run_key: str) -> dict[str, Any]:
        """Delete from Python, and return which ``fields`` and ``saved_views`` were removed.

        ``broken_views`` are saved views of yours that show one of these fields: they stay, and cannot be loaded before
        a run of this key is mined again.

        Of a run on videos, the dataset of their frames is removed too, if nothing else uses it: then ``dataset`` is its
        name, and else ``dataset_kept`` says why it stays.

        Args:
            samples: the dataset that was mined.
            run_key: the run to delete.
        """
        return self._delete(access.root(samples), run_key)[0]

    def _delete(self, dataset: fo.Dataset, run_key: str) -> tuple[dict[str, Any], str]:
        """Delete the run; return what went, and the name of the dataset that remains."""
        name, gone = dataset.name, lifecycle.delete(dataset, run_key)
        done: dict[str, Any] = {"run_key": run_key, "fields": gone.fields, "saved_views": gone.saved_views}
        if gone.broken_views:
            done["broken_views"] = gone.broken_views
        if not frames_dataset.is_made(dataset):
            return done, name
        if kept := frames_dataset.why_kept(dataset):
            return {**done, "dataset_kept": kept}, name
        return {**done, "dataset": name}, frames_dataset.remove(dataset)

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form, which lists what will be removed."""
        inputs = types.Object()
        if parts.existing_run(ctx, inputs, besides=parts.ANY_STATE):
            run_changes.what_goes(ctx, inputs)
        view = types.PromptView(label="Delete mining run", submit_button_label="Delete")
        return types.Property(inputs, view=view)

    def execute(self, ctx: ExecutionContext) -> dict[str, Any]:
        """Delete the run and clear the view, which may need the run's fields; without its dataset, show the videos."""
        name = ctx.dataset.name
        done, remains = self._delete(ctx.dataset, ctx.params.get("run_key"))
        if ctx.delegated:
            return done
        if remains != name:
            ctx.ops.notify(f"Deleted: run {done['run_key']!r}, and dataset {name!r} of its frames")
            ctx.ops.open_dataset(remains)
            return done
        if "dataset_kept" in done:
            ctx.ops.notify(f"Deleted: run {done['run_key']!r}. Its frames stay: {done['dataset_kept']}")
        ctx.ops.clear_view()
        ctx.ops.reload_dataset()
        return done
