"""The panels that FiftyOne gets to know."""

PANELS: list[type] = []
