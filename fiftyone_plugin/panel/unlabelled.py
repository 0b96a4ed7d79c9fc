"""The buttons for samples without ground truth: mine again with them as background, or list proposals for review."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import fiftyone.operators.types as types

from hnm_core.live.quality import LEAST_UNCERTAIN

from ..app.uris import uri
from ..runs import records
from ..store.labelled import CHECKED
from .layout import WRAPPED

if TYPE_CHECKING:
    from fiftyone.operators import ExecutionContext


class UnlabelledSection:
    """The events of the buttons."""

    def mine_as_background(self, ctx: ExecutionContext) -> None:
        """Open the form of mining with the run's fields and threshold, and unlabelled samples as background."""
        settings = records.settings_of(ctx.dataset, ctx.panel.get_state("head.run"))
        params: dict[str, Any] = {"pred_field": settings.pred_field, "gt_field": settings.gt_field}
        params["confidence_threshold"] = settings.engine.confidence_threshold
        ctx.prompt(uri("mine_hard_negatives"), params={**params, "unlabelled": "background"})

    def list_unlabelled(self, ctx: ExecutionContext) -> None:
        """Open the form that lists detections for review, with the run's predictions and threshold."""
        settings = records.settings_of(ctx.dataset, ctx.panel.get_state("head.run"))
        params: dict[str, Any] = {"pred_field": settings.pred_field}
        params["confidence_threshold"] = max(settings.engine.confidence_threshold, LEAST_UNCERTAIN)
        ctx.prompt(uri("mine_without_truth"), params=params)


def section(panel: types.Object, handler: Any, remarks: Sequence[str]) -> None:
    """Add the buttons where a run left samples out since nobody labelled them."""
    if any(remark.endswith(CHECKED) for remark in remarks):
        row = panel.h_stack("unlabelled", gap=1, componentsProps=WRAPPED)
        label = "Mine with unlabelled samples as background …"
        row.btn("mine_as_background", label=label, on_click=handler.mine_as_background, variant="outlined")
        label = "List proposals without truth …"
        row.btn("list_unlabelled", label=label, on_click=handler.list_unlabelled, variant="outlined")
