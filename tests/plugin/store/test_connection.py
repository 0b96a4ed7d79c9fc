"""A database that cannot be started or reached is one sentence of every command that needs it, with its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fiftyone.core.config import FiftyOneConfigError
from fiftyone.core.service import ServiceListenTimeout
from pymongo.errors import AutoReconnect, DuplicateKeyError, OperationFailure, ServerSelectionTimeoutError

from fiftyone_plugin.demo.digits import WEIGHTS
from fiftyone_plugin.store.connection import database_said
from fiftyone_plugin.store.lock import LeaseLost

PICTURE = Path(__file__).parents[3] / "docs" / "pictures" / "watched.png"
COMMANDS: dict[str, list[str]] = {
    "watch": ["watch", "--source", str(PICTURE), "--model", str(WEIGHTS), "--dataset", "never-made"],
    "demo": ["demo", "--images", "6", "--headless"],
}
ADDRESSES = {
    "nobody listens": ("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500", "Connection refused"),
    "no address": ("mongdb://nonsense", "Invalid URI scheme"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "uri"), [("watch", "nobody listens"), ("watch", "no address"), ("demo", "no address")]
)
def test_a_command_says_that_there_is_no_database(command: str, uri: str, tmp_path: Path) -> None:
    address, reason = ADDRESSES[uri]
    more = ["--folder", str(tmp_path / "demo")] if command == "demo" else []
    done = subprocess.run(
        [sys.executable, "-m", "hnm_core.cli", *COMMANDS[command], *more],
        env={**os.environ, "FIFTYONE_DATABASE_URI": address},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (said,) = (line for line in done.stderr.splitlines() if line.startswith(f"hnm {command}: "))
    assert said.startswith(f"hnm {command}: FiftyOne's database cannot be started or reached (")
    assert reason in said
    assert said.endswith("): check that the server of FIFTYONE_DATABASE_URI runs; `hnm doctor` tells more")


def caused() -> ConnectionError:
    """How FiftyOne reports a server that does not answer."""
    error = ConnectionError("Could not connect to `mongod`")
    error.__cause__ = ServerSelectionTimeoutError("host:1: refused (configured timeouts: connectTimeoutMS: 2ms), more")
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (caused, "host:1: refused"),
        (lambda: AutoReconnect("connection closed"), "connection closed"),
        (lambda: OperationFailure("Authentication failed.", 18), "Authentication failed"),
        (
            lambda: FiftyOneConfigError("MongoDB could not be installed.\nDefine a URI"),
            "MongoDB could not be installed",
        ),
        (lambda: ServiceListenTimeout("db", 5151), ""),
    ],
)
def test_every_way_in_which_it_fails(error: Callable[[], Exception], reason: str) -> None:
    said = rf"^FiftyOne's database cannot be started or reached \({reason}.*\): "
    with pytest.raises(OSError, match=said) as caught, database_said():
        raise error()
    assert "\n" not in str(caught.value)
    assert "configured timeouts" not in str(caught.value)


def test_what_is_not_lost_is_said_once() -> None:
    outer, inner = database_said(". Nothing is"), database_said(". All is kept")
    with pytest.raises(OSError, match=r"`hnm doctor` tells more\. All is kept$"), outer, inner:
        raise AutoReconnect("closed")


def test_a_lease_that_was_lost_says_so_itself() -> None:
    with pytest.raises(OSError, match=r"^writing was stopped, because$"), database_said():
        raise LeaseLost("writing was stopped, because")


@pytest.mark.parametrize(
    "error", [ValueError("no box"), DuplicateKeyError("twice"), FileNotFoundError(2, "gone", "a.pt")]
)
def test_any_other_error_is_left_as_it_is(error: Any) -> None:
    with pytest.raises(type(error)) as caught, database_said():
        raise error
    assert caught.value is error
