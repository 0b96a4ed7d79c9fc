"""Commands write pages without charts here, but where a test asks for them."""

from __future__ import annotations

from tests.charts import charts, without_charts

__all__ = ["charts", "without_charts"]
