"""Mine where there is no ground truth: which detections are errors, judged by a verifier."""

from .verifier import Verifier

__all__ = ["Verifier"]
