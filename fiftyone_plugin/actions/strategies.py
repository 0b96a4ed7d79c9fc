"""Which strategies an operator may be given: one named by its module runs the code of that module."""

from __future__ import annotations

import os

from hnm_core.strategies import strategy_names

ALLOW_IMPORTS = "HNM_ALLOW_IMPORTS"
"""Environment variable by which an administrator lets operators import strategies: ``1``."""


def check_registered(strategy: object) -> None:
    """Refuse a strategy that would have to be imported, unless the administrator of this machine allows it.

    Whoever reaches the App can send parameters to an operator, and importing a module runs its code.

    Raises:
        ValueError: saying who can name it.
    """
    if not isinstance(strategy, str) or ":" not in strategy or strategy in strategy_names():
        return
    if os.environ.get(ALLOW_IMPORTS) == "1":
        return
    raise ValueError(
        f"strategy {strategy!r} names a module to import, which an operator must not: choose one of "
        f"{', '.join(strategy_names())}, mine from Python or with hnm mine, or start FiftyOne with {ALLOW_IMPORTS}=1"
    )
