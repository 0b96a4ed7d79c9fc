"""Which mined objects are selected in the App: labels, or what is on the selected tiles of the grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..runs import records
from ..settings import RunSettings, as_names
from . import states

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.operators import ExecutionContext


def selected_keys(
    view: fo.DatasetView, settings: RunSettings, ids: Sequence[str], labels: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return the keys of the mined objects that are selected in the App: labels, or all on the selected tiles.

    Args:
        view: the view that the grid shows.
        settings: settings of the run.
        ids: ids of the selected tiles, samples or patches.
        labels: selected labels, as FiftyOne's context lists them; if there are any, tiles are not used.
    """
    side_of = {field: side for side, field in states.sides_of(settings)}
    if labels:
        named = [(label["label_id"], label.get("field")) for label in labels]
        return [states.key_of(side_of[at], i) if at else i for i, at in named if at is None or at in side_of]
    if not ids:
        return []
    tiles, found = view.select(list(ids)), []
    patches = [field for field in side_of if view.get_field(f"{field}.bounding_box") is not None]
    for field in patches:  # a patch has one object, or none of this field; other boxes in it are context
        found += [states.key_of(side_of[field], i) for i in tiles.values(f"{field}.id") if i is not None]
    for field, side in () if patches else side_of.items():
        path = f"{field}.detections"
        if view.get_field(path) is not None:
            for shown in zip(*tiles.values([f"{path}.id", f"{path}.{settings.run_key}_state"]), strict=True):
                pairs = zip(*(part or () for part in shown), strict=True)
                found += [states.key_of(side, label_id) for label_id, state in pairs if state]
    return found


def selected_objects(ctx: ExecutionContext, run_key: str | None) -> tuple[list[str], list[str]]:
    """Return the objects that an operator is to review, by id or key, and the ids of their samples if known.

    Args:
        ctx: FiftyOne's context; if its parameters have ``label_ids``, the selection is not used.
        run_key: the run that mined them.

    Raises:
        ValueError: if there is no such run.
    """
    if given := ctx.params.get("label_ids"):
        return list(as_names("label_ids", given, "ids of labels, in a list or with commas between")), []
    settings = records.settings_of(ctx.dataset, run_key)
    labels, tiles = ctx.selected_labels or [], list(ctx.selected)
    samples = [label["sample_id"] for label in labels] if labels else tiles
    if not labels and tiles and ctx.view.get_field("sample_id") is not None:  # tiles are patches
        samples = ctx.view.select(tiles).values("sample_id")
    return selected_keys(ctx.view, settings, tiles, labels), samples
