"""Match predictions to ground truth: COCO's greedy matching, over all images at once."""

from .greedy import match_detections
from .matches import Matches

__all__ = ["Matches", "match_detections"]
