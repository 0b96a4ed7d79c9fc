"""Start Ray on this machine, or connect to a cluster; where the machine is busy, more than once."""

from __future__ import annotations

import logging
import os
import time
import warnings
from typing import Any

__all__ = ["connect", "import_ray", "in_short"]

STARTS = 4
PAUSE = 2.0
"""Seconds after the first start that failed, and twice as many after each further one. A start waits at several
places for at most 30 seconds, which a busy machine exceeds (chosen)."""

OF_ONE_MACHINE = {
    "RAY_worker_niceness": "0",  # 15 otherwise: on a busy machine workers then miss the time in which they must start
    "RAY_memory_monitor_refresh_ms": "0",  # it kills tasks for the memory of other programs, and starts them again
    "RAY_USAGE_STATS_ENABLED": "0",  # nobody is told
}
"""Settings of a Ray that is started here, where nobody has chosen others."""

STORE = 256 << 20
"""Bytes of memory that Ray may use for what tasks send each other; without, it takes 30 % of the machine (chosen)."""


def import_ray() -> Any:
    """Return the module ``ray``.

    Raises:
        ImportError: if it is missing, with what to install.
    """
    try:
        import ray
    except ImportError:
        raise ImportError(
            "mining on a cluster needs Ray, on every machine: pip install 'fiftyone-hard-negative-mining[ray]'"
        ) from None
    return ray


def connect(address: str | None, processes: int | None) -> bool:
    """Connect this process to Ray unless it is connected.

    Args:
        address: of a cluster, ``auto`` for one that runs on this machine; None: what the variable ``RAY_ADDRESS``
            says, else Ray is started on this machine, and ends with this process.
        processes: how many work at a time where Ray is started; None: as many as there are processors.

    Returns:
        Whether it was not connected before.

    Raises:
        ConnectionError: if it cannot be started or reached.
        ImportError: if Ray is missing.
    """
    ray = import_ray()
    if ray.is_initialized():
        if address and address != "auto" and "://" not in address:
            here = ray.get_runtime_context().gcs_address
            if here.rpartition(":")[2] != address.rpartition(":")[2]:  # hosts have several names, a port has one
                raise ConnectionError(
                    f"this process is connected to Ray at {here} already, not at {address}: call ray.shutdown() first"
                )
        return False
    address = address or os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"address": address or "local", "log_to_driver": False, "logging_level": logging.ERROR}
    if options["address"] == "local":
        for name, value in OF_ONE_MACHINE.items():
            os.environ.setdefault(name, value)
        options |= {"num_cpus": processes, "include_dashboard": False, "object_store_memory": STORE}
    elif processes is not None:
        raise ValueError(f"processes is {processes}, but the cluster at {address} has its own: leave it out")
    for again in range(STARTS):
        try:
            ray.init(**options)
            break
        except Exception as error:  # a start that takes too long raises nothing narrower
            ray.shutdown()
            reason = in_short(error)
            if again < STARTS - 1:
                time.sleep(PAUSE * 2**again)
    else:
        where = "could not be started on this machine" if not address else f"at {address} could not be reached"
        raise ConnectionError(f"Ray {where}, tried {STARTS} times: {reason}")
    if not ray.cluster_resources().get("CPU"):
        warnings.warn("the Ray cluster has no processor that works: mining waits until it has", stacklevel=3)
    return True


def in_short(error: Exception) -> str:
    r"""Return what an error says, in one line that is not too long.

    Example:
        >>> in_short(RuntimeError("Version mismatch:\n  Ray: 2.40"))
        'RuntimeError: Version mismatch: Ray: 2.40'
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
