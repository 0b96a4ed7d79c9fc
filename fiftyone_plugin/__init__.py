"""FiftyOne's entry point: makes the packages importable, registers, nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).resolve().parents[1])


def register(plugin: Any) -> None:
    """Hand every operator and panel to FiftyOne.

    FiftyOne runs this file by path, again for every request, with the checkout off ``sys.path``. The absolute import
    gives each class one identity, ``fiftyone_plugin.*``: a run class under the loader's synthetic name can't be undone.
    """
    if ROOT not in sys.path:
        sys.path.insert(0, ROOT)
    from fiftyone_plugin.operators import OPERATORS
    from fiftyone_plugin.panel import PANELS

    for operator in (*OPERATORS, *PANELS):
        plugin.register(operator)
