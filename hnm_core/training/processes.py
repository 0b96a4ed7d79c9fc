"""Find out among which processes a training draws, and whether somebody else divides the draws among them.

Frameworks do not agree on who divides. Lightning (2.6, ``_requires_distributed_sampler``) and Ray leave a
``DistributedSampler`` alone. Accelerate (1.15, ``prepare_data_loader``) divides the batches of every loader that it
prepares, a ``DistributedSampler`` too; a sampler that also divides then loses draws: of 120 on two processes, half. A
loader does not learn that it was prepared, since its sampler is moved into another loader. So the sampler looks who
asks for its draws, at the beginning of every epoch.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

__all__ = ["asker_divides", "place_among_processes"]


def place_among_processes() -> tuple[int, int]:
    """Return the number of processes of ``torch.distributed`` and the rank of this one; 1 and 0 without it."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size(), torch.distributed.get_rank()
    return 1, 0


def asker_divides(sampler: Any) -> bool:
    """Return whether one of the callers gives each process a part of what this sampler draws.

    Those are samplers around it that know a number of processes greater than 1, and loaders of accelerate, of which
    one process may also read everything and send the others their parts.

    Args:
        sampler: that is asked; it does not count itself.
    """
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if caller is not sampler and _divides(caller):
            return True
        frame = frame.f_back
    return False


def _divides(caller: Any) -> bool:
    if isinstance(caller, DataLoader):
        return any(kind.__module__.partition(".")[0] == "accelerate" for kind in type(caller).__mro__)
    if not isinstance(caller, Sampler):
        return False
    known = vars(caller)
    return any(int(known.get(name) or 1) > 1 for name in ("num_processes", "num_replicas"))
