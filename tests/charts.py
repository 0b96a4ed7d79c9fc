"""Leave charts out of the pages that commands and trainings write: drawing takes nearly all time of a small mining."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

__all__ = ["charts", "without_charts"]


@pytest.fixture
def charts() -> None:
    """Asked for by tests of pages with charts."""


@pytest.fixture(autouse=True)
def without_charts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw none, unless a test asks for ``charts``; where matplotlib is missing none is drawn anyway.

    There the module of the charts must not be asked for: pytest, looking for doctests, leaves it behind half imported.
    """
    if "charts" not in request.fixturenames and find_spec("matplotlib"):
        from hnm_core.reporting import figures

        monkeypatch.setattr(figures, "draw", lambda *_: {})
