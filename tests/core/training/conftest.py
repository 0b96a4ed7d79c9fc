"""What the tests of trainings share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.charts import charts, without_charts

__all__ = ["charts", "said", "without_charts"]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What Ultralytics logs: its logger hands nothing on to the root, unless something else changed that."""
    logger = logging.getLogger("ultralytics")
    caplog.set_level(logging.INFO, logger.name)
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
