"""Accept missing labels: what people confirmed becomes truth, in a copy of the truth field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import forms, proposals, runs
from ..icons import icons


class AcceptMissingLabels(foo.Operator):
    """Copy the truth field and add the predictions that were reviewed as missing labels."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="accept_missing_labels",
            label="Accept missing labels",
            description="Add the predictions reviewed as missing labels to a copy of the ground truth",
            **icons("accept"),
            dynamic=True,
            allow_delegated_execution=True,
            view_target=False,
        )

    def __call__(
        self,
        samples: Any,
        run_key: str,
        output_field: str | None = None,
        *,
        anno_key: str | None = None,
        backend: str | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Accept from Python; ``anno_key`` sends the copy to FiftyOne's annotation ``backend`` besides."""
        done = proposals.accept(samples._root_dataset, run_key, output_field)
        if anno_key:
            proposals.annotate(
                samples._root_dataset, run_key, done["output_field"], anno_key, backend=backend, **options
            )
        return done

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form."""
        inputs = types.Object()
        if forms.existing_run(ctx, inputs):
            _ask(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Accept missing labels"))

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Accept, and show the new field."""
        names = ("output_field", "anno_key", "backend")
        given = {name: ctx.params.get(name) or None for name in names}
        done = self(ctx.dataset, ctx.params.get("run_key"), **given)
        if not ctx.delegated:
            ctx.ops.reload_dataset()
        return done

    def resolve_output(self, ctx: Any) -> types.Property | None:
        """How many were accepted, and what is left to mend."""
        return forms.finished(ctx, "Missing labels accepted", _show)


def _show(outputs: types.Object, done: Mapping[str, Any]) -> None:
    wrong = len(done["wrong_labels"])
    forms.notes(
        outputs,
        [
            f"{_labels(done['accepted'])} added to {done['output_field']!r}, with the id of the prediction in "
            f"{proposals.SOURCE!r}; to train on it, mine with this field as ground truth and export that run",
            *([f"{_labels(wrong)} called wrong and left as before: mend by hand"] if wrong else []),
        ],
    )


def _labels(count: int) -> str:
    return "1 label was" if count == 1 else f"{count:,} labels were"


def _ask(ctx: Any, inputs: types.Object) -> None:
    """Ask for the name of the copy, and whether to send it to be annotated."""
    settings = runs.settings_of(ctx.dataset, ctx.params.get("run_key") or runs.newest(ctx.dataset))
    what = "A copy of the ground truth, which itself stays as it is"
    inputs.str("output_field", label="New field", default=proposals.free_field(ctx.dataset, settings), description=what)
    what = "Send it to an annotation tool under this name (FiftyOne's annotate, as configured for CVAT, Label Studio)"
    inputs.str("anno_key", label="Annotation key", required=False, description=what)
    if ctx.params.get("anno_key"):
        inputs.str("backend", label="Annotation backend", required=False, description="cvat, labelstudio, ...")
    try:
        proposals.check_output(ctx.dataset, settings, ctx.params.get("output_field"))
        proposals.check_confirmed(ctx.dataset, settings)
    except ValueError as error:
        forms.refuse(inputs, str(error))
