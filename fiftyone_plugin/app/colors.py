"""The colours of boxes in the grid: by error type, truths unlike predictions, for this session of the App alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hnm_core.reporting.chart_data import COLORS

from ..settings import RunSettings
from ..store import views

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.operators import ExecutionContext

RIGHT = "#A8A8A8"
"""Predictions that are right, or count for nothing: grey, between black and white images."""

TRUTH = "#F0E442"
"""Truths that were found: the yellow of Okabe and Ito, which no error type has."""

MISSED: Mapping[str, str] = MappingProxyType(
    {"missed": "#00E5FF", "localization": "#00E5FF", "classification": "#00E5FF", "gap": "#00E5FF"}
)
"""Truths that were missed, whatever the reason: one bright cyan, since the charts' dark blue drowns in dark images."""

SET, RESET = "set_color_scheme", "reset_color_scheme"
"""The App's own operators, without a method of ``ctx.ops``; the first changes only what it is given."""


def set_colors(ctx: ExecutionContext, settings: RunSettings) -> Any:
    """Colour the boxes of a run by error type, in this session: the scheme that the dataset stores stays as it is."""
    return ctx.trigger(SET, params=scheme(ctx.dataset, settings))


def reset_colors(ctx: ExecutionContext) -> Any:
    """Return to the colours that the dataset stores, or to FiftyOne's own."""
    return ctx.trigger(RESET)


def scheme(dataset: fo.Dataset, settings: RunSettings) -> dict[str, Any]:
    """Return the part of a colour scheme that is changed: both fields of the run, beside the user's other fields."""
    attribute = f"{settings.run_key}_error"
    own = [
        _of_field(
            settings.pred_field, attribute, {name: COLORS[name] for name in views.errors_of(settings)[:-1]}, RIGHT
        ),
        _of_field(settings.gt_field, attribute, MISSED, TRUTH),
    ]
    stored = dataset.app_config.color_scheme
    named = {each["path"] for each in own}
    kept = [dict(each) for each in (stored.fields or ())] if stored is not None else []
    return {"color_by": "value", "fields": [*own, *(each for each in kept if each.get("path") not in named)]}


def _of_field(path: str, attribute: str, colors: Mapping[str, str], other: str) -> dict[str, Any]:
    values = {**{name: other for name in ("true_positive", "ignored", "None")}, **colors}
    return {
        "path": path,
        "fieldColor": other,
        "colorByAttribute": attribute,
        "valueColors": [{"value": value, "color": color} for value, color in values.items()],
    }
