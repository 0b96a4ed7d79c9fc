"""How shards are walked: options of commands, which change no result."""

from __future__ import annotations

from .options import Option

__all__ = ["ENGINE", "PROCESSES"]

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
