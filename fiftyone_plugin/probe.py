"""Ask a fresh FiftyOne two things: does its database answer, and does it load this plugin?

FiftyOne keeps its configuration and its connection for as long as a process lives. So ``hnm doctor`` asks in a process
of its own (``python -m fiftyone_plugin.probe``), on a database that is thrown away afterwards.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fiftyone_plugin.database import database_uri, drop_database, private_mongod

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Answer:
    """What FiftyOne said.

    Attributes:
        error: the last line of what went wrong before the plugin's turn came; the rest is then empty.
        plugins_dir: where this user's FiftyOne looks for plugins.
        name: the plugin's name in ``fiftyone.yml``; None where that file is not beside the package.
        listed: whether FiftyOne finds a plugin of that name in ``plugins_dir``.
        declared: operators and panels in ``fiftyone.yml``.
        registered: those that FiftyOne could register.
        load_errors: the last lines of what it could not.
    """

    error: str = ""
    plugins_dir: str = ""
    name: str | None = None
    listed: bool = False
    declared: list[str] = field(default_factory=list)
    registered: list[str] = field(default_factory=list)
    load_errors: list[str] = field(default_factory=list)


def ask(timeout: float = 180.0) -> Answer:
    """Ask in a new process; whatever goes wrong there comes back as :attr:`Answer.error`.

    Args:
        timeout: seconds; the first import of FiftyOne on a busy machine takes half a minute.
    """
    with _throwaway_database() as environment:
        command = [sys.executable, "-m", "fiftyone_plugin.probe"]
        try:
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            return Answer(error=f"FiftyOne did not answer within {timeout:.0f} seconds")
    if done.returncode != 0:
        return Answer(error=_last_line(done.stderr) or f"FiftyOne ended with code {done.returncode}")
    return Answer(**json.loads(_last_line(done.stdout)))


@contextmanager
def _throwaway_database() -> Iterator[dict[str, str]]:
    """The environment of a FiftyOne with a server, or on the user's server a name, of its own."""
    name = f"hnm_doctor_{os.getpid()}"
    with ExitStack() as stack:
        uri = database_uri()
        if uri:
            stack.callback(drop_database, uri, name)
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hnm_doctor_", ignore_cleanup_errors=True))
            uri = stack.enter_context(private_mongod(Path(folder)))
        own = {"FIFTYONE_DATABASE_URI": uri, "FIFTYONE_DATABASE_NAME": name, "FIFTYONE_DO_NOT_TRACK": "true"}
        yield {**os.environ, **own}


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.strip().splitlines())), "")


def answer() -> Answer:
    """Ask this process's FiftyOne."""
    import fiftyone as fo
    import fiftyone.plugins as fop
    from fiftyone.plugins.context import PluginContext

    fo.list_datasets()
    manifest = ROOT / "fiftyone.yml"
    if not manifest.is_file():
        return Answer(plugins_dir=fo.config.plugins_dir)
    plugin = fop.PluginDefinition.from_disk(str(manifest))
    context = PluginContext(plugin)
    context.register_all()
    return Answer(
        plugins_dir=fo.config.plugins_dir,
        name=plugin.name,
        listed=plugin.name in {found.name for found in fop.list_plugins()},
        declared=plugin.operators,
        registered=[operator.name for operator in context.instances],
        load_errors=[_last_line(error) for error in context.errors],
    )


if __name__ == "__main__":
    print(json.dumps(asdict(answer())))
