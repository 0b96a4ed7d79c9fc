"""The page of all settings, from the dataclasses that check them."""

from __future__ import annotations

from fiftyone_plugin.settings import RunSettings
from hnm_core.export import ExportSettings
from hnm_core.settings import MiningSettings, SheetSettings, WatchSettings
from hnm_core.training.plan import TrainingPlan

from .markdown import first_line, knob_rows, table

SETTINGS = {
    MiningSettings: "Flags of `hnm mine` and `hnm train`, parameters of `mine_hard_negatives` and of the miner.",
    RunSettings: "Parameters of `mine_hard_negatives`, beside those of `MiningSettings`.",
    SheetSettings: "Parameters of `review_sheet`.",
    ExportSettings: "Flags of `hnm export`, parameters of `export_weighted_subset`.",
    WatchSettings: "Flags of `hnm watch`.",
    TrainingPlan: "Flags of `hnm train`, parameters of `train_on_hard_negatives`.",
}
"""Every class of settings, and where a user meets it."""

HEAD = """# Settings

Every setting with its default and range. A value outside its range is refused with an error that gives both. This
page is generated from the code.
"""


def page() -> str:
    """Write the page."""
    parts = [HEAD]
    for settings, where in SETTINGS.items():
        rows = table(("name", "type", "default", "range", "unit", "meaning"), knob_rows(settings))
        name = f"{settings.__module__}.{settings.__qualname__}"
        parts.append(f"## {settings.__name__}\n\n`{name}`: {first_line(settings.__doc__)}\n\n{where}\n\n{rows}")
    return "\n".join(parts)
