"""The names under which FiftyOne knows this plugin and its operators."""

from __future__ import annotations

PLUGIN = "@hnm/hard-negative-mining"


def uri(operator: str) -> str:
    """Return the URI of an operator of this plugin.

    Example:
        >>> uri("mine_hard_negatives")
        '@hnm/hard-negative-mining/mine_hard_negatives'
    """
    return f"{PLUGIN}/{operator}"
