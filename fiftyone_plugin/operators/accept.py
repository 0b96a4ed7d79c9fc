"""Accept missing labels: add confirmed missing labels to a copy of the truth field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from ..app.icons import icons
from ..forms import parts, results
from ..review import accepted_labels
from ..runs import records
from ..store import access

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext


class AcceptMissingLabels(foo.Operator):
    """Copy the truth field and add the predictions that were reviewed as missing labels."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="accept_missing_labels",
            label="Accept missing labels",
            description="Add predictions reviewed as missing labels to a copy of the ground truth",
            **icons("accept"),
            risk_level="high",
            dynamic=True,
            allow_delegated_execution=True,
            view_target=False,
        )

    def __call__(
        self,
        samples: SampleCollection,
        run_key: str,
        output_field: str | None = None,
        *,
        anno_key: str | None = None,
        backend: str | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Accept from Python, and send the copy to an annotation tool if a key is given.

        Args:
            samples: the dataset that was mined.
            run_key: the run that was reviewed.
            output_field: name of the copy of the truth field; None for a free one.
            anno_key: name of FiftyOne's annotation run; None sends nothing.
            backend: the annotation tool; None for FiftyOne's default.
            **options: what FiftyOne passes to the tool, such as ``url``.
        """
        done = accepted_labels.accept(access.root(samples), run_key, output_field)
        if anno_key:
            accepted_labels.annotate(
                access.root(samples), run_key, done["output_field"], anno_key, backend=backend, **options
            )
        return done

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        if parts.existing_run(ctx, inputs):
            _ask(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Accept missing labels"))

    def execute(self, ctx: ExecutionContext) -> dict[str, Any]:
        """Accept, and let the App show the new field."""
        names = ("output_field", "anno_key", "backend")
        given = {name: ctx.params.get(name) or None for name in names}
        done = self(ctx.dataset, ctx.params.get("run_key"), **given)
        if not ctx.delegated:
            ctx.ops.reload_dataset()
        return done

    def resolve_output(self, ctx: ExecutionContext) -> types.Property | None:
        """Return how many labels were accepted, and how many wrong labels remain."""
        return results.finished(ctx, "Missing labels accepted", _show)


def _show(outputs: types.Object, done: Mapping[str, Any]) -> None:
    wrong = len(done["wrong_labels"])
    them = "it" if wrong == 1 else "them"
    results.notes(
        outputs,
        [
            f"{_labels(done['accepted'])} added to {done['output_field']!r}, with the id of the prediction in "
            f"{accepted_labels.SOURCE!r}; to train on it, mine with this field as ground truth and export that run",
            *([f"{_labels(wrong)} reviewed as wrong and not changed: correct {them} by hand"] if wrong else []),
        ],
    )


def _labels(count: int) -> str:
    return "1 label was" if count == 1 else f"{count:,} labels were"


def _ask(ctx: ExecutionContext, inputs: types.Object) -> None:
    """Ask for the name of the copy, and whether to send it to be annotated."""
    settings = records.settings_of(ctx.dataset, ctx.params.get("run_key") or records.newest(ctx.dataset))
    what = "Name of the copy; the ground truth itself is not changed"
    if settings.without_truth:
        what = "Field for the labels of the samples in which all that is listed is reviewed"
    inputs.str(
        "output_field", label="New field", default=accepted_labels.free_field(ctx.dataset, settings), description=what
    )
    what = "Also send the copy to an annotation tool (such as CVAT or Label Studio) under this name; empty: do not send"
    inputs.str("anno_key", label="Annotation key", required=False, description=what)
    if ctx.params.get("anno_key"):
        inputs.str("backend", label="Annotation backend", required=False, description="cvat, labelstudio, ...")
    try:
        accepted_labels.check_output(ctx.dataset, settings, ctx.params.get("output_field"))
        accepted_labels.check_confirmed(ctx.dataset, settings)
    except ValueError as error:
        parts.refuse(inputs, str(error))
