"""The panel that the plugin registers."""

from .hard_negatives import HardNegativesPanel

PANELS = [HardNegativesPanel]
"""Panels beside the grid."""
