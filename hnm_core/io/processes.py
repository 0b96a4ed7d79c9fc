"""Tell processes apart, and find out whether one has ended: by its number, its start and the machine it runs on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["has_ended", "this_process"]

PROC = Path("/proc")


def this_process() -> dict[str, Any]:
    """Return what tells this process from all others, JSON-clean."""
    return dict(_identity(os.getpid()))


@cache
def _identity(pid: int) -> Mapping[str, Any]:
    """Return the identity of this process; after a fork the number is another one."""
    space = ""
    with suppress(OSError):  # not Linux
        space = os.readlink(PROC / "self" / "ns" / "pid")
    return {
        **{"host": platform.node(), "machine": _text(Path("/etc/machine-id")), "space": space, "pid": pid},
        **{"boot": _text(PROC / "sys/kernel/random/boot_id"), "started": _started(pid)},
    }


def has_ended(process: Mapping[str, Any]) -> bool:
    """Return whether a process is known to have ended; False where nothing is known, as of those on other machines.

    Args:
        process: what :func:`this_process` has returned in it.
    """
    here, pid = this_process(), process.get("pid")
    if process.get("host") != here["host"] or process.get("machine") != here["machine"] or not here["boot"]:
        return False
    if process.get("boot") != here["boot"]:  # the machine was started again since
        return bool(here["machine"] and process.get("boot"))
    if process.get("space") != here["space"] or not isinstance(pid, int) or not process.get("started"):
        return False
    return _started(pid) != process["started"] and not _is_hidden(pid)


def _started(pid: int) -> str:
    """Return when a process was started, in ticks since the machine was; "" if it has ended, or nothing is known."""
    stat = _text(PROC / str(pid) / "stat").rpartition(")")[2].split()  # its name, in brackets, may hold anything
    return "" if len(stat) < 20 or stat[0] in ("Z", "X") else stat[19]


def _is_hidden(pid: int) -> bool:
    """Return whether there is such a process of another user, of which a system may show nothing."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return not _started(pid)
    except OSError:
        pass
    return False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
