"""Write a weighted dataset in the layout of a trainer, and verify it before it is renamed to its place."""

from ..io.data_yaml import SPLITS
from .images import ExportImage
from .settings import LAYOUTS, MEDIA, ExportSettings
from .weighted import ExportSummary, export_weighted

__all__ = ["LAYOUTS", "MEDIA", "SPLITS", "ExportImage", "ExportSettings", "ExportSummary", "export_weighted"]
