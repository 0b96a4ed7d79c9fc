"""Leave charts out of the pages that commands and trainings write: drawing takes nearly all time of a small mining."""

from __future__ import annotations

from contextlib import suppress

import pytest

__all__ = ["charts", "without_charts"]


@pytest.fixture
def charts() -> None:
    """Asked for by tests of pages with charts."""


@pytest.fixture(autouse=True)
def without_charts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw none, unless a test asks for ``charts``; where matplotlib is missing there is no page."""
    if "charts" not in request.fixturenames:
        with suppress(ImportError):
            from hnm_core.reporting import figures

            monkeypatch.setattr(figures, "draw", lambda *_: {})
