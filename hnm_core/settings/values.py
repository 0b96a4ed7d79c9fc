"""Check values of settings that more than one kind of option shares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["as_tuple", "check_class_lists", "check_share", "check_switch", "plain"]


def as_tuple(value: Any) -> tuple[Any, ...]:
    """Return a sequence as a tuple; a text or a single value is one entry."""
    return (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)


def check_switch(name: str, value: Any) -> bool:
    """Return a bool given as True, False, 1 or 0; a text such as ``"false"`` is refused, since it would count as True.

    Raises:
        ValueError: naming the argument and the value.
    """
    if isinstance(value, str) or getattr(value, "ndim", 0) > 0 or value not in (True, False):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_share(name: str, value: Any) -> float:
    """Return a number from 0 to 1.

    Raises:
        ValueError: if it is anything else, such as a text, naming the argument and the value.

    Example:
        >>> check_share("min_difficulty", 1)
        1.0
    """
    if isinstance(value, bool) or not hasattr(value, "__float__") or not 0 <= float(value) <= 1:
        raise ValueError(f"{name} must be a number in [0, 1], got {value!r}")
    return float(value)


def check_class_lists(name: str, value: Any) -> dict[str, tuple[str, ...]]:
    """Return class names per class name; a single name may stand without a list.

    Raises:
        ValueError: if it is anything else, naming the argument and the value.

    Example:
        >>> check_class_lists("neutral", {"Car": ["Van"], "Pedestrian": "Person_sitting"})
        {'Car': ('Van',), 'Pedestrian': ('Person_sitting',)}
    """
    expected = f"{name} must give class names per class name, like {{'Car': ['Van']}}, got "
    if not isinstance(value, Mapping):
        raise ValueError(f"{expected}{value!r}")
    lists = {of: as_tuple(names) for of, names in value.items()}
    wrong = [each for of, names in lists.items() for each in (of, *names) if not isinstance(each, str)]
    if wrong:
        raise ValueError(f"{expected}{wrong[0]!r}")
    return lists


def plain(value: Any) -> Any:
    """Return a checked value of a setting as JSON can hold it: tuples as lists, also within mappings."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return list(value) if isinstance(value, tuple) else value
