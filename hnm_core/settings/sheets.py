"""The settings of review by sheets: how many pictures a sheet has, in which order, and which sheet comes next."""

from __future__ import annotations

from dataclasses import dataclass

from .options import Options, option

__all__ = ["LARGEST_ANSWER", "LARGEST_SHEET", "TWIN_DISTANCE", "SheetSettings"]

LARGEST_SHEET = 200
"""Objects that one answer can be given for: nobody takes in more at once (chosen)."""

LARGEST_ANSWER = 4_000
"""Objects that one answer settles at most, twins included: one document of the ledger (chosen)."""

TWIN_DISTANCE = 0.1
"""Largest cosine distance of the edge features of twins.

Measured on five sets (txl, bccd, cards, voc, digits). Of 150 crops each, saved as JPEG at 70, a fifth brighter or
darker, moved by 2 % or scaled by 5 % of the side, 97 to 100 % stay within .1; moved by 4 %, scaled by 3 %, brighter and
with noise all at once, 37 to 78 %. Of 4,601 objects the nearest other one of the class, in another image, is within .1
for 0 to .3 %, on cards for 4 %, some of which were photographed twice. At .12 it is for 10 % on cards; at .08 only 5 to
28 % of what changed all at once stay within.
"""


@dataclass(frozen=True)
class SheetSettings(Options):
    """How sheets are made.

    Attributes:
        sheet_size: pictures on a sheet, at most.
        sheet_order: ``suspected`` (most suspected first) or ``uncertain`` (least certain first).
        sheet_gain: what a click is worth: ``labels`` mended, or change of the ``weights``.
        twin_distance: twins are one picture: objects of one kind whose crops differ by no more than this.
    """

    sheet_size: int = option(24, "Objects on a sheet, at most", label="Sheet size", low=1, high=LARGEST_SHEET)
    sheet_order: str = option(
        "suspected",
        "Which objects of a kind come first",
        label="Sheet order",
        choices={"suspected": "most suspected first", "uncertain": "least certain first"},
    )
    sheet_gain: str = option(
        "labels",
        "The sheet that comes next is the one with the largest expected gain a click",
        label="Sheet gain",
        choices={"labels": "label errors found", "weights": "change of the weights"},
    )
    twin_distance: float = option(
        TWIN_DISTANCE,
        "Objects of one kind in several images are one picture with a count, and one answer settles them, if their "
        "crops (mined with appearance) differ by at most this cosine distance; 0: each is a picture",
        label="Twins",
        low=0,
        high=TWIN_DISTANCE,
    )
