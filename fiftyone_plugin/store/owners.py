"""Find out whether the process that holds a lease has died."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hnm_core.io.processes import has_ended, this_process

from .journal import Journal

EXPIRY = 60.0
"""Seconds until an owner that gives no sign of life counts as gone, wherever it runs."""

living: set[str] = set()
"""Tokens of the leases that this process holds."""


def is_dead(owner: Mapping[str, Any]) -> bool:
    """Return whether an owner is known to be gone; False where nothing is known, as of those on other machines.

    Machines made from one image can have the same name and number. Only what was started since the same start of the
    system is on this one for certain; a lease from before that start expires, as one from elsewhere.

    Args:
        owner: the process, as :func:`~hnm_core.io.processes.this_process` returns it, and the ``token`` of its lease.
    """
    here = this_process()
    if all(owner.get(name) == value for name, value in here.items()):
        return owner["token"] not in living
    return owner.get("boot") == here["boot"] and has_ended(owner)


def is_held(note: Journal | None) -> bool:
    """Return whether a living owner holds the run or field of this journal."""
    return note is not None and note.owner is not None and not note.expired(EXPIRY) and not is_dead(note.owner)
