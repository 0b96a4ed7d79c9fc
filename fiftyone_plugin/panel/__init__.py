"""The panels that FiftyOne gets to know."""

from .hard_negatives import HardNegativesPanel

PANELS = [HardNegativesPanel]
"""Panels beside the grid."""
