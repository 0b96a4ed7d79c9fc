"""Background work of this plugin on a dataset: what waits, runs or has failed, and how to start it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fiftyone as fo
from fiftyone.operators.delegated import DelegatedOperationService

from ..store import access
from ..store.access import ObjectId
from .uris import uri

PREFIX = uri("")
SWITCH = "FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS"
LAUNCH = "fiftyone delegated launch"
STARTS = f"It starts when `{LAUNCH}` runs in a terminal; operations run one after the other"

UNDER_WAY = ("scheduled", "queued", "running")
SHOWN = (*UNDER_WAY, "failed")
TRACEBACK = "Traceback (most recent call last)"
REFUSED = "Reason: "
"""Text that FiftyOne puts before a form's own error message."""

MOST_SHOWN = 5
LONGEST = 500
"""Characters of an error that are shown; a command shows all of it."""


def can_schedule() -> bool:
    """Return whether this App offers *Schedule*; FiftyOne's open-source App does so only if it is switched on."""
    return bool(fo.config.allow_legacy_orchestrators)


def background_help() -> str:
    """Return a sentence of Markdown on how to run an operator in the background."""
    launch = f"keep `{LAUNCH}` running in a terminal"
    if can_schedule():
        return f"To run long work in the background, choose *Schedule* and {launch}"
    return (
        f"*Schedule* is disabled: background work is off by default in FiftyOne's open-source App. To enable it, start "
        f"the App with the environment variable `{SWITCH}=true`, and {launch}"
    )


def operations(dataset: fo.Dataset) -> list[dict[str, Any]]:
    """Return this plugin's operations on a dataset that wait, run or have failed, newest first, JSON-clean.

    Returns:
        ``id``, ``label``, ``run_key``, ``state`` (``scheduled, queued, running, failed``), ``progress`` (0 to 1, or
        None), ``note`` (its current step) and ``error`` (one sentence) of each; dismissed failures are left out.
    """
    found = DelegatedOperationService().list_operations(
        dataset_id=access.dataset_id(dataset), run_state={"$in": list(SHOWN)}, operator={"$regex": f"^{PREFIX}"}
    )
    found.sort(key=lambda each: each.updated_at or each.queued_at, reverse=True)
    return [_job_of(each) for each in found[:MOST_SHOWN]]


def is_scheduled(result: Any) -> bool:
    """Return whether the App got a place in the queue instead of an operator's result."""
    return isinstance(result, Mapping) and "run_state" in result


def dismiss(identifier: str) -> None:
    """Archive a failed operation, so that it is not shown any more; ``fiftyone delegated list`` still lists it."""
    DelegatedOperationService().archive_operation(ObjectId(identifier))


def _job_of(operation: Any) -> dict[str, Any]:
    status, result = operation.status, operation.result
    params = (operation.context.request_params.get("params") or {}) if operation.context else {}
    return {
        "id": str(operation.id),
        "label": _operation_label(operation),
        "run_key": params.get("run_key") or "",
        "state": str(operation.run_state),
        "progress": getattr(status, "progress", None),
        "note": getattr(status, "label", None) or "",
        "error": error_sentence(getattr(result, "error", None) or "") if operation.run_state == "failed" else "",
    }


def _operation_label(operation: Any) -> str:
    """Return the label of an operation; one that was queued from Python has only the operator's name."""
    label = str(operation.label or operation.operator).removeprefix(PREFIX)
    return label.replace("_", " ").capitalize() if operation.operator.endswith(label) else label


def error_sentence(error: str) -> str:
    r"""Return the message of an error without its traceback.

    Example:
        >>> sentence_of("Traceback (most recent call last):\n  File ...\nValueError: mine first\n")
        'mine first'
    """
    lines = error.strip().splitlines()
    if TRACEBACK in error:
        ends = [number for number, line in enumerate(lines) if line.startswith((" ", "Traceback"))]
        lines = lines[ends[-1] + 1 :] if ends else lines
    kind, _, message = " ".join(lines).partition(": ")
    text = message if message and " " not in kind else " ".join(lines)
    text = text.rpartition(REFUSED)[2]
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
