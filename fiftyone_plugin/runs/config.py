"""What FiftyOne stores of a mining run beside its results."""

from __future__ import annotations

import importlib
import json
from functools import lru_cache
from typing import Any

import fiftyone as fo

import hnm_core

from ..settings import RunSettings
from ..store import writeback

METHOD = "hard_negative_mining"
"""Name of the runs of this plugin in ``dataset.list_runs(method=...)``."""


class MiningRunConfig(fo.RunConfig):
    """The settings of a run, and the fields that it owns.

    Attributes:
        pred_field: field of the predictions.
        gt_field: field of the ground truth.
        mine_split: the split that was mined.
        slices: names of the group slices that were mined; none where the dataset has no groups.
        settings: every setting, as JSON text, since class names may contain dots and MongoDB's keys may not.
        engine_version: version of the engine.
        rates: false-alarm rate, false positives per image and other rates, for trends over runs.
        overview: everything that the panel shows of the run, as JSON text; not in the results, which are slow to load.
        fields: every field that the run owns: those it wrote, and those added later by ``claims.claim``.
        comparison: the last comparison with an earlier run, as JSON text; None if there was none.
        finished: whether the run was written completely; asked where a run has no journal, as in an imported dataset.
        reviews_applied: when reviews were last applied to its weights, ISO 8601 in UTC; "" if not since it was mined.
    """

    def __init__(self, **kwargs: Any) -> None:
        absent = {
            "slices": [],
            "finished": False,
            "rates": {},
            "overview": "",
            "comparison": None,
            "reviews_applied": "",
        }
        super().__init__(**{"method": METHOD, **absent, **kwargs})

    @property
    def run_cls(self) -> type:
        """Return the class that FiftyOne asks to rename and to delete the run."""
        return importlib.import_module(f"{__package__}.lifecycle").MiningRun

    @classmethod
    def of(cls, settings: RunSettings) -> MiningRunConfig:
        """Return the config of a run that is about to be written."""
        return cls(
            pred_field=settings.pred_field,
            gt_field=settings.gt_field,
            mine_split=settings.mine_split,
            settings=json.dumps(settings.as_dict()),
            engine_version=hnm_core.__version__,
            fields=list(writeback.fields_of(settings.run_key, settings)),
        )


@lru_cache(maxsize=64)
def parsed(settings: str) -> RunSettings:
    """Return the settings of a run from their text; a click in the panel asks for those of every run several times.

    Raises:
        ValueError: if the text holds no settings.
        TypeError: if it is no text.
    """
    return RunSettings.from_params(json.loads(settings))
