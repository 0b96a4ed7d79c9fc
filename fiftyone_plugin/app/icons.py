"""Icons that are visible on both of the App's themes."""

from __future__ import annotations

ON_DARK, ON_LIGHT = "#c8ccd0", "#4a4f57"
"""Strokes of ``assets/NAME.svg`` and of ``assets/NAME_light.svg``, its twin for the light theme."""


def icons(name: str) -> dict[str, str]:
    """Return the icon entries of an operator's config."""
    dark = f"/assets/{name}.svg"
    return {"icon": dark, "dark_icon": dark, "light_icon": f"/assets/{name}_light.svg"}
