"""Read an export back as its trainer would, and compare the draws with the promised repeats."""

from .checks import TRAINERS, verify_export, verify_for
from .verification import Verification

__all__ = ["TRAINERS", "Verification", "verify_export", "verify_for"]
