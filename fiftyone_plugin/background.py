"""Work in the background: what of this plugin waits, runs or failed for a dataset, and how it is made to run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fiftyone as fo
from bson import ObjectId
from fiftyone.operators.delegated import DelegatedOperationService

from .uris import uri

PREFIX = uri("")
SWITCH = "FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS"
LAUNCH = "fiftyone delegated launch"
STARTS = f"It starts as soon as `{LAUNCH}` runs in a terminal, one operation at a time"

UNDER_WAY = ("scheduled", "queued", "running")
SHOWN = (*UNDER_WAY, "failed")
TRACEBACK = "Traceback (most recent call last)"
REFUSED = "Reason: "
"""How FiftyOne introduces what a form said against its parameters."""

MOST_SHOWN = 5
LONGEST = 500
"""Characters of an error that are shown; the whole of it is a command away."""


def can_schedule() -> bool:
    """Whether this App offers *Schedule*: FiftyOne's open-source App does so on request only."""
    return bool(fo.config.allow_legacy_orchestrators)


def how_to() -> str:
    """What somebody must do to run an operator in the background, in a sentence of Markdown."""
    launch = f"keep `{LAUNCH}` running in a terminal"
    if can_schedule():
        return f"To run long work in the background choose *Schedule*, and {launch}"
    return (
        f"*Schedule* is greyed out: FiftyOne's open-source App leaves background work off. To switch it on, start the "
        f"App with `{SWITCH}=true` in its environment, and {launch}"
    )


def operations(dataset: Any) -> list[dict[str, Any]]:
    """This plugin's operations on a dataset that are under way or failed, newest first, JSON-clean.

    Returns:
        ``id``, ``label``, ``run_key``, ``state`` (``scheduled, queued, running, failed``), ``progress`` (0 to 1, or
        None), ``note`` (what it is doing) and ``error`` (one sentence) each; failures that were dismissed are left out.
    """
    found = DelegatedOperationService().list_operations(
        dataset_id=dataset._doc.id, run_state={"$in": list(SHOWN)}, operator={"$regex": f"^{PREFIX}"}
    )
    found.sort(key=lambda each: each.updated_at or each.queued_at, reverse=True)
    return [_described(each) for each in found[:MOST_SHOWN]]


def is_scheduled(result: Any) -> bool:
    """Whether what the App got back is not an operator's result but its place in the queue."""
    return isinstance(result, Mapping) and "run_state" in result


def dismiss(identifier: str) -> None:
    """Put a failed operation away, so that it is not shown any more; ``fiftyone delegated list`` still knows it."""
    DelegatedOperationService().archive_operation(ObjectId(identifier))


def _described(operation: Any) -> dict[str, Any]:
    status, result = operation.status, operation.result
    params = (operation.context.request_params.get("params") or {}) if operation.context else {}
    return {
        "id": str(operation.id),
        "label": _words(operation),
        "run_key": params.get("run_key") or "",
        "state": str(operation.run_state),
        "progress": getattr(status, "progress", None),
        "note": getattr(status, "label", None) or "",
        "error": sentence_of(getattr(result, "error", None) or "") if operation.run_state == "failed" else "",
    }


def _words(operation: Any) -> str:
    """What people call an operation; one that was queued from Python has its operator's name for a label."""
    label = str(operation.label or operation.operator).removeprefix(PREFIX)
    return label.replace("_", " ").capitalize() if operation.operator.endswith(label) else label


def sentence_of(error: str) -> str:
    r"""What an error says, without the way it took.

    Example:
        >>> sentence_of("Traceback (most recent call last):\n  File ...\nValueError: mine first\n")
        'mine first'
    """
    lines = error.strip().splitlines()
    if TRACEBACK in error:
        ends = [number for number, line in enumerate(lines) if line.startswith((" ", "Traceback"))]
        lines = lines[ends[-1] + 1 :] if ends else lines
    kind, _, said = " ".join(lines).partition(": ")
    text = said if said and " " not in kind else " ".join(lines)
    text = text.rpartition(REFUSED)[2]
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
