"""How shards are walked, and whether boxes are kept: options of commands, which change no result."""

from __future__ import annotations

from .options import Option

__all__ = ["ENGINE", "KEEP_BOXES", "PROCESSES"]

ENGINE = Option(
    "choice",
    "local",
    "Engine",
    "What mines the shards: this machine, or Ray: the cluster that RAY_ADDRESS names (auto for one that runs here), "
    "else Ray is started here. With ray, --data and --output may be addresses that Arrow knows, such as "
    "s3://bucket/shards",
    choices={"local": "This machine", "ray": "Ray"},
    group="shards",
    name="engine",
)

PROCESSES = Option(
    "whole",
    1,
    "Processes",
    "Shards that are mined at the same time, each in a process of its own; more take less time and more memory",
    low=1,
    group="shards",
    name="processes",
)

KEEP_BOXES = Option(
    "switch",
    True,
    "Keep boxes",
    "Keep all boxes with the run, which --engine ray never does. Without them its folder is several times smaller; "
    "report, compare and export work all the same, but what corrected labels changed, and `hnm verifier fit`, need the "
    "mined shards, unchanged",
    group="output",
    name="keep_boxes",
)
