"""Ask a new FiftyOne process two questions: does its database answer, and does it load this plugin?

FiftyOne keeps its configuration and its connection as long as a process lives. So ``hnm doctor`` asks in a process of
its own (``python -m fiftyone_plugin.setup.probe``), with a database that is removed afterwards.
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

from fiftyone_plugin.setup.database import DatabaseError, database_uri, drop_database, private_mongod

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE if (PACKAGE / "fiftyone.yml").is_file() else PACKAGE.parent
"""The folder that is the plugin: the package of a wheel, the root of a checkout (see ``setup.py``)."""


@dataclass(frozen=True)
class ProbeResult:
    """What FiftyOne reported.

    Attributes:
        error: last line of an error before the plugin was loaded; everything else is then empty.
        plugins_dir: folder in which this user's FiftyOne looks for plugins.
        name: the plugin's name in ``fiftyone.yml``; None if that file is not beside the package.
        listed: whether FiftyOne finds a plugin of that name in ``plugins_dir``.
        declared: operators and panels in ``fiftyone.yml``.
        registered: those that FiftyOne registered.
        load_errors: last line of each error while loading.
    """

    error: str = ""
    plugins_dir: str = ""
    name: str | None = None
    listed: bool = False
    declared: list[str] = field(default_factory=list)
    registered: list[str] = field(default_factory=list)
    load_errors: list[str] = field(default_factory=list)


def run_probe(timeout: float = 180.0) -> ProbeResult:
    """Run the probe in a new process; anything that goes wrong there is returned as :attr:`ProbeResult.error`.

    Args:
        timeout: seconds; the first import of FiftyOne on a busy machine takes half a minute.
    """
    command = [sys.executable, "-m", "fiftyone_plugin.setup.probe"]
    try:
        with _throwaway_database(timeout) as environment:
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout)
    except DatabaseError as error:
        return ProbeResult(error=str(error))
    except subprocess.TimeoutExpired:
        return ProbeResult(error=f"FiftyOne did not answer within {timeout:.0f} seconds")
    if done.returncode != 0:
        return ProbeResult(error=_last_line(done.stderr) or f"FiftyOne ended with code {done.returncode}")
    return ProbeResult(**json.loads(_last_line(done.stdout)))


@contextmanager
def _throwaway_database(timeout: float) -> Iterator[dict[str, str]]:
    """Yield the environment of a FiftyOne with its own server, or its own database on the user's server."""
    name = f"hnm_doctor_{os.getpid()}"
    with ExitStack() as stack:
        uri = database_uri()
        if uri:
            stack.callback(drop_database, uri, name)
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hnm_doctor_", ignore_cleanup_errors=True))
            uri = stack.enter_context(private_mongod(Path(folder), timeout))
        own = {"FIFTYONE_DATABASE_URI": uri, "FIFTYONE_DATABASE_NAME": name, "FIFTYONE_DO_NOT_TRACK": "true"}
        yield {**os.environ, **own}


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.strip().splitlines())), "")


def probe() -> ProbeResult:
    """Probe the FiftyOne of this process."""
    import fiftyone as fo
    import fiftyone.plugins as fop
    from fiftyone.plugins.context import PluginContext

    fo.list_datasets()
    manifest = ROOT / "fiftyone.yml"
    if not manifest.is_file():
        return ProbeResult(plugins_dir=fo.config.plugins_dir)
    plugin = fop.PluginDefinition.from_disk(str(manifest))
    context = PluginContext(plugin)
    context.register_all()
    return ProbeResult(
        plugins_dir=fo.config.plugins_dir,
        name=plugin.name,
        listed=plugin.name in {found.name for found in fop.list_plugins()},
        declared=plugin.operators,
        registered=[operator.name for operator in context.instances],
        load_errors=[_last_line(error) for error in context.errors],
    )


if __name__ == "__main__":
    print(json.dumps(asdict(probe())))
