"""Mine without truth: list detections of unlabelled samples for review."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.io.progress import Progress

from ..actions import videos as frames
from ..actions import without_truth
from ..app import background, colors
from ..app.icons import icons
from ..forms import parts, results, rows
from ..runs import records
from ..store import checks, views
from .long import LongOperator

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext


class MineWithoutTruth(LongOperator):
    """List detections that may be errors, where there is no ground truth."""

    takes = (without_truth.ProposalSettings,)
    """What describes the options that are not named in the signature."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="mine_without_truth",
            label="Mine without truth",
            description="List the detections of unlabelled samples that are likeliest errors, for review",
            **icons("mine"),
            risk_level="high",
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
        )

    def __call__(
        self, samples: SampleCollection, pred_field: str, run_key: str, *, overwrite: bool = False, **options: Any
    ) -> dict[str, Any]:
        """List from Python, and return how many proposals there are and what they are ranked by.

        Args:
            samples: a dataset or a view of it.
            pred_field: field of the predictions, best kept down to confidence .05; of videos a field of their frames.
            run_key: name of the run, and the beginning of every field that it writes.
            overwrite: replace a run of the same name.
            **options: what ranks the proposals, and what is confident.
        """
        named = {"pred_field": pred_field, "run_key": run_key, "overwrite": overwrite, **options}
        return without_truth.mine_without_truth(samples, named)

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        parts.target(ctx, inputs, "List proposals of")
        _ask(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Mine without truth"))

    def work(self, ctx: ExecutionContext, progress: Progress) -> dict[str, Any]:
        """List."""
        return without_truth.mine_without_truth(parts.target_samples(ctx), _params(ctx), progress)

    def show(self, ctx: ExecutionContext, outcome: dict[str, Any]) -> Iterator[Any]:
        """Show the proposals, likeliest errors first, and the panel; those of videos are in a dataset of frames."""
        if outcome["dataset"] != ctx.dataset.name:
            yield ctx.ops.open_dataset(outcome["dataset"])
            return
        yield ctx.ops.reload_dataset()
        settings = records.settings_of(ctx.dataset, outcome["run_key"])
        listed = views.hardest(ctx.dataset, settings)
        if listed:
            yield ctx.ops.set_view(view=listed)
            yield colors.set_colors(ctx, settings)
        yield ctx.ops.open_panel("hard_negatives_panel", layout="horizontal", is_active=True)

    def resolve_output(self, ctx: ExecutionContext) -> types.Property | None:
        """Return how many proposals there are, and the warnings about the data."""
        return results.finished(ctx, "Mining without truth finished", results.report)


def _params(ctx: ExecutionContext) -> Mapping[str, Any]:
    """Return what the form sends, with the defaults that FiftyOne applies in the App only."""
    found = _fields(ctx)
    guessed: dict[str, Any] = {"run_key": records.free_key(ctx.dataset, "proposals")}
    guessed |= {"pred_field": parts.guess_predictions(found)} if found else {}
    return {**guessed, **{name: value for name, value in ctx.params.items() if value not in (None, "")}}


def _fields(ctx: ExecutionContext) -> list[str]:
    """Return the fields that can be predictions; of videos those of their frames."""
    is_video = ctx.dataset.media_type == "video"
    return frames.frame_fields(ctx.dataset) if is_video else checks.detection_fields(ctx.dataset)


def _ask(ctx: ExecutionContext, inputs: types.Object) -> None:
    found, videos = _fields(ctx), ctx.dataset.media_type == "video"
    if not found:
        parts.refuse(inputs, f"{ctx.dataset.name!r} has no field of Detections: Predict with YOLO can make predictions")
        return
    what = "Field with the detector's boxes and confidences, best kept down to .05"
    parts.choose(inputs, "pred_field", found, parts.guess_predictions(found), "Predictions", what)
    parts.run_key(ctx, inputs, "proposals")
    rows.add_rows(inputs, without_truth.ProposalSettings, main=True)
    if videos:
        rows.add_rows(inputs, without_truth.ProposalSettings, main=False)
    try:
        without_truth.check(parts.target_samples(ctx), _params(ctx))
    except (ValueError, OSError) as error:
        parts.refuse(inputs, str(error))
    inputs.view("background", types.Notice(label=background.background_help()))
